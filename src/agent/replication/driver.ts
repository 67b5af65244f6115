/**
 * The acting leader's loop over content: reads what is desired page by page, holds it against what
 * was observed, and carries out the plan. The right to act is asked for again before every single
 * effect; proposals are compare-and-set, so a plan that has gone stale changes nothing.
 */
import type { CidText, Ms, PeerId } from '../../base/brand.ts';
import { asAgentError } from '../../base/error.ts';
import type { Prng } from '../../base/prng.ts';
import type { PinRecord } from '../../catalog/query-pins.ts';
import type { ActingRight } from '../../consensus/api.ts';
import { type Action, commandOf } from '../../plan/action.ts';
import { type CopyView, type NodeView, planRules } from '../../plan/observed.ts';
import type { RepairBudget } from '../../plan/repair-budget.ts';
import { createPlanRound, type Plan } from '../../plan/replication.ts';
import type { Command, CommandResult } from '../../wire/command.ts';
import type { Certificate } from '../../wire/member.ts';
import { type Order, reportPinsMax } from '../../wire/node-message.ts';
import type { AgentMetrics } from '../metrics.ts';
import type { Challenges } from './challenges.ts';
import type { Observed } from './observed.ts';
import { alivePeers, nodeViews } from './standing-nodes.ts';

const pageLimit = 500;
const proposalsParallelMax = 64;
const proposeTimeoutMs = 5000;
const hurryTimeoutMs = 2000;

export type Summary = {
  readonly pins: number;
  readonly underReplicated: number;
  readonly overReplicated: number;
  readonly fetching: number;
  readonly failed: number;
};

