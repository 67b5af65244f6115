/** The log in memory: chaining, cutting back, compaction, and the configuration in force. */
import { describe, expect, test } from 'vitest';
import { emptyBase, Log } from '../../../src/consensus/log.ts';
import { encodeConfiguration } from '../../../src/wire/configuration.ts';
import { chained, chainStart } from '../../../src/wire/entry.ts';
import { certificateOf } from '../../scenario/cluster.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const configuration = (voters: string[]): Uint8Array =>
  encodeConfiguration({
    members: voters.map((id) => certificateOf(id, 'master')),
    voters,
    outgoing: null,
  });

function filled(count: number): Log {
  const log = new Log('epoch', emptyBase(), []);
  for (let i = 1; i <= count; i += 1) log.append(Math.ceil(i / 3), 'command', bytes(`${i}`));
  return log;
}

describe('Log', () => {
  test('chains every entry to the one before it', () => {
    const log = filled(5);
    let previous = chainStart;
    for (let i = 1; i <= 5; i += 1) {
      const entry = log.get(i);
      expect(entry && chained(entry, previous, 'epoch')).toBe(true);
      previous = log.hashAt(i) ?? '';
    }
    expect(log.termAt(5)).toBe(2);
    expect(log.termAt(6)).toBeNull();
  });

  test('cutting back undoes configurations and durability', () => {
    const log = new Log('epoch', emptyBase(), []);
    log.append(1, 'config', configuration(['a']));
    log.append(1, 'config', configuration(['a', 'b']));
    log.durable = 2;
    expect(log.configuration.voters).toEqual(['a', 'b']);
    log.cutBackTo(1);
    expect(log.configuration.voters).toEqual(['a']);
    expect([log.durable, log.lastIndex]).toEqual([1, 1]);
  });

  test('compaction keeps the configuration that was in force there', () => {
    const log = new Log('epoch', emptyBase(), []);
    log.append(1, 'config', configuration(['a']));
    log.append(1, 'command', bytes('x'));
    log.append(2, 'config', configuration(['a', 'b']));
    log.append(2, 'command', bytes('y'));
    const before = log.hashAt(2);
    log.compactTo(2);
    expect(log.base).toMatchObject({ index: 2, term: 1, hash: before, configurationIndex: 1 });
    expect(log.base.configuration.voters).toEqual(['a']);
    expect(log.configuration.voters).toEqual(['a', 'b']);
    expect(log.firstIndex).toBe(3);
    log.compactTo(4);
    expect(log.base.configuration.voters).toEqual(['a', 'b']);
    expect([log.lastIndex, log.lastTerm, log.bytes]).toEqual([4, 2, 0]);
  });

  test('slices by count and bytes, at least one', () => {
    const log = filled(9);
    expect(log.slice(1, 9, 4, 1e9).map((entry) => entry.index)).toEqual([1, 2, 3, 4]);
    expect(log.slice(3, 9, 100, 1).map((entry) => entry.index)).toEqual([3]);
    expect(log.slice(10, 9, 100, 1)).toEqual([]);
  });

  test.each([
    [2, 3, true, false],
    [2, 2, false, true],
    [1, 9, false, true],
    [3, 1, true, false],
    [2, 4, true, false],
  ])('(term %i, index %i) covers a log that ends at (2, 3)', (term, index, covers, shorter) => {
    const log = new Log('epoch', emptyBase(), []);
    for (const t of [1, 2, 2]) log.append(t, 'command', bytes('x'));
    expect(log.covers(term, index)).toBe(covers);
    expect(shorter).toBe(!covers);
    expect(log.isBehind(term, index)).toBe(covers && !(term === 2 && index === 3));
  });

  test('keeps a tail within both limits', () => {
    const log = filled(100);
    expect(log.cutFor(90, 20, 1e9)).toBe(80);
    expect(log.cutFor(50, 20, 1e9)).toBe(50);
    expect(log.cutFor(90, 1000, 1e9)).toBe(0);
    expect(log.cutFor(90, 1000, 1)).toBe(90);
  });
});
