/**
 * Scores from 0 to 100 with their reasons. A component starts at 100 and every reason takes its
 * fixed number of points off, never below 0; a node's score is the mean of its components by
 * weight, and never more than `criticalSlack` above its worst critical component: a machine whose
 * store can't be written is no healthier for its fine network.
 */

/** What may be wrong, and what each costs the component that has it. */
export const deductions = {
  // agent
  'store-not-writable': 100,
  'identity-clash': 100,
  'event-loop-stalled': 60,
  'event-loop-slow': 20,
  'content-down': 30,
  'no-leader': 30,
  // machine
  'disk-full': 80,
  'disk-low': 20,
  'memory-high': 20,
  // mesh
  'no-peers': 100,
  'low-connectivity': 40,
  'undiscovered-members': 20,
  'slow-round-trips': 15,
  'gossip-undelivered': 25,
  'one-sided-link': 15,
  // daemons
  'daemon-stopped': 100,
  'daemon-crash-loop': 100,
  'daemon-cooling-down': 100,
  'daemon-unresponsive': 60,
  'daemon-starting': 30,
  'daemon-no-progress': 60,
  'daemon-check-failed': 30,
  'daemon-behind': 20,
  'daemon-no-peers': 20,
  'daemon-leader-disconnected': 30,
  'daemon-pinset-behind': 10,
} as const;
export type ReasonCode = keyof typeof deductions;

/** One thing that is wrong, in words that name the figure behind it. */
export interface Finding {
  readonly code: ReasonCode;
  readonly detail: string;
}

export interface Reason extends Finding {
  readonly component: string;
  readonly deduction: number;
}

export interface Component {
  /** `agent`, `machine`, `mesh`, or the type of a daemon. */
  readonly name: string;
  readonly score: number;
  /** Its share in the node's score. */
  readonly weight: number;
  readonly critical: boolean;
  readonly reasons: readonly Reason[];
}

export interface NodeScore {
  readonly score: number;
  readonly components: readonly Component[];
  /** Of all components, the dearest first. */
  readonly reasons: readonly Reason[];
}

/** A node scores at most this much more than its worst critical component. */
export const criticalSlack = 50;

/** The same code twice counts once. */
export function componentOf(
  name: string,
  findings: readonly Finding[],
  { weight, critical }: { weight: number; critical: boolean },
): Component {
  const reasons = new Map<ReasonCode, Reason>();
  for (const { code, detail } of findings)
    if (!reasons.has(code))
      reasons.set(code, { component: name, code, detail, deduction: deductions[code] });
  const lost = [...reasons.values()].reduce((sum, { deduction }) => sum + deduction, 0);
  return { name, weight, critical, score: Math.max(0, 100 - lost), reasons: [...reasons.values()] };
}

export function nodeScore(components: readonly Component[]): NodeScore {
  const weights = components.reduce((sum, { weight }) => sum + weight, 0);
  const points = components.reduce((sum, { score, weight }) => sum + score * weight, 0);
  const mean = weights > 0 ? Math.floor(points / weights) : 100;
  const cap = Math.min(
    100,
    ...components.filter(({ critical }) => critical).map(({ score }) => score + criticalSlack),
  );
  const reasons = components
    .flatMap((component) => component.reasons)
    .sort((a, b) => b.deduction - a.deduction);
  return { score: Math.min(mean, cap), components, reasons };
}
