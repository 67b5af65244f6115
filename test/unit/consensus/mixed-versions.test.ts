/**
 * Programs of different age in one cluster: a node that would not understand the log keeps it,
 * applies none of what it doesn't understand, and never leads; what a later program wrote beside
 * the known fields is still there after a change by an older one.
 */
import { encode as encodeCbor } from 'cborg';
import { expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import type { Consensus, SnapshotMeta } from '../../../src/consensus/api.ts';
import { createConsensus } from '../../../src/consensus/consensus.ts';
import { defaultTiming } from '../../../src/consensus/timing.ts';
import { decodeConfiguration, stateVersionOf } from '../../../src/wire/configuration.ts';
import { chainStart, type Entry, type EntryKind, makeEntry } from '../../../src/wire/entry.ts';
import { certificateOf } from '../../scenario/cluster.ts';

const own = certificateOf('a', 'master');
const configuration = (more: Record<string, unknown>): Uint8Array =>
  encodeCbor({ members: [own], voters: ['a'], outgoing: null, ...more });

function logOf(...items: readonly (readonly [EntryKind, Uint8Array])[]): Entry[] {
  const entries: Entry[] = [];
  for (const [kind, data] of items) {
    const previousHash = entries.at(-1)?.hash ?? chainStart;
    const index = entries.length + 1;
    entries.push(makeEntry({ previousHash, epoch: 'e', index, term: 1, kind, data }));
  }
  return entries;
}

function start(entries: readonly Entry[], stateVersion: number): Consensus {
  return createConsensus({
    id: 'a',
    certificate: own,
    clusterId: 'c',
    epoch: 'e',
    session: 's',
    timing: defaultTiming,
    prng: createPrng(1),
    bootstrap: false,
    restored: {
      hardState: { term: 1, vote: null, leaseMsLongest: 0, fence: 0 },
      snapshot: null,
      entries,
      appliedIndex: 0,
    },
    now: { monoMs: 0, skippedMs: 0 },
    stateVersion,
  });
}

/** Runs it alone for ten seconds of its clock; what it handed to its catalog and its log. */
function run(core: Consensus): { applied: number[]; written: Entry[] } {
  const applied: number[] = [];
  const written: Entry[] = [];
  for (let monoMs = 1; monoMs < 10_000; monoMs += 20) {
    const now = { monoMs, skippedMs: 0 };
    core.step(now, { type: 'tick' });
    if (monoMs === 5001) {
      const change = { type: 'admit' as const, member: certificateOf('b', 'leecher') };
      core.step(now, { type: 'reconfigure', ref: 1, change, deadlineMs: monoMs + 3000 });
    }
    for (let ready = core.ready(); ; ready = core.ready()) {
      for (const { id, append } of ready.persist) {
        written.push(...append);
        core.step(now, { type: 'persisted', id });
      }
      const last = ready.apply.at(-1);
      if (last !== undefined) {
        applied.push(...ready.apply.map(({ index }) => index));
        const results = ready.apply.map(({ index }) => ({ index, result: new Uint8Array(0) }));
        core.step(now, { type: 'applied', index: last.index, results });
      }
      if (ready.persist.length === 0 && ready.apply.length === 0) break;
    }
  }
  return { applied, written };
}

const command = new Uint8Array([1]);
const mixed = logOf(
  ['config', configuration({})],
  ['command', command],
  ['config', configuration({ stateVersion: 2 })],
  ['command', command],
);

test('an older program neither leads nor applies what it does not understand', () => {
  const core = start(mixed, 1);
  const { applied, written } = run(core);
  expect(applied).toEqual([]);
  expect(written).toEqual([]);
  const status = core.status({ monoMs: 10_000, skippedMs: 0 });
  expect(status).toMatchObject({ leader: null, cannotLeadReason: 'version', lastIndex: 4 });
});

test('it follows, keeps the log, and applies up to there', () => {
  const core = start(mixed, 1);
  const head = { v: 1, cluster: 'c', epoch: 'e', term: 2 };
  const now = { monoMs: 5, skippedMs: 0 };
  const last = mixed.at(-1) as Entry;
  const prev = { prevIndex: 4, prevTerm: 1, prevHash: last.hash };
  const next = { previousHash: last.hash, epoch: 'e', index: 5, term: 2, kind: 'empty' as const };
  const entries = [makeEntry({ ...next, data: new Uint8Array(0) })];
  const certificate = certificateOf('b', 'master');
  const message = { type: 'append' as const, ...head, ...prev, commit: 5, entries };
  core.step(now, { type: 'message', from: 'b', certificate, message });
  const ready = core.ready();
  expect(ready.persist.flatMap(({ append }) => append.map(({ index }) => index))).toEqual([5]);
  for (const { id } of ready.persist) core.step(now, { type: 'persisted', id });
  core.step(now, { type: 'message', from: 'b', certificate, message });
  const applied = [...ready.apply, ...core.ready().apply].map(({ index }) => index);
  expect(applied).toEqual([1, 2]);
  expect(core.status(now)).toMatchObject({ leader: 'b', commitIndex: 5 });
});

test('a program that understands it leads and applies everything', () => {
  const core = start(mixed, 2);
  expect(run(core).applied.slice(0, 4)).toEqual([1, 2, 3, 4]);
  expect(core.status({ monoMs: 10_000, skippedMs: 0 }).leader).toBe('a');
});

test('a snapshot of a later state is refused', () => {
  const core = start([], 1);
  const meta: SnapshotMeta = {
    clusterId: 'c',
    epoch: 'e',
    index: 9,
    term: 1,
    hash: 'f'.repeat(64),
    configuration: { members: [own], voters: ['a'], outgoing: null, stateVersion: 2 },
    configurationIndex: 8,
  };
  const now = { monoMs: 5, skippedMs: 0 };
  core.step(now, { type: 'snapshot-received', from: 'b', meta, ref: 'x', requestId: 1 });
  const { persist, facts } = core.ready();
  expect(persist).toEqual([]);
  expect(facts).toMatchObject([{ type: 'refused-message', code: 'version-mismatch' }]);
});

test('unknown fields of a configuration and its members survive a change', () => {
  const later = { ...own, colour: 'green' };
  const data = encodeCbor({
    members: [later],
    voters: ['a'],
    outgoing: null,
    stateVersion: 2,
    colours: ['green'],
  });
  const { written } = run(start(logOf(['config', data]), 2));
  const changed = written.findLast(({ kind }) => kind === 'config');
  const next = decodeConfiguration(changed?.data ?? new Uint8Array(0));
  expect(next.members.map(({ peerId }) => peerId).sort()).toEqual(['a', 'b']);
  expect(next).toMatchObject({ colours: ['green'] });
  expect(next.members.find(({ peerId }) => peerId === 'a')).toMatchObject({ colour: 'green' });
  expect(stateVersionOf(next)).toBe(2);
});
