import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { present } from '../../../src/base/assert.ts';
import { openCatalog } from '../../../src/catalog/catalog.ts';
import { chunkBytesMax } from '../../../src/catalog/dump.ts';
import { ask } from './ask.ts';
import { allocate, cidOf, createBench, pin, put } from './log-writer.ts';

function filled() {
  const bench = createBench();
  const { run } = bench;
  for (let i = 0; i < 40; i++) run(put(`key-${i}`, { i, text: 'x'.repeat(10) }));
  for (let i = 0; i < 10; i++) run(pin(cidOf(i)));
  run(allocate(cidOf(1), ['p1', 'p2'], 0));
  run({ type: 'pin.rm', cid: cidOf(2), expectedVersion: null });
  run({ ...put('m', { name: 'a walrus', text: 'swims' }), index: 'content_metadata' });
  run(put('i', {}), { idempotency: { key: 'k', requestHash: 'h'.repeat(64) } });
  return bench;
}

describe('dump and restore', () => {
  test('give the same state, derived tables included', () => {
    const { catalog, db } = filled();
    const other = new DatabaseSync(':memory:');
    const copy = openCatalog(other);
    copy.restore(catalog.dump());
    expect(copy.digest()).toBe(catalog.digest());
    expect(copy.recomputedDigest()).toBe(catalog.digest());
    expect(copy.appliedIndex()).toBe(catalog.appliedIndex());
    for (const [name, args] of [
      ['stats', {}],
      ['allocations.forPeer', { peer: 'p1' }],
      ['search.text', { text: 'walrus' }],
      ['pins.list', {}],
    ] as const)
      expect(ask(other, name, args)).toEqual(ask(db, name, args));
    expect(Buffer.concat([...copy.dump()]).equals(Buffer.concat([...catalog.dump()]))).toBe(true);
  });

  test('chunks are at most 64 KiB although a row may be larger', () => {
    const { catalog, run } = createBench();
    run(put('big', { text: 'x'.repeat(300_000) }));
    const chunks = [...catalog.dump()];
    expect(chunks.length).toBeGreaterThan(4);
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBe(chunkBytesMax);
    const copy = openCatalog(new DatabaseSync(':memory:'));
    copy.restore(chunks);
    expect(copy.recomputedDigest()).toBe(catalog.digest());
  });

  test('however the stream is cut into chunks', () => {
    const { catalog } = filled();
    const bytes = Buffer.concat([...catalog.dump()]);
    for (const size of [1, 7, 1000]) {
      const copy = openCatalog(new DatabaseSync(':memory:'));
      const cut = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      copy.restore(cut);
      expect(copy.digest()).toBe(catalog.digest());
    }
  });

  test('a flipped byte or a cut is refused and leaves the old state', () => {
    const { catalog } = createBench();
    const bytes = Buffer.concat([...catalog.dump()]);
    const { catalog: target, run } = createBench();
    run(put('mine', { n: 1 }));
    const before = target.digest();
    const refuses = (damaged: Uint8Array): void => {
      expect(() => target.restore([damaged])).toThrow(expect.objectContaining({ code: 'damaged' }));
      expect(target.digest()).toBe(before);
    };
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at] = present(flipped[at], 'a byte') ^ 0x20;
      refuses(flipped);
    }
    for (let length = 0; length < bytes.length; length += 3) refuses(bytes.subarray(0, length));
    refuses(Buffer.concat([bytes, Buffer.from([0, 0, 0, 1, 0xf6])]));
    expect(target.recomputedDigest()).toBe(before);
    run(put('mine', { n: 2 }));
  });
});
