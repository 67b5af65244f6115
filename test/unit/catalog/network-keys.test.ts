/** The private network's keys in the log: one is sent, one may be added, all of them are accepted. */
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { openCatalog } from '../../../src/catalog/catalog.ts';
import { catalogLimits } from '../../../src/catalog/limits.ts';
import { type Command, decodeResult } from '../../../src/wire/command.ts';
import { networkKeyFingerprint, networkKeysMax } from '../../../src/wire/network-key.ts';
import { ask } from './ask.ts';
import { createLogWriter } from './log-writer.ts';

const keyOf = (n: number): string => n.toString(16).padStart(64, '0');
const print = (n: number): string => networkKeyFingerprint(keyOf(n));
const by = { owner: 'ann' };
const add = (current: number, next: number, cluster = 'c1'): Command => ({
  ...{ type: 'network-key.add', cluster, current: keyOf(current), key: keyOf(next), ...by },
});
const send = (n: number, automatic = false): Command => ({
  ...{ type: 'network-key.send', fingerprint: print(n), automatic, ...by },
});
const retire = (keep: number): Command => ({
  ...{ type: 'network-key.retire', keep: print(keep), ...by },
});

function setUp() {
  const db = new DatabaseSync(':memory:');
  const catalog = openCatalog(db, catalogLimits);
  const log = createLogWriter();
  catalog.apply([log.open()]);
  const run = (command: Command) => {
    const [applied] = catalog.apply([log.command(command)]);
    if (applied === undefined) throw new Error('nothing was applied');
    expect(catalog.digest()).toBe(catalog.recomputedDigest());
    return decodeResult(applied.result);
  };
  interface Listed {
    readonly keys: { fingerprint: string; state: string; atIndex: number; cluster: string }[];
  }
  const listed = () => (ask(db, 'network-keys.list') as Listed).keys;
  const states = () =>
    Object.fromEntries(listed().map(({ fingerprint, state }) => [fingerprint, state]));
  return { run, listed, states, index: log.index };
}

test('a whole rotation: added, sent, the old one retired', () => {
  const { run, states, listed, index } = setUp();
  expect(listed()).toEqual([]);
  expect(run(add(1, 2))).toMatchObject({ ok: true });
  expect(states()).toEqual({ [print(1)]: 'sending', [print(2)]: 'added' });
  expect(run(send(2))).toMatchObject({ ok: true });
  expect(states()).toEqual({ [print(1)]: 'accepted', [print(2)]: 'sending' });
  expect(listed()[0]).toMatchObject({ fingerprint: print(2), atIndex: index() });
  expect(run(retire(2))).toMatchObject({ ok: true });
  expect(states()).toEqual({ [print(2)]: 'sending' });
  // Which of two states is newer is told by the highest index, also after rows have gone.
  expect(listed()[0]?.atIndex).toBe(index());
});

test('steps out of order are refused and change nothing', () => {
  const { run, states } = setUp();
  expect(run(send(1))).toMatchObject({ ok: false, code: 'not-found' });
  expect(run(retire(1))).toMatchObject({ ok: false, code: 'conflict' });
  expect(run(add(1, 1))).toMatchObject({ ok: false, code: 'conflict' });
  run(add(1, 2));
  const before = states();
  expect(run(add(1, 3))).toMatchObject({ ok: false, code: 'conflict' });
  expect(run(retire(1))).toMatchObject({ ok: false, code: 'conflict' });
  expect(run(retire(2))).toMatchObject({ ok: false, code: 'conflict' });
  expect(states()).toEqual(before);
  expect(run(send(2))).toMatchObject({ ok: true });
  expect(run(send(2))).toMatchObject({ ok: true });
  expect(run(send(1))).toMatchObject({ ok: false, code: 'conflict' });
  expect(run(add(1, 3)), 'by whoever has not seen the switch').toMatchObject({ code: 'conflict' });
  expect(run(add(2, 1))).toMatchObject({ ok: false, code: 'conflict' });
  run(retire(2));
  expect(run(retire(2))).toMatchObject({ ok: false, code: 'not-found' });
});

test('only so many are accepted at once', () => {
  const { run, states } = setUp();
  for (let n = 1; n < networkKeysMax; n++) {
    expect(run(add(n, n + 1))).toMatchObject({ ok: true });
    run(send(n + 1));
  }
  const next = networkKeysMax + 1;
  expect(run(add(networkKeysMax, next))).toMatchObject({ ok: false, code: 'overloaded' });
  run(retire(networkKeysMax));
  expect(Object.keys(states())).toEqual([print(networkKeysMax)]);
  expect(run(add(networkKeysMax, next))).toMatchObject({ ok: true });
});

test('a pause stops the leader, not a person', () => {
  const { run, states } = setUp();
  run(add(1, 2));
  run({ type: 'pause.set', owner: 'ann', reason: '', expiresAtMs: null });
  expect(run(send(2, true))).toMatchObject({ ok: false, code: 'conflict' });
  expect(states()[print(2)]).toBe('added');
  expect(run(send(2))).toMatchObject({ ok: true });
});

test('the keys of the cluster that a backup was made of count for nothing and make room', () => {
  const { run, listed } = setUp();
  run(add(1, 2));
  expect(run(add(7, 8, 'c2'))).toMatchObject({ ok: true });
  expect(listed().map(({ cluster }) => cluster)).toEqual(['c2', 'c2']);
});
