import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encode as encodeCbor } from 'cborg';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMetrics } from '../../../src/agent/metrics.ts';
import { createSnapshots } from '../../../src/agent/snapshots.ts';
import type { Event, SnapshotMeta } from '../../../src/consensus/api.ts';
import type { Mesh } from '../../../src/mesh/api.ts';
import type { CatalogStore } from '../../../src/store/api.ts';

const metrics = createMetrics();
const bytes = Buffer.from('the whole catalog');
const sha256 = createHash('sha256').update(bytes).digest('hex');
const meta: SnapshotMeta = {
  clusterId: 'c'.repeat(32),
  epoch: 'e'.repeat(32),
  index: 12,
  term: 3,
  hash: '1'.repeat(64),
  configuration: { members: [], voters: ['a'], outgoing: null, leaving: ['b'] },
  configurationIndex: 4,
};
const headerOf = (change: Record<string, unknown> = {}): Uint8Array =>
  encodeCbor({ meta, requestId: 9, bytes: bytes.length, sha256, ...change });
async function* chunksOf(...chunks: Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* chunks;
}

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-snapshots-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function setUp(sendStream: Mesh['sendStream'] = async () => undefined, index = 12) {
  const events: Event[] = [];
  const failures: string[] = [];
  const snapshots = createSnapshots({
    dir: join(dir, 'incoming'),
    mesh: { sendStream } as Mesh,
    catalog: {
      snapshot: async () => {
        const path = join(dir, 'out.snapshot');
        writeFileSync(path, bytes);
        return { path, index, bytes: bytes.length, sha256 };
      },
    } as CatalogStore,
    metrics,
    metaAt: (at) => (at === 12 ? meta : null),
    post: (event) => events.push(event),
    onFailure: (text) => failures.push(text),
  });
  return { snapshots, events, failures };
}

describe('receiving', () => {
  test('a whole snapshot is on disk before the machine hears of it, with its configuration', async () => {
    const { snapshots, events } = setUp();
    await snapshots.receive('b', headerOf(), chunksOf(bytes.subarray(0, 5), bytes.subarray(5)));
    expect(events).toMatchObject([{ type: 'snapshot-received', from: 'b', meta, requestId: 9 }]);
    const [event] = events;
    const ref = event?.type === 'snapshot-received' ? event.ref : '';
    expect(readFileSync(ref)).toEqual(bytes);
    snapshots.installed(ref);
    await vi.waitFor(() => expect(existsSync(ref)).toBe(false));
  });

  test.each([
    ['a changed byte', headerOf(), [Buffer.from('the whole cAtalog')]],
    ['too few bytes', headerOf(), [bytes.subarray(1)]],
    ['too many bytes', headerOf(), [bytes, bytes]],
    ['another hash', headerOf({ sha256: '2'.repeat(64) }), [bytes]],
    ['a header without its meta', headerOf({ meta: null }), [bytes]],
  ])('%s is refused and leaves nothing behind', async (_, header, chunks) => {
    const { snapshots, events } = setUp();
    await expect(snapshots.receive('b', header, chunksOf(...chunks))).rejects.toThrow();
    expect(events).toEqual([]);
    const left = existsSync(join(dir, 'incoming')) ? readdirSync(join(dir, 'incoming')) : [];
    expect(left).toEqual([]);
  });

  test('only the newest two are kept', async () => {
    const { snapshots } = setUp();
    for (let i = 0; i < 4; i++) await snapshots.receive('b', headerOf(), chunksOf(bytes));
    await vi.waitFor(() => expect(readdirSync(join(dir, 'incoming'))).toHaveLength(2));
    await snapshots.clear();
    expect(readdirSync(join(dir, 'incoming'))).toEqual([]);
  });
});

describe('sending', () => {
  test('one at a time, and the file goes afterwards', async () => {
    const sent: string[] = [];
    const { snapshots, events } = setUp(async (to, name, _header, source) => {
      let text = '';
      for await (const chunk of source) text += Buffer.from(chunk).toString();
      sent.push(`${name} to ${to}: ${text}`);
    });
    snapshots.send({ to: 'b', requestId: 1, atLeast: 10 });
    snapshots.send({ to: 'c', requestId: 2, atLeast: 10 });
    await snapshots.idle();
    expect(sent).toEqual(['snapshot to b: the whole catalog', 'snapshot to c: the whole catalog']);
    expect(events).toEqual([
      { type: 'snapshot-sent', to: 'b', requestId: 1, ok: true },
      { type: 'snapshot-sent', to: 'c', requestId: 2, ok: true },
    ]);
    expect(existsSync(join(dir, 'out.snapshot'))).toBe(false);
  });

  test.each([
    ['older than wanted', 12, 13],
    ['of an index whose meta the log no longer has', 11, 1],
  ])('a snapshot %s is not sent, and the machine is told', async (_, index, atLeast) => {
    const { snapshots, events, failures } = setUp(undefined, index);
    snapshots.send({ to: 'b', requestId: 1, atLeast });
    await snapshots.idle();
    expect(events).toEqual([{ type: 'snapshot-sent', to: 'b', requestId: 1, ok: false }]);
    expect(failures).toHaveLength(1);
  });
});