export interface DriverDeps {
  readonly observed: Observed;
  readonly challenges: Challenges;
  readonly budget: RepairBudget;
  readonly metrics: AgentMetrics;
  readonly prng: Prng;
  readonly repairGraceMs: Ms;
  readonly nowMs: () => Ms;
  readonly wallMs: () => Ms;
  readonly leadsSinceMs: () => Ms;
  readonly healthOf: (peer: PeerId) => NodeView['health'];
  readonly mayAct: () => ActingRight | null;
  /** The same, and null while the cluster is paused: asked before every single change. */
  readonly mayChange: () => ActingRight | null;
  readonly isDraining: (peer: PeerId) => boolean;
  readonly members: () => readonly Certificate[];
  readonly query: (name: string, args: unknown) => Promise<unknown>;
  readonly propose: (
    command: Command,
    options: { idempotency: null; timeoutMs: Ms },
  ) => Promise<CommandResult>;
  readonly give: (to: PeerId, order: Order['order'], timeoutMs: Ms) => Promise<unknown>;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface Driver {
  /** One round, if this node acts; answers how long it planned, ms. */
  round(): Promise<Ms>;
  summary(): Summary | null;
  /** Copies of this peer that are not allocated and have their verified copies elsewhere. */
  releasable(peer: PeerId): readonly CidText[];
  /** Observed state was forgotten with the lead. */
  reset(): void;
}

export function createDriver(deps: DriverDeps): Driver {
  const { observed, metrics } = deps;
  const rules = { ...planRules, repairGraceMs: deps.repairGraceMs };
  let summary: Summary | null = null;
  let releasable = new Map<PeerId, Set<CidText>>();
  let shortfallsTold = '';

  function copiesOf(cid: CidText, term: number, nowMs: Ms): CopyView[] {
    return observed.copiesOf(cid).map(({ peer, copy }) => ({
      peer,
      state: copy.status.state,
      stateForMs: nowMs - copy.stateSinceMs,
      verifiedForMs: copy.verifiedTerm === term ? nowMs - copy.verifiedMs : null,
    }));
  }

  /** Notes whose surplus copies have become needless; counts those above the policy. */
  function surplus(
    pin: PinRecord,
    copies: readonly CopyView[],
    alive: ReadonlySet<PeerId>,
    into: Map<PeerId, Set<CidText>>,
  ): void {
    const { peers, version } = pin.allocation;
    const placed = copies.filter(
      (copy) => copy.verifiedForMs !== null && peers.includes(copy.peer) && alive.has(copy.peer),
    );
    if (version === 0 || placed.length < pin.min) return;
    for (const { peer, state } of copies) {
      if (state !== 'pinned' || peers.includes(peer)) continue;
      const cids = into.get(peer) ?? new Set();
      if (cids.size < reportPinsMax) cids.add(pin.cid);
      into.set(peer, cids);
    }
  }

  async function plan(right: ActingRight): Promise<Plan> {
    const nowMs = deps.nowMs();
    const { members, leadsSinceMs, isDraining } = deps;
    const nodes = nodeViews({
      members: members(),
      observed,
      nowMs,
      leadsSinceMs: leadsSinceMs(),
      healthOf: deps.healthOf,
      isDraining,
    });
    const alive = alivePeers(nodes);
    const views = (cid: CidText): CopyView[] => copiesOf(cid, right.term, nowMs);
    const round = createPlanRound({
      nodes,
      copiesOf: views,
      wallMs: deps.wallMs(),
      repairBytes: deps.budget.available(nowMs),
      prng: deps.prng,
      rules,
    });
    const needless = new Map<PeerId, Set<CidText>>();
    let overReplicated = 0;
    let after: string | null = null;
    do {
      const page = (await deps.query('pins.list', { after, limit: pageLimit })) as {
        pins: PinRecord[];
        next: string | null;
      };
      round.page(page.pins);
      for (const pin of page.pins) {
        surplus(pin, views(pin.cid), alive, needless);
        if (pin.allocation.peers.length > pin.max) overReplicated += 1;
      }
      after = page.next;
    } while (after !== null);
    const made = round.finish();
    deps.budget.spend(made.repairBytes, nowMs);
    releasable = needless;
    const { pins, placed } = made.totals;
    summary = { pins, underReplicated: pins - placed, overReplicated, ...copyCounts() };
    return made;
  }

  function copyCounts(): { fetching: number; failed: number } {
    let fetching = 0;
    let failed = 0;
    for (const node of observed.nodes())
      for (const { status } of node.pins.values())
        if (status.state === 'fetching' || status.state === 'queued') fetching += 1;
        else if (status.state !== 'pinned') failed += 1;
    return { fetching, failed };
  }

  async function change(action: Action): Promise<void> {
    const right = deps.mayChange();
    const command = right === null ? null : commandOf(action, right.term);
    if (command === null) return;
    metrics.count('plan_actions');
    const result = await deps.propose(command, { idempotency: null, timeoutMs: proposeTimeoutMs });
    const { type, cid, reason } = action as Action & { cid: CidText };
    const peers = 'peers' in action ? action.peers : undefined;
    deps.event(`plan-${type}`, { cid, peers, reason, ok: result.ok });
  }

  async function carryOut(actions: readonly Action[]): Promise<void> {
    const hurried = new Map<PeerId, CidText[]>();
    const changes: Action[] = [];
    for (const action of actions)
      if (action.type === 'challenge') deps.challenges.ask(action.cid, action.peer);
      else if (action.type === 'hurry') {
        const cids = hurried.get(action.peer) ?? [];
        if (cids.length < 1000) cids.push(action.cid);
        hurried.set(action.peer, cids);
      } else changes.push(action);
    for (let at = 0; at < changes.length; at += proposalsParallelMax) {
      const batch = changes.slice(at, at + proposalsParallelMax);
      const ends = await Promise.allSettled(batch.map(change));
      for (const end of ends) if (end.status === 'rejected') failed('a plan', end.reason);
    }
    if (deps.mayChange() === null) return;
    // Hints: nothing waits for whether they arrive.
    for (const [peer, cids] of hurried)
      deps
        .give(peer, { type: 'hurry', cids }, hurryTimeoutMs)
        .catch((error: unknown) => failed(`an order to ${peer}`, error));
  }

  /** Losing the lead in the middle is no failure: the next leader plans anew. */
  function failed(what: string, thrown: unknown): void {
    if (asAgentError(thrown).code === 'not-leader') return;
    deps.onFailure(`${what} was not carried out`, thrown);
  }

  function tellShortfalls({ shortfalls }: Plan): void {
    const text = JSON.stringify(shortfalls.slice(0, 20));
    if (text === shortfallsTold) return;
    shortfallsTold = text;
    if (shortfalls.length > 0)
      deps.event('copies-short', { pins: shortfalls.length, first: shortfalls.slice(0, 20) });
  }

  return {
    round: async () => {
      const right = deps.mayAct();
      if (right === null) return 0;
      metrics.count('plan_rounds');
      const begunMs = performance.now();
      const made = await plan(right);
      const plannedMs = performance.now() - begunMs;
      tellShortfalls(made);
      await carryOut(made.actions);
      return plannedMs;
    },
    summary: () => summary,
    releasable: (peer) => [...(releasable.get(peer) ?? [])],
    reset: () => {
      summary = null;
      releasable = new Map();
      shortfallsTold = '';
    },
  };
}
