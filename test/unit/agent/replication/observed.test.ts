import { expect, test } from 'vitest';
import { createObserved } from '../../../../src/agent/replication/observed.ts';
import type { PinStatus } from '../../../../src/content/api.ts';
import type { Report } from '../../../../src/wire/node-message.ts';
import { pinStatus } from './fake-engine.ts';

function report(seq: number, pins: PinStatus[], change: Partial<Report> = {}): Report {
  return {
    epoch: '0'.repeat(32),
    incarnation: 1,
    seq,
    full: false,
    more: false,
    pins: pins.map((pin) => ({ ...pin })),
    gone: [],
    usage: { bytesStored: 1, bytesFree: 1, blocks: 1 },
    holdsContent: true,
    ...change,
  };
}

test('a first report that is not full is asked for again', () => {
  const observed = createObserved();
  expect(observed.accept('a', report(4, [pinStatus('x')]), 0).resend).toBe(true);
  expect(observed.node('a')).toBeNull();
});

test('a gap in the sequence is asked for again, and changes nothing', () => {
  const observed = createObserved();
  observed.accept('a', report(1, [pinStatus('x')], { full: true }), 0);
  expect(observed.accept('a', report(3, [], { gone: ['x'] }), 1).resend).toBe(true);
  expect(observed.copy('x', 'a')).not.toBeNull();
  expect(observed.accept('a', report(2, [], { gone: ['x'] }), 2)).toEqual({
    resend: false,
    changed: ['x'],
  });
  expect(observed.copy('x', 'a')).toBeNull();
});

test('a node is complete only after the last part of its full report', () => {
  const observed = createObserved();
  observed.accept('a', report(1, [pinStatus('x')], { full: true, more: true }), 0);
  expect(observed.node('a')?.complete).toBe(false);
  observed.accept('a', report(2, [pinStatus('y')]), 0);
  expect(observed.node('a')?.complete).toBe(true);
  expect(observed.copiesOf('x').map(({ peer }) => peer)).toEqual(['a']);
});

test('a proof holds while the copy stays pinned, and ends when it was fetched anew', () => {
  const observed = createObserved();
  observed.accept('a', report(1, [pinStatus('x')], { full: true }), 0);
  const copy = observed.copy('x', 'a');
  if (copy !== null) copy.verifiedTerm = 3;
  observed.accept('a', report(2, [pinStatus('x')]), 10);
  expect(observed.copy('x', 'a')?.verifiedTerm).toBe(3);
  observed.accept('a', report(3, [pinStatus('x', 'fetching')]), 20);
  observed.accept('a', report(4, [pinStatus('x')]), 30);
  expect(observed.copy('x', 'a')).toMatchObject({ verifiedTerm: null, stateSinceMs: 30 });
});

test('a restarted node proves everything anew, and what it lost is gone', () => {
  const observed = createObserved();
  observed.accept('a', report(1, [pinStatus('x'), pinStatus('y')], { full: true }), 0);
  const copy = observed.copy('x', 'a');
  if (copy !== null) copy.verifiedTerm = 3;
  observed.accept('a', report(1, [pinStatus('x')], { full: true, incarnation: 2 }), 50);
  expect(observed.copy('x', 'a')?.verifiedTerm).toBeNull();
  expect(observed.copy('y', 'a')).toBeNull();
});
