/**
 * What every content engine must do, whatever stores the blocks. A suite gets three started engines
 * with empty stores that may reach each other; the first is told of no provider, the others are told
 * by the tests.
 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { present } from '../../src/base/assert.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { AddEntry, ContentEngine, PinStatus } from '../../src/content/api.ts';

export interface ContentFlock {
  readonly engines: readonly ContentEngine[];
  close(): Promise<void>;
}

export type Tree = Record<string, Uint8Array | null>;

export function bytesOf(seed: number, length: number): Uint8Array {
  const prng = createPrng(seed);
  return Buffer.from(prng.hex(length), 'hex');
}

export async function* entriesOf(tree: Tree, pieceBytes = 50_000): AsyncGenerator<AddEntry> {
  for (const [path, bytes] of Object.entries(tree)) {
    if (bytes === null) yield { path, content: null };
    else yield { path, content: pieces(bytes, pieceBytes) };
  }
}

async function* pieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += pieceBytes)
    yield bytes.subarray(from, from + pieceBytes);
}

export async function readAll(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

/** Resolves with the first status of that pin that satisfies `wanted`. */
export function pinStatus(
  engine: ContentEngine,
  cid: string,
  wanted: (status: PinStatus) => boolean,
): Promise<PinStatus> {
  return new Promise((resolve) => {
    engine.onPinChange((status) => {
      if (status.cid === cid && wanted(status)) resolve(status);
    });
  });
}

export async function pinHere(engine: ContentEngine, cid: string): Promise<PinStatus> {
  const done = pinStatus(engine, cid, (status) => status.state === 'pinned');
  engine.pin(cid);
  return done;
}

const noProgress = (): void => undefined;
const soon = { timeoutMs: 5000 };
/** A CID that nobody has. */
export const nobodysCid = (seed: number): string => {
  const digest = createHash('sha256').update(`nobody ${seed}`).digest();
  const bytes = Buffer.concat([Buffer.from([0x01, 0x55, 0x12, 0x20]), digest]);
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
  let [text, bits, value] = ['b', 0, 0];
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += alphabet[(value >> (bits - 5)) & 31];
    value &= (1 << bits) - 1;
  }
  return bits > 0 ? text + alphabet[(value << (5 - bits)) & 31] : text;
};

