/** How long a turn to stop holds: by the clock of whoever judges it, never by another machine's. */
import { expect, test } from 'vitest';
import { createTurnClock } from '../../../../src/agent/operations/safety.ts';

test('a turn counts from when it was first seen, for its time and a grace', () => {
  let nowMs = 5000;
  const turns = createTurnClock(() => nowMs, 100);
  const turn = { peer: 'p1', version: 7, forMs: 1000 };
  expect(turns.inForce(null)).toBeNull();
  expect(turns.inForce(turn)).toBe(turn);
  nowMs += 1099;
  expect(turns.inForce(turn)).toBe(turn);
  nowMs += 1;
  expect(turns.inForce(turn)).toBeNull();
  // A turn that replaces it begins anew, and so does every turn for another leader.
  const next = { ...turn, version: 9 };
  expect(turns.inForce(next)).toBe(next);
  expect(createTurnClock(() => nowMs, 100).inForce(turn)).toBe(turn);
});
