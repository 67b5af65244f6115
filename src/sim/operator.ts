/**
 * The person who runs the cluster: admits and forgets nodes, sets voters, changes what a node may
 * do, asks for hand-overs. Works through any running node and repeats until it is done or refused
 * for good.
 */
import type { LogIndex, Ms, PeerId } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import type { ConfigurationChange } from '../consensus/api.ts';
import { type Answered, type ClientChecks, requestMs } from './client-checks.ts';
import type { EventQueue } from './event-queue.ts';
import type { SimNode } from './sim-node.ts';

export interface Operator {
  /** Tries until it is applied, at most `tries` times; `done` hears how it ended. */
  change(change: ConfigurationChange, tries: number, done: (applied: boolean) => void): void;
  transfer(to: PeerId | null): void;
  /** Changes that are under way. */
  busy(): number;
}

export interface OperatorDeps {
  readonly queue: EventQueue;
  readonly prng: Prng;
  readonly checks: ClientChecks;
  readonly nodes: () => readonly SimNode[];
  readonly acknowledged: () => LogIndex;
  readonly excuseHandOver: (untilMs: Ms) => void;
  readonly excuseVoters: (untilMs: Ms) => void;
}

const retryMs: Ms = 150;
/** A change waits at the leader for its turn, and its message may come late. */
const changeMsMax: Ms = 15_000;

export function createOperator(deps: OperatorDeps): Operator {
  const { queue, prng, checks } = deps;
  let busy = 0;

  /** People ask the leader if they can see one. */
  function pick(): SimNode | null {
    const up = deps.nodes().filter((node) => node.state() === 'running' && node.admitted);
    const leader = up.find((node) => node.leads());
    if (leader !== undefined && prng.chance(0.7)) return leader;
    return up.length === 0 ? null : prng.pick(up);
  }

  function change(
    wanted: ConfigurationChange,
    tries: number,
    done: (applied: boolean) => void,
  ): void {
    busy += 1;
    attempt(wanted, tries, (applied) => {
      busy -= 1;
      done(applied);
    });
  }

  function attempt(
    wanted: ConfigurationChange,
    tries: number,
    done: (applied: boolean) => void,
  ): void {
    if (tries <= 0) {
      done(false);
      return;
    }
    const again = (): void => {
      queue.in(retryMs * prng.range(0.5, 1.5), () => attempt(wanted, tries - 1, done));
    };
    const node = pick();
    if (node === null) {
      again();
      return;
    }
    if (wanted.type !== 'admit') deps.excuseVoters(queue.nowMs() + changeMsMax);
    let over = false;
    const end = (answer: Answered): void => {
      if (over) return;
      over = true;
      if (answer.type === 'applied') done(true);
      else again();
    };
    const floor = deps.acknowledged();
    const sentMs = queue.nowMs();
    const ref = checks.open({ kind: 'reconfigure', node, sentMs, floor, row: null, done: end });
    queue.in(requestMs + 700, () => end({ type: 'lost' }));
    const deadlineMs = node.now().monoMs + requestMs;
    node.post({ type: 'reconfigure', ref, change: wanted, deadlineMs });
  }

  return {
    change,
    transfer: (to) => {
      const node = pick();
      if (node === null) return;
      deps.excuseHandOver(queue.nowMs() + requestMs * 2);
      const sentMs = queue.nowMs();
      const done = (): void => undefined;
      const floor = deps.acknowledged();
      const ref = checks.open({ kind: 'transfer', node, sentMs, floor, row: null, done });
      node.post({ type: 'transfer', ref, to, deadlineMs: node.now().monoMs + requestMs });
    },
    busy: () => busy,
  };
}
