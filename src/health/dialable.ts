/**
 * Whether others can dial this node: voters must be reached by whoever lost them, so a node that
 * nobody can dial is not made a voter. An incoming connection is proof; without one a few peers are
 * asked to dial, and what they found decides. What nobody could answer stays unknown.
 */
import type { Ms, PeerId } from '../base/brand.ts';

export interface DialBack {
  readonly by: PeerId;
  /** null: it gave no answer. */
  readonly reached: boolean | null;
}

export interface Dialable {
  /** null: not known yet. */
  readonly dialable: boolean | null;
  /** Who tried and did not reach it. */
  readonly notBy: readonly PeerId[];
}

export const unknownDialable: Dialable = { dialable: null, notBy: [] };

/** What the health record says of it. */
export const dialableOf = ({ dialable, notBy }: Dialable) => ({
  ...{ dialable, notDialledBy: notBy.slice(0, 8) },
});

/** Peers asked in one round. */
export const askedMax = 3;
/** A finding is looked at again after this; a bad one, or none, sooner. */
export const goodForMs: Ms = 300_000;
export const badForMs: Ms = 10_000;

/** The next finding, from what this round brought. */
export function judgeDialable(
  before: Dialable,
  round: { readonly inbound: boolean; readonly answers: readonly DialBack[] },
): Dialable {
  const { inbound, answers } = round;
  const notBy = answers.flatMap(({ by, reached }) => (reached === false ? [by] : []));
  if (inbound || answers.some(({ reached }) => reached === true)) return { dialable: true, notBy };
  return notBy.length > 0 ? { dialable: false, notBy } : before;
}
