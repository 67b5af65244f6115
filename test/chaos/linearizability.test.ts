/** The checker against histories whose verdict is known, and against random ones made by a register. */
import { expect, test } from 'vitest';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { Answer, Invocation, Operation } from './history.ts';
import { judgeHistory } from './linearizability.ts';

type Row = readonly [from: number, to: number, Operation, Answer | null];

const write = (value: string): Operation => ({ type: 'write', value });
const cas = (expected: number, value: string): Operation => ({ type: 'cas', value, expected });
const read: Operation = { type: 'read' };
const done = (version: number): Answer => ({ type: 'done', version });
const conflict = (version: number): Answer => ({ type: 'conflict', version });
const found = (value: string, version: number): Answer => ({ type: 'found', value, version });
const nothing: Answer = { type: 'nothing' };

const historyOf = (rows: readonly Row[]): Invocation[] =>
  rows.map(([startMs, endMs, operation, answer], i) => ({
    key: 'r',
    client: `c${i}`,
    operation,
    startMs,
    endMs: answer === null ? Infinity : endMs,
    answer,
  }));

const fine: Record<string, readonly Row[]> = {
  'a read during a write sees the old value or the new': [
    [0, 1, write('a'), done(1)],
    [2, 9, write('b'), done(2)],
    [3, 4, read, found('b', 2)],
    [0, 0.5, read, nothing],
  ],
  'two concurrent reads may see a concurrent write in either order of asking': [
    [0, 1, write('a'), done(1)],
    [2, 9, write('b'), done(2)],
    [3, 8, read, found('b', 2)],
    [4, 7, read, found('a', 1)],
  ],
  'an unknown write may have happened late': [
    [0, 1, write('a'), done(1)],
    [2, 0, write('b'), null],
    [3, 4, read, found('a', 1)],
    [5, 6, read, found('b', 2)],
  ],
  'an unknown write may never have happened': [
    [0, 1, write('a'), done(1)],
    [2, 0, write('b'), null],
    [3, 4, read, found('a', 1)],
  ],
  'a compare-and-set that lost tells the version of a write nobody else saw': [
    [0, 1, write('a'), done(1)],
    [2, 0, write('b'), null],
    [3, 4, cas(1, 'c'), conflict(2)],
    [5, 6, cas(2, 'd'), done(3)],
    [7, 8, read, found('d', 3)],
  ],
  'one of two compare-and-sets wins': [
    [0, 5, cas(0, 'a'), done(1)],
    [0, 5, cas(0, 'b'), conflict(1)],
    [6, 7, read, found('a', 1)],
  ],
};

const wrong: Record<string, readonly Row[]> = {
  'a stale read': [
    [0, 1, write('a'), done(1)],
    [2, 3, write('b'), done(2)],
    [4, 5, read, found('a', 1)],
  ],
  'a read of nothing after a write': [
    [0, 1, write('a'), done(1)],
    [2, 3, read, nothing],
  ],
  'a lost write': [
    [0, 1, write('a'), done(1)],
    [2, 3, write('b'), done(2)],
    [4, 5, cas(1, 'c'), done(3)],
  ],
  'reads that go back': [
    [0, 1, write('a'), done(1)],
    [2, 9, write('b'), done(2)],
    [3, 4, read, found('b', 2)],
    [5, 6, read, found('a', 1)],
  ],
  'two compare-and-sets of one version that both won': [
    [0, 1, write('a'), done(1)],
    [2, 5, cas(1, 'b'), done(2)],
    [2, 5, cas(1, 'c'), done(3)],
  ],
  'a conflict with the version that was expected': [
    [0, 1, write('a'), done(1)],
    [2, 3, cas(1, 'b'), conflict(1)],
  ],
  'a write that happened twice': [
    [0, 1, write('a'), done(1)],
    [2, 3, read, found('a', 1)],
    [4, 5, read, found('a', 2)],
  ],
  'an unknown write that happened before it was sent': [
    [0, 1, write('a'), done(1)],
    [2, 3, read, found('b', 2)],
    [4, 0, write('b'), null],
  ],
  'a value that nobody wrote': [[0, 1, read, found('ghost', 4)]],
  'versions that go back': [
    [0, 1, write('a'), done(5)],
    [2, 3, write('b'), done(4)],
  ],
};

