/**
 * Replication between processes: one adds, two fetch, all on loopback, each an embedded engine of
 * its own. Prints one JSON line: rates from the moment the add was accepted (its CID was answered),
 * and the longest pauses of the main threads' event loops meanwhile.
 * `node bench/content-replication.ts [--megabytes 100] [--files 20] [--targets 2]`
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import type { AddEntry, Provider } from '../src/content/api.ts';
import { createEmbeddedEngine } from '../src/content/embedded-engine.ts';

const networkKey = createHash('sha256').update('bench').digest('hex');

type Request =
  | { op: 'add'; megabytes: number; files: number }
  | { op: 'pin'; cid: string; provider: Provider }
  | { op: 'facts' }
  | { op: 'stop' };

async function* randomFile(bytes: number): AsyncGenerator<Uint8Array> {
  const piece = 64 * 1024;
  for (let done = 0; done < bytes; done += piece) yield randomBytes(Math.min(piece, bytes - done));
}

async function* entries(megabytes: number, files: number): AsyncGenerator<AddEntry> {
  const bytes = Math.floor((megabytes * 1e6) / files);
  for (let i = 0; i < files; i++) yield { path: `data/file-${i}`, content: randomFile(bytes) };
}

async function child(dir: string): Promise<void> {
  const engine = createEmbeddedEngine(
    { report: (event) => process.stderr.write(`${JSON.stringify(event)}\n`) },
    { dir, listen: ['/ip4/127.0.0.1/tcp/0'], networkKey },
  );
  await engine.start();
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const facts = () => ({
    loopP99Ms: Math.round(delay.percentile(99) / 1e4) / 100,
    loopMaxMs: Math.round(delay.max / 1e4) / 100,
    rssMb: Math.round(process.memoryUsage().rss / 1e6),
    cpuSeconds: Math.round(process.cpuUsage(cpuAtStart).user / 1e4 + cpuSystem()) / 100,
  });
  const cpuAtStart = process.cpuUsage();
  const cpuSystem = (): number => process.cpuUsage(cpuAtStart).system / 1e4;
  const pinned = (cid: string): Promise<void> =>
    new Promise((resolve) => {
      engine.onPinChange((status) => {
        if (status.cid === cid && status.state === 'pinned') resolve();
      });
    });
  process.on('message', async (request: Request) => {
    if (request.op === 'add') {
      const startMs = performance.now();
      const item = await engine.add(entries(request.megabytes, request.files), () => undefined);
      process.send?.({ item, addMs: performance.now() - startMs, ...facts() });
    } else if (request.op === 'pin') {
      const done = pinned(request.cid);
      engine.setProviders([request.provider]);
      engine.pin(request.cid);
      await done;
      process.send?.({ ok: true, ...facts() });
    } else if (request.op === 'facts') {
      process.send?.(facts());
    } else {
      await engine.stop();
      process.disconnect();
    }
  });
  process.send?.({ provider: engine.provider(), ...facts() });
}

function ask<T>(target: ChildProcess, request: Request | null): Promise<T> {
  const answer = new Promise<T>((resolve) => target.once('message', (m) => resolve(m as T)));
  if (request !== null) target.send(request);
  return answer;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      megabytes: { type: 'string', default: '100' },
      files: { type: 'string', default: '20' },
      targets: { type: 'string', default: '2' },
      child: { type: 'string' },
    },
  });
  if (values.child !== undefined) return child(values.child);
  const base = mkdtempSync(join(tmpdir(), 'bellwether-bench-'));
  const count = 1 + Number(values.targets);
  const nodes = Array.from({ length: count }, (_, i) =>
    fork(import.meta.filename, ['--child', join(base, String(i))]),
  );
  const started = await Promise.all(
    nodes.map((node) => ask<{ provider: Provider; rssMb: number }>(node, null)),
  );
  const [source, ...targets] = nodes;
  const provider = started[0]?.provider;
  if (source === undefined || provider === undefined) throw new Error('no source');
  const megabytes = Number(values.megabytes);
  const files = Number(values.files);
  type Added = { item: { cid: string; bytes: number; blocks: number }; addMs: number };
  const added = await ask<Added>(source, { op: 'add', megabytes, files });
  const startMs = performance.now();
  const cid = added.item.cid;
  const pins = await Promise.all(targets.map((t) => ask<object>(t, { op: 'pin', cid, provider })));
  const seconds = (performance.now() - startMs) / 1000;
  const served = await ask<object>(source, { op: 'facts' });
  const perCopy = added.item.bytes / 1e6 / seconds;
  const report = {
    bytes: added.item.bytes,
    blocks: added.item.blocks,
    addMbPerSecond: Math.round(added.item.bytes / 1e3 / added.addMs),
    seconds: Math.round(seconds * 1000) / 1000,
    mbPerSecondEachCopy: Math.round(perCopy),
    mbPerSecondAllCopies: Math.round(perCopy * targets.length),
    idleRssMb: started.map((one) => one.rssMb),
    source: { added, served },
    targets: pins,
  };
  process.stdout.write(`${JSON.stringify(report)}\n`);
  for (const node of nodes) node.send({ op: 'stop' } satisfies Request);
  await Promise.all(nodes.map((node) => new Promise((resolve) => node.once('exit', resolve))));
  rmSync(base, { recursive: true, force: true });
}

await main();
