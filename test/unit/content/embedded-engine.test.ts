import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { present } from '../../../src/base/assert.ts';
import type { AddEntry } from '../../../src/content/api.ts';
import type { EngineEvent } from '../../../src/content/embedded-engine.ts';
import {
  bytesOf,
  entriesOf,
  nobodysCid,
  pinHere,
  pinStatus,
  readAll,
} from '../../conformance/content.ts';
import { until } from '../mesh/flock.ts';
import {
  createEnginePlace,
  distinctBlocks,
  type EnginePlace,
  meet,
  whenAll,
} from './engine-place.ts';

const noProgress = (): void => undefined;
let place: EnginePlace;
beforeEach(async () => {
  place = await createEnginePlace();
});
afterEach(() => place.close());

/** Paths of all block files. */
function blockFiles(dir: string): string[] {
  const blocks = join(dir, 'blocks');
  return readdirSync(blocks, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Changes one byte in the middle of the file. */
function flip(path: string): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(path, bytes);
}

async function* oneFile(megabytes: number, seed = 0): AsyncGenerator<AddEntry> {
  yield { path: 'file', content: distinctBlocks(megabytes, seed) };
}

describe('durability', () => {
  test('pins, identity and blocks outlive the process; leftovers of a crash are removed', async () => {
    const first = await place.openHere('a');
    const { peerId } = first.engine.provider();
    const item = await first.engine.add(entriesOf({ 'd/f': bytesOf(1, 2_000_000) }), noProgress);
    await first.stop();
    await mkdir(join(first.dir, 'tmp'), { recursive: true });
    await writeFile(join(first.dir, 'tmp', '77'), 'half a block');
    const second = await place.openHere('a');
    expect(second.engine.provider().peerId).toBe(peerId);
    expect(await second.engine.verify(item.cid)).toMatchObject({ blocks: item.blocks });
    expect(await second.engine.pins()).toMatchObject([{ cid: item.cid, state: 'pinned' }]);
    expect(readdirSync(join(second.dir, 'tmp'))).toEqual([]);
  });

  test('a block file without a record is not trusted and goes with the next collection', async () => {
    const source = await place.openHere('a');
    const item = await source.engine.add(entriesOf({ f: bytesOf(2, 500) }), noProgress);
    const path = present(blockFiles(source.dir)[0], 'the block');
    const target = await place.openHere('b');
    const copied = path.replace(source.dir, target.dir);
    await mkdir(join(copied, '..'), { recursive: true });
    writeFileSync(copied, (await readFile(path)).subarray(0, 100)); // torn: never made durable
    meet(target, source);
    await pinHere(target.engine, item.cid);
    expect(await target.engine.verify(item.cid)).toEqual({ blocks: 1, bytes: 500 });
    writeFileSync(copied.replace('BCIQ', 'BCIX'), 'stray');
    await target.engine.collectGarbage();
    expect(blockFiles(target.dir)).toEqual([copied]);
  });

  test('a pin under way when the process ends goes on after the restart', async () => {
    const source = await place.openHere('a');
    const item = await source.engine.add(oneFile(3), noProgress);
    const target = await place.openHere('b');
    const waiting = pinStatus(target.engine, item.cid, (s) => s.state === 'unavailable');
    target.engine.pin(item.cid);
    await waiting;
    await target.stop();
    const again = await place.openHere('b');
    const done = pinStatus(again.engine, item.cid, (s) => s.state === 'pinned');
    meet(again, source);
    expect((await done).blocks).toBe(item.blocks);
  });
});

describe('damage', () => {
  test.each([
    ['a flipped byte', (path: string) => flip(path)],
    ['a truncated file', (path: string) => truncateSync(path, 10)],
  ])('%s is found by verify, told, and mended from a provider', async (_, harm) => {
    const source = await place.openHere('a');
    const item = await source.engine.add(oneFile(2), noProgress);
    const target = await place.openHere('b');
    meet(target, source);
    await pinHere(target.engine, item.cid);
    harm(present(blockFiles(target.dir)[1], 'a block'));
    const mended = pinStatus(target.engine, item.cid, (s) => s.state === 'pinned');
    expect(await target.engine.prove(item.cid, 0, 'n')).toHaveLength(64);
    await expect(target.engine.verify(item.cid)).rejects.toMatchObject({ code: 'damaged' });
    await mended;
    expect(await target.engine.verify(item.cid)).toMatchObject({ blocks: item.blocks });
  });

  test('a damaged block is not taken over by whoever fetches from here', async () => {
    const source = await place.openHere('a');
    const item = await source.engine.add(oneFile(1), noProgress);
    flip(present(blockFiles(source.dir)[0], 'the block'));
    const target = await place.openHere('b', { stallMs: 700 });
    meet(target, source);
    const failed = pinStatus(target.engine, item.cid, (s) => s.attempts > 0);
    target.engine.pin(item.cid);
    expect(['failed', 'unavailable']).toContain((await failed).state);
  });
});

describe('lanes', () => {
  test('many dead pins do not hold up live ones', async () => {
    const source = await place.openHere('a');
    const live: string[] = [];
    for (let i = 0; i < 10; i++) {
      const item = await source.engine.add(entriesOf({ f: bytesOf(100 + i, 50_000) }), noProgress);
      live.push(item.cid);
    }
    const target = await place.openHere('b');
    meet(target, source);
    for (let i = 0; i < 1000; i++) target.engine.pin(nobodysCid(i));
    const done = whenAll(target.engine, live, (s) => s.state === 'pinned');
    for (const cid of live) target.engine.pin(cid);
    await done;
    const states = await target.engine.pins();
    expect(states.filter((s) => s.state === 'pinned')).toHaveLength(10);
    expect(states).toHaveLength(1010);
  }, 20_000);
});

describe('a full disk', () => {
  /** So much room, of which 10 MiB are the reserve. */
  const smallDisk = (megabytes: number) => ({
    reserveBytes: 10 * 1024 * 1024,
    diskFree: (dir: string) => {
      const stored = blockFiles(dir).reduce((sum, path) => sum + statSync(path).size, 0);
      return megabytes * 1024 * 1024 - stored;
    },
  });

  test('an add that would touch the reserve is refused with numbers and leaves nothing', async () => {
    const small = await place.openHere('a', smallDisk(40));
    const before = await small.engine.add(entriesOf({ f: bytesOf(1, 1000) }), noProgress);
    await expect(small.engine.add(oneFile(60), noProgress)).rejects.toMatchObject({
      code: 'disk-full',
      message: expect.stringMatching(/^\d+ bytes do not fit: \d+ bytes free, \d+ bytes reserved$/),
    });
    expect(await small.engine.usage()).toMatchObject({ blocks: 1, bytesStored: 1000 });
    expect(await readAll(small.engine.cat(before.cid, '', { timeoutMs: 1000 }))).toHaveLength(1000);
    await small.engine.add(entriesOf({ g: bytesOf(2, 1000) }), noProgress);
  }, 60_000);

  test('a pin that does not fit fails before it is fetched; the engine goes on', async () => {
    const source = await place.openHere('a');
    const big = await source.engine.add(oneFile(60), noProgress);
    const little = await source.engine.add(oneFile(1, 7), noProgress);
    const target = await place.openHere('b', smallDisk(40));
    meet(target, source);
    const failed = pinStatus(target.engine, big.cid, (s) => s.state === 'failed');
    target.engine.pin(big.cid);
    expect((await failed).lastError).toMatch(/^disk-full: \d+ bytes do not fit/);
    await pinHere(target.engine, little.cid);
    expect((await target.engine.usage()).blocks).toBe(1);
  }, 60_000);
});

describe('the thread', () => {
  test('its death rejects what is pending, is reported, and a new one goes on', async () => {
    const { engine, worker, events } = await place.open('a');
    const item = await engine.add(entriesOf({ f: bytesOf(3, 1000) }), noProgress);
    let went = false;
    const endless = async function* (): AsyncGenerator<AddEntry> {
      const content = async function* () {
        for (let i = 0; !went; i++) yield* distinctBlocks(1, i);
      };
      yield { path: 'endless', content: content() };
    };
    const adding = engine.add(endless(), noProgress).finally(() => {
      went = true;
    });
    const settled = Promise.allSettled([adding, engine.usage()]);
    void worker().terminate();
    await settled;
    await expect(adding).rejects.toMatchObject({ code: 'unavailable' });
    await expect(engine.usage()).rejects.toMatchObject({ code: 'unavailable' });
    await expect
      .poll(() => events.map((event) => event.type), { timeout: 10_000 })
      .toEqual(['content-died', 'content-restarted']);
    expect(await engine.verify(item.cid)).toMatchObject({ blocks: 1 });
    // What the add had stored is garbage now and goes.
    await engine.collectGarbage();
    expect(await engine.usage()).toMatchObject({ blocks: 1 });
  });

  test('a bad network key refuses to start; nothing is restarted', async () => {
    const events: EngineEvent[] = [];
    const opening = place.open('a', { networkKey: 'no key' }, events);
    await expect(opening).rejects.toMatchObject({ code: 'bad-request' });
    expect(events).toEqual([]);
  });

  test('a first start that fails is told with its reason and tried again', async () => {
    const events: EngineEvent[] = [];
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const listen = [`/ip4/127.0.0.1/tcp/${port}`];
    await expect(place.open('a', { listen }, events)).rejects.toThrow(/EADDRINUSE|in use/);
    await until(() => events.length > 0);
    expect(events[0]).toMatchObject({
      type: 'content-died',
      error: expect.stringMatching(`${port}`),
    });
    other.close();
    await until(() => events.some(({ type }) => type === 'content-restarted'));
  });

  test('after the stop every call says so', async () => {
    const { engine, stop } = await place.open('a');
    await stop();
    await expect(engine.usage()).rejects.toMatchObject({ code: 'stopped' });
  });

  test('another network key keeps a host out', async () => {
    const source = await place.open('a');
    const item = await source.engine.add(entriesOf({ f: bytesOf(4, 10) }), noProgress);
    const stranger = await place.open('b', { networkKey: '01'.repeat(32) });
    stranger.engine.setProviders([source.engine.provider()]);
    const reading = readAll(stranger.engine.cat(item.cid, '', { timeoutMs: 4000 }));
    await expect(reading).rejects.toMatchObject({ code: 'unavailable' });
    const told = () => source.events.find(({ type }) => type === 'content-stranger');
    await until(() => told() !== undefined);
    expect(told()).toMatchObject({ last: { code: 'handshake-failed', peer: null } });
  });
});

describe('network keys', () => {
  const [old, next] = ['ef'.repeat(32), '01'.repeat(32)] as const;
  const both = { sending: old, accepted: [next, old] };

  test('another one is accepted from the moment it is set, and refused again when it is dropped', async () => {
    const source = await place.open('a');
    const item = await source.engine.add(entriesOf({ f: bytesOf(6, 1000) }), noProgress);
    const reader = await place.open('b', { networkKey: next });
    const provider = () => source.engine.provider();
    await source.engine.setNetworkKeys(both);
    source.engine.setProviders([reader.engine.provider()]);
    reader.engine.setProviders([provider()]);
    const reading = reader.engine.cat(item.cid, '', { timeoutMs: 30_000 });
    expect((await readAll(reading)).length).toBe(1000);
    await source.engine.setNetworkKeys({ sending: old, accepted: [old] });
    await reader.stop();
    const again = await place.open('c', { networkKey: next });
    source.engine.setProviders([again.engine.provider()]);
    again.engine.setProviders([provider()]);
    const refused = again.engine.cat(item.cid, '', { timeoutMs: 4000 });
    await expect(readAll(refused)).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('who is let in', () => {
  test('a host that no member calls its own gets no block, and the listening side says so', async () => {
    const source = await place.openHere('a');
    const item = await source.engine.add(entriesOf({ f: bytesOf(5, 1000) }), noProgress);
    const stranger = await place.openHere('b');
    stranger.engine.setProviders([source.engine.provider()]);
    const reading = readAll(stranger.engine.cat(item.cid, '', { timeoutMs: 6000 }));
    await expect(reading).rejects.toMatchObject({ code: 'unavailable' });
    const { peerId } = stranger.engine.provider();
    await until(() => source.refused.length > 0);
    expect(source.refused[0]).toMatchObject({ code: 'not-a-member', peer: peerId });
  });

  test('one that is named a moment later was kept waiting; one that is no more is cut off', async () => {
    const source = await place.openHere('a');
    const one = await source.engine.add(entriesOf({ f: bytesOf(6, 1000) }), noProgress);
    const two = await source.engine.add(entriesOf({ f: bytesOf(7, 1000) }), noProgress);
    const target = await place.openHere('b');
    target.engine.setProviders([source.engine.provider()]);
    const reading = readAll(target.engine.cat(one.cid, '', { timeoutMs: 20_000 }));
    source.engine.setProviders([target.engine.provider()]);
    expect(await reading).toHaveLength(1000);
    source.engine.setProviders([]);
    const again = readAll(target.engine.cat(two.cid, '', { timeoutMs: 6000 }));
    await expect(again).rejects.toMatchObject({ code: 'unavailable' });
  });
});

test('two pins of overlapping content, unpinned and collected while fetching, stay whole', async () => {
  const source = await place.openHere('a');
  const shared = bytesOf(200, 4_000_000);
  const one = await source.engine.add(
    entriesOf({ 'x/s': shared, 'x/1': bytesOf(1, 9) }),
    noProgress,
  );
  const two = await source.engine.add(
    entriesOf({ 'x/s': shared, 'x/2': bytesOf(2, 9) }),
    noProgress,
  );
  const target = await place.openHere('b');
  meet(target, source);
  const done = pinHere(target.engine, two.cid);
  let fetching = true;
  const churn = (async () => {
    while (fetching) {
      target.engine.pin(one.cid);
      await target.engine.collectGarbage();
      await target.engine.unpin(one.cid);
    }
  })();
  await done;
  fetching = false;
  await churn;
  await target.engine.collectGarbage();
  expect(await target.engine.verify(two.cid)).toMatchObject({ blocks: two.blocks });
  expect((await target.engine.usage()).blocks).toBe(two.blocks);
});
