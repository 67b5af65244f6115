/** The dumb second implementation of sessions and registers. */
import { expect, test } from 'vitest';
import { createOracle } from '../../../src/sim/oracle.ts';
import {
  type CommandResult,
  encodeEnvelope,
  encodeResult,
  type SimpleCommand,
} from '../../../src/wire/command.ts';
import type { Entry } from '../../../src/wire/entry.ts';

const session = 'a'.repeat(32);
const ok = (index: number, version: number | null): CommandResult => ({
  ...{ ok: true, index, version, value: null },
});

function entry(index: number, seq: number, expectedVersion: number | null = null): Entry {
  const command: SimpleCommand =
    seq === 0
      ? { type: 'session.open', node: 'n' }
      : { type: 'index.put', index: 'peer_lists', key: 'k', value: {}, expectedVersion };
  const data = encodeEnvelope({ v: 1, session, seq, atMs: 0, idempotency: null, command });
  return { index, term: 1, kind: 'command', data, hash: '' };
}

test('accepts what is right and names what is wrong', () => {
  const oracle = createOracle();
  const take = (item: Entry, result: CommandResult) =>
    oracle.take(item, { index: item.index, result: encodeResult(result) });
  expect(take(entry(1, 0), ok(1, null))).toBeNull();
  expect(take(entry(2, 1), ok(2, 2))).toBeNull();
  expect(take(entry(3, 1), ok(2, 2))).toBeNull();
  expect(oracle.versionAt('peer_lists/k', 3)).toBe(2);
  expect(take(entry(4, 1), ok(4, 4))).toMatch(/repeats/);
  expect(take(entry(5, 2, 1), ok(5, 5))).toMatch(/entry 5 answered/);
  const refused: CommandResult = { ok: false, index: 6, code: 'conflict', detail: '' };
  expect(take(entry(6, 3, 1), refused)).toBeNull();
  expect(take(entry(7, 4, 2), ok(7, 7))).toBeNull();
  expect(oracle.versionAt('peer_lists/k', 6)).toBe(2);
  expect(oracle.versionAt('peer_lists/k', 7)).toBe(7);
});