export function contentConformance(name: string, open: () => Promise<ContentFlock>): void {
  describe(`${name}: what every content engine does`, () => {
    let flock: ContentFlock;
    let first: ContentEngine;
    let second: ContentEngine;
    let third: ContentEngine;

    beforeAll(async () => {
      flock = await open();
      first = present(flock.engines[0], 'first engine');
      second = present(flock.engines[1], 'second engine');
      third = present(flock.engines[2], 'third engine');
      first.setProviders([second.provider(), third.provider()]);
      second.setProviders([first.provider(), third.provider()]);
      third.setProviders([first.provider(), second.provider()]);
    }, 60_000);
    afterAll(() => flock.close());

    test('a single file has its own CID and no folder around it', async () => {
      const bytes = bytesOf(1, 1000);
      const seen: number[] = [];
      const item = await first.add(entriesOf({ 'one.bin': bytes }), (done) => seen.push(done));
      expect(item).toMatchObject({ bytes: 1000, blocks: 1, files: 1 });
      expect((await readAll(first.cat(item.cid, '', soon))).equals(present(bytes, 'bytes'))).toBe(
        true,
      );
      expect(await first.ls(item.cid, '', soon)).toEqual([{ path: '', type: 'file', bytes: 1000 }]);
      expect(seen.at(-1)).toBe(1000);
    });

    test('a folder keeps its names, empty files, empty folders and depth', async () => {
      const tree: Tree = {
        'root/empty': new Uint8Array(),
        'root/Zoë und 日本/ф.txt': bytesOf(2, 10),
        [`root/${'deep/'.repeat(40)}leaf`]: bytesOf(3, 10),
        'root/void': null,
        'root/void2/inner': null,
        'root/ leading space': bytesOf(4, 3),
        'root/-n': bytesOf(5, 3),
        'root/%2e%2e': bytesOf(6, 3),
      };
      const item = await first.add(entriesOf(tree), noProgress);
      expect(item).toMatchObject({ files: 6, bytes: 29 });
      const listed = await first.ls(item.cid, '', soon);
      const paths = new Map(listed.map((entry) => [entry.path, entry]));
      for (const [path, bytes] of Object.entries(tree)) {
        const below = path.slice('root/'.length);
        const type = bytes === null ? 'directory' : 'file';
        expect(paths.get(below)).toEqual({ path: below, type, bytes: bytes?.length ?? 0 });
        if (bytes !== null)
          expect(
            (await readAll(first.cat(item.cid, below, soon))).equals(present(bytes, 'bytes')),
          ).toBe(true);
      }
      expect(listed.filter((entry) => entry.type === 'file')).toHaveLength(6);
    });

    test('several top entries get one folder around them, an empty folder alone is a root', async () => {
      const item = await first.add(
        entriesOf({ a: bytesOf(1, 5), 'b/c': bytesOf(2, 5) }),
        noProgress,
      );
      const paths = (await first.ls(item.cid, '', soon)).map((entry) => entry.path);
      expect(paths.sort()).toEqual(['a', 'b', 'b/c']);
      const none = await first.add(entriesOf({ nothing: null }), noProgress);
      expect(await first.ls(none.cid, '', soon)).toEqual([]);
      expect(none).toMatchObject({ blocks: 1, bytes: 0, files: 0 });
    });

    test('the same content has the same CID and is stored once', async () => {
      const tree = { 'x/1': bytesOf(9, 70_000), 'x/2': bytesOf(9, 70_000), 'x/3': bytesOf(8, 10) };
      const one = await first.add(entriesOf(tree), noProgress);
      const before = await first.usage();
      const two = await first.add(entriesOf(tree, 777), noProgress);
      expect(two).toEqual(one);
      expect(await first.usage()).toMatchObject({ blocks: before.blocks });
      expect(one.blocks).toBe(3); // the folder and two different files
    });

    const long = 'n'.repeat(256);
    const refusedPaths = [
      ['', 'empty name'],
      ['/etc/passwd', 'absolute'],
      ['a/../b', '..'],
      ['..', '..'],
      ['a//b', 'empty name'],
      ['a/', 'empty name'],
      ['./a', 'the name .'],
      ['a\0b', 'NUL'],
      [long, '255'],
      [`${'x/'.repeat(2100)}y`, '4096'],
      ['\ud800', 'Unicode'],
    ] as const;
    test.each(refusedPaths)('adding the path %.20s is refused: %s', async (path, why) => {
      const before = await first.pins();
      const adding = first.add(entriesOf({ ok: bytesOf(1, 3), [path]: bytesOf(1, 3) }), noProgress);
      await expect(adding).rejects.toMatchObject({
        code: 'bad-request',
        message: expect.stringMatching(new RegExp(`^path .*${why.replaceAll('.', '\\.')}`, 's')),
      });
      expect(await first.pins()).toEqual(before);
    });

    test('a path twice, or as file and folder, is refused', async () => {
      const twice = async function* (): AsyncGenerator<AddEntry> {
        yield* entriesOf({ a: bytesOf(1, 1) });
        yield* entriesOf({ a: bytesOf(2, 1) });
      };
      await expect(first.add(twice(), noProgress)).rejects.toMatchObject({ code: 'bad-request' });
      const both = entriesOf({ a: bytesOf(1, 1), 'a/b': bytesOf(2, 1) });
      await expect(first.add(both, noProgress)).rejects.toMatchObject({ code: 'bad-request' });
      await expect(first.add(entriesOf({}), noProgress)).rejects.toMatchObject({
        code: 'bad-request',
      });
    });

    test('a source that breaks fails the add with its own error and leaves nothing', async () => {
      const before = await first.usage();
      const broken = async function* (): AsyncGenerator<AddEntry> {
        yield { path: 'd/good', content: pieces(bytesOf(31, 2_500_000), 100_000) };
        yield {
          path: 'd/bad',
          content: (async function* () {
            yield bytesOf(32, 1_500_000);
            throw new Error('the disk of the caller broke');
          })(),
        };
      };
      const adding = first.add(broken(), noProgress);
      await expect(adding).rejects.toThrow('the disk of the caller broke');
      const { blocks, bytesStored } = await first.usage();
      expect({ blocks, bytesStored }).toEqual({
        blocks: before.blocks,
        bytesStored: before.bytesStored,
      });
    });

    test.each(['', 'hello', 'Qm', 'bafy', `b${'a'.repeat(300)}`, '../x'])(
      'the CID %.20j is refused by every operation',
      async (cid) => {
        const refused = { code: 'bad-request', message: expect.stringContaining('cid ') };
        expect(() => first.pin(cid)).toThrow(expect.objectContaining(refused));
        await expect(first.unpin(cid)).rejects.toMatchObject(refused);
        await expect(first.verify(cid)).rejects.toMatchObject(refused);
        await expect(first.prove(cid, 0, 'n')).rejects.toMatchObject(refused);
        await expect(first.ls(cid, '', soon)).rejects.toMatchObject(refused);
        await expect(readAll(first.cat(cid, '', soon))).rejects.toMatchObject(refused);
      },
    );

    test('reading what is not there says so', async () => {
      const item = await first.add(entriesOf({ 'd/f': bytesOf(1, 3) }), noProgress);
      const missing = readAll(first.cat(item.cid, 'nope', soon));
      await expect(missing).rejects.toMatchObject({ code: 'not-found' });
      const folder = readAll(first.cat(item.cid, '', soon));
      await expect(folder).rejects.toMatchObject({ code: 'bad-request' });
      const upwards = readAll(first.cat(item.cid, '../f', soon));
      await expect(upwards).rejects.toMatchObject({ code: 'bad-request' });
    });

    test('a pin brings every block here, verified; reading needs nobody then', async () => {
      const tree = { 'big/a': bytesOf(11, 5_300_000), 'big/b': bytesOf(12, 20), 'big/c/d': null };
      const item = await first.add(entriesOf(tree), noProgress);
      const [here, there] = await Promise.all([
        pinHere(second, item.cid),
        pinHere(third, item.cid),
      ]);
      for (const status of [here, there]) {
        expect(status).toMatchObject({ blocks: item.blocks, attempts: 0, lastError: null });
        expect(status.bytesDone).toBe(status.bytesTotal);
      }
      expect(await second.verify(item.cid)).toMatchObject({ blocks: item.blocks });
      second.setProviders([]);
      expect(
        (await readAll(second.cat(item.cid, 'a', soon))).equals(present(tree['big/a'], 'bytes')),
      ).toBe(true);
      second.setProviders([first.provider(), third.provider()]);
    });

    test('two nodes prove the same block with the same answer, and only what they have', async () => {
      const item = await first.add(entriesOf({ f: bytesOf(21, 3_000_000) }), noProgress);
      await pinHere(second, item.cid);
      const answers = new Set<string>();
      for (let i = 0; i < item.blocks; i++) {
        const nonce = `nonce ${i}`;
        const mine = await first.prove(item.cid, i, nonce);
        expect(await second.prove(item.cid, i, nonce)).toBe(mine);
        expect(mine).toMatch(/^[0-9a-f]{64}$/);
        answers.add(mine);
      }
      expect(answers.size).toBe(item.blocks);
      const beyond = first.prove(item.cid, item.blocks, 'n');
      await expect(beyond).rejects.toMatchObject({ code: 'not-found' });
      const unpinned = first.prove(nobodysCid(1), 0, 'n');
      await expect(unpinned).rejects.toMatchObject({ code: 'not-found' });
    });

    test('what nobody has is unavailable with a reason, and found when somebody has it', async () => {
      const reading = readAll(second.cat(nobodysCid(2), '', { timeoutMs: 1500 }));
      await expect(reading).rejects.toMatchObject({ code: 'unavailable' });
      const bytes = bytesOf(41, 2_100_000);
      const rehearsal = await first.add(entriesOf({ late: bytes }), noProgress);
      await first.unpin(rehearsal.cid);
      await first.collectGarbage();
      const waiting = pinStatus(second, rehearsal.cid, (s) => s.state === 'unavailable');
      second.pin(rehearsal.cid);
      expect(await waiting).toMatchObject({ attempts: 1 });
      expect((await waiting).lastError).toMatch(/unavailable: /);
      const found = pinStatus(second, rehearsal.cid, (s) => s.state === 'pinned');
      await first.add(entriesOf({ late: bytes }), noProgress);
      expect((await found).blocks).toBe(rehearsal.blocks);
    });

    test('remote content can be read without pinning and is not kept', async () => {
      const tree = { 'r/a': bytesOf(51, 2_200_000), 'r/b': bytesOf(52, 5) };
      const item = await first.add(entriesOf(tree), noProgress);
      const before = await third.usage();
      expect(await third.ls(item.cid, '', soon)).toHaveLength(2);
      expect(
        (await readAll(third.cat(item.cid, 'a', soon))).equals(present(tree['r/a'], 'bytes')),
      ).toBe(true);
      expect(await third.usage()).toMatchObject({ blocks: before.blocks });
    });

    test('collection deletes blocks of no pin and keeps what another pin shares', async () => {
      const shared = bytesOf(61, 3_000_000);
      const one = await third.add(
        entriesOf({ 'g/s': shared, 'g/1': bytesOf(62, 100) }),
        noProgress,
      );
      const two = await third.add(
        entriesOf({ 'g/s': shared, 'g/2': bytesOf(63, 100) }),
        noProgress,
      );
      await third.collectGarbage();
      const before = await third.usage();
      await third.unpin(one.cid);
      const collected = await third.collectGarbage();
      expect(collected.blocks).toBe(2); // the folder and its own file
      expect(await third.usage()).toMatchObject({
        blocks: before.blocks - 2,
        bytesStored: before.bytesStored - collected.bytes,
      });
      await third.verify(two.cid);
      await expect(third.verify(one.cid)).rejects.toMatchObject({ code: 'not-found' });
      expect((await third.pins()).map((pin) => pin.cid)).not.toContain(one.cid);
      expect(await third.collectGarbage()).toEqual({ blocks: 0, bytes: 0 });
    });

    test('pinning and unpinning again and again is harmless', async () => {
      const item = await first.add(entriesOf({ again: bytesOf(71, 10) }), noProgress);
      for (let i = 0; i < 3; i++) second.pin(item.cid);
      await pinHere(second, item.cid);
      second.pin(item.cid);
      const mine = (await second.pins()).filter((pin) => pin.cid === item.cid);
      expect(mine).toHaveLength(1);
      await second.unpin(item.cid);
      await second.unpin(item.cid);
      expect((await second.pins()).map((pin) => pin.cid)).not.toContain(item.cid);
    });
  });
}
