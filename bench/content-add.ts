/**
 * Memory of a large add: streams a generated file into an embedded engine and prints one JSON line
 * with the growth of the process's resident memory and the rate.
 * `node bench/content-add.ts [--megabytes 2048] [--files 1]`
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { AddEntry } from '../src/content/api.ts';
import { createEmbeddedEngine } from '../src/content/embedded-engine.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '2048' },
    files: { type: 'string', default: '1' },
  },
});
const bytesEach = Math.floor((Number(values.megabytes) * 1024 * 1024) / Number(values.files));

/** Distinct 64 KiB pieces, all in one buffer: what is measured is the engine's memory. */
const scratch = Buffer.alloc(64 * 1024, 1);
async function* generated(file: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytesEach; at += scratch.length) {
    const bytes = scratch.subarray(0, Math.min(scratch.length, bytesEach - at));
    if (bytes.length >= 16) {
      bytes.writeDoubleLE(at, 0);
      bytes.writeDoubleLE(file, 8);
    }
    yield bytes;
  }
}

async function* entries(): AsyncGenerator<AddEntry> {
  for (let i = 0; i < Number(values.files); i++)
    yield { path: `data/file-${i}`, content: generated(i) };
}

const rssMb = (): number => process.memoryUsage().rss / 1e6;
const dir = mkdtempSync(join(tmpdir(), 'bellwether-bench-'));
const engine = createEmbeddedEngine(
  { report: (event) => process.stderr.write(`${JSON.stringify(event)}\n`) },
  { dir, listen: ['/ip4/127.0.0.1/tcp/0'], networkKey: '12'.repeat(32) },
);
await engine.start();
const idleRssMb = rssMb();
let maxRssMb = idleRssMb;
const watch = setInterval(() => {
  maxRssMb = Math.max(maxRssMb, rssMb());
}, 20);
const startMs = performance.now();
const item = await engine.add(entries(), () => undefined);
const seconds = (performance.now() - startMs) / 1000;
clearInterval(watch);
const { user, system } = process.cpuUsage();
const report = {
  ...item,
  seconds: Math.round(seconds * 100) / 100,
  mbPerSecond: Math.round(item.bytes / 1e6 / seconds),
  cpuSeconds: Math.round((user + system) / 1e4) / 100,
  idleRssMb: Math.round(idleRssMb),
  growthMb: Math.round(maxRssMb - idleRssMb),
};
process.stdout.write(`${JSON.stringify(report)}\n`);
await engine.stop();
rmSync(dir, { recursive: true });
