/**
 * How fast the log makes entries durable: latency of one append with its fsync, and throughput in
 * batches. Usage: node bench/log-append.ts [entry bytes]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PersistJob } from '../src/consensus/api.ts';
import { openLogStore } from '../src/store/log-store.ts';
import { chainStart, type Entry, makeEntry } from '../src/wire/entry.ts';

const bytes = Number(process.argv[2] ?? 256);
const epoch = 'e'.repeat(32);
let previousHash = chainStart;
let index = 0;
let id = 0;

function nextJob(count: number): PersistJob {
  const append: Entry[] = [];
  for (let i = 0; i < count; i++) {
    index += 1;
    const data = Buffer.alloc(bytes, index & 0xff);
    const entry = makeEntry({ previousHash, epoch, index, term: 1, kind: 'command', data });
    previousHash = entry.hash;
    append.push(entry);
  }
  id += 1;
  return { id, hardState: null, cutBackTo: null, append, installSnapshot: null };
}

const dir = await mkdtemp(join(process.env.BENCH_DIR ?? tmpdir(), 'bellwether-log-append-'));
try {
  const options = { dir: join(dir, 'log'), clusterId: 'c'.repeat(32), epoch, identity: 'bench' };
  const store = await openLogStore(options);
  for (const size of [1, 10, 100, 1000]) {
    const rounds = size === 1000 ? 100 : 500;
    const jobs = Array.from({ length: rounds }, () => nextJob(size));
    const times: number[] = [];
    const start = performance.now();
    for (const job of jobs) {
      const before = performance.now();
      await store.persist([job]);
      times.push(performance.now() - before);
    }
    const seconds = (performance.now() - start) / 1000;
    times.sort((a, b) => a - b);
    const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(2);
    const rate = Math.round((rounds * size) / seconds);
    const megabytes = ((rounds * size * bytes) / seconds / 1e6).toFixed(1);
    console.log(
      `batches of ${size}: ${rate} entries/s, ${megabytes} MB/s, ` +
        `append + fdatasync ms p50 ${at(0.5)} p99 ${at(0.99)} max ${at(0.9999)}`,
    );
  }
  const jobs = Array.from({ length: 20_000 }, () => nextJob(1));
  const start = performance.now();
  for (let i = 0; i < jobs.length; i += 512)
    await Promise.all(jobs.slice(i, i + 512).map((job) => store.persist([job])));
  const rate = Math.round((jobs.length / (performance.now() - start)) * 1000);
  console.log(`512 callers of one entry each: ${rate} entries/s`);
  const { fsyncMsMean, fsyncMsMax } = store.stats();
  console.log(`fsync ms mean ${fsyncMsMean.toFixed(2)} max ${fsyncMsMax.toFixed(2)}`);
  await store.close();
  const opening = performance.now();
  const again = await openLogStore(options);
  const openMs = Math.round(performance.now() - opening);
  console.log(`reopened with ${again.restored.entries.length} entries in ${openMs} ms`);
  await again.close();
} finally {
  await rm(dir, { recursive: true, force: true });
}
