/**
 * How often a node says again what has not changed. Everybody hears everybody, so in a larger
 * cluster each says it less often and the load of a node stays what it is in a small one. News is
 * said at once whatever the size: repeats only mend what was lost, and the exchange does that too.
 */
import type { Ms } from '../base/brand.ts';

/** Older records are refused, so each is said again well within this. */
export const recordAgeMsMax: Ms = 30 * 60 * 1000;

/** No record is left unsaid for longer than this. */
export const sayAgainMsMax: Ms = recordAgeMsMax / 3;

/** Up to so many members the usual pause holds; beyond, it grows with them. */
const membersUsual = 5;

export function sayAgainMs(usualMs: Ms, members: number): Ms {
  return Math.min(sayAgainMsMax, usualMs * Math.max(1, members / membersUsual));
}