test.each(Object.entries(fine))('right: %s', (_name, rows) => {
  expect(judgeHistory(historyOf(rows))).toMatchObject({ type: 'linearizable' });
});

test.each(Object.entries(wrong))('wrong: %s', (_name, rows) => {
  expect(judgeHistory(historyOf(rows))).toMatchObject({ type: 'violation', key: 'r' });
});

test('keys are judged apart, and the wrong one is named', () => {
  const other = historyOf(wrong['a stale read'] ?? []).map((each) => ({ ...each, key: 's' }));
  const both = [...historyOf(fine['one of two compare-and-sets wins'] ?? []), ...other];
  expect(judgeHistory(both)).toMatchObject({ type: 'violation', key: 's' });
});

test('a search that may not take long says that it decided nothing', () => {
  const rows = fine['two concurrent reads may see a concurrent write in either order of asking'];
  expect(judgeHistory(historyOf(rows ?? []), 1)).toMatchObject({ type: 'undecided' });
});

/** Clients of a real register: each operation takes effect at an instant inside its interval. */
function simulate(prng: Prng, operations: number): Invocation[] {
  let stands: { value: string; version: number } | null = null;
  let version = 0;
  const free = Array.from({ length: 6 }, () => 0);
  const planned = Array.from({ length: operations }, (_, i) => {
    const client = prng.int(free.length);
    const startMs = (free[client] ?? 0) + prng.float() * 5;
    const atMs = startMs + prng.float() * 10;
    const endMs = atMs + prng.float() * 10;
    free[client] = endMs;
    return { i, client, startMs, atMs, endMs, choice: prng.int(3), back: prng.int(2) };
  });
  const order = [...planned].sort((a, b) => a.atMs - b.atMs);
  return order.map(({ i, client, startMs, endMs, choice, back }) => {
    const made = { key: 'r', client: `c${client}`, startMs };
    const value = `v${i}`;
    const before: { value: string; version: number } | null = stands;
    const old = before?.version ?? 0;
    // One in ten answers gets lost on its way.
    const closed = (operation: Operation, answer: Answer): Invocation =>
      i % 10 === 0
        ? { ...made, operation, endMs: Infinity, answer: null }
        : { ...made, operation, endMs, answer };
    if (choice === 0)
      return closed(read, before === null ? nothing : found(before.value, before.version));
    const operation = choice === 1 ? write(value) : cas(Math.max(0, old - back), value);
    if (operation.type === 'cas' && operation.expected !== old)
      return closed(operation, conflict(old));
    version += 1 + (i % 3);
    stands = { value, version };
    return closed(operation, done(version));
  });
}

test('histories of a real register are linearizable; with one stale read put in they are not', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const history = simulate(createPrng(seed), 300);
    expect(judgeHistory(history), `seed ${seed}`).toMatchObject({ type: 'linearizable' });
    const endMs = Math.max(...history.map((each) => (each.answer === null ? 0 : each.endMs)));
    const versions = history.flatMap(({ operation, answer }) =>
      answer?.type === 'done' && operation.type !== 'read'
        ? [found(operation.value, answer.version)]
        : [],
    );
    const stale = versions[Math.floor(versions.length / 2)] ?? nothing;
    const late = { key: 'r', client: 'late', operation: read, startMs: endMs + 1 };
    const planted = [...history, { ...late, endMs: endMs + 2, answer: stale }];
    expect(judgeHistory(planted), `seed ${seed}`).toMatchObject({ type: 'violation' });
  }
});

test('an acknowledged write that did not happen is found as soon as somebody looks', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const history = simulate(createPrng(seed), 300);
    const endMs = Math.max(...history.map((each) => (each.answer === null ? 0 : each.endMs)));
    const last = history.findLast((each) => each.answer?.type === 'found')?.answer ?? nothing;
    const lost: Row = [endMs + 1, endMs + 2, write('lost'), done(100_000)];
    const look: Row = [endMs + 3, endMs + 4, read, last];
    const verdict = judgeHistory([...history, ...historyOf([lost, look])]);
    expect(verdict, `seed ${seed}`).toMatchObject({ type: 'violation' });
  }
});
