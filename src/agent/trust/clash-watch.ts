/**
 * What follows when two machines run with one key. Both hear the proof (mesh/instances.ts) and
 * raise the alarm; so does whoever proved it. A voter whose key runs twice stops voting for good,
 * on both machines: its log and its vote may be another one's than what the others counted. A mark
 * in the folder keeps that over restarts; only a new key ends it (`repair --as-new-node`). Whoever
 * has no vote goes on, and its alarm ends when the other machine is gone.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError } from '../../base/error.ts';
import type { Clash } from '../../mesh/api.ts';
import { writeDurably } from '../../mesh/identity.ts';

export const clashFile = 'identity-clash.json';
/** Without a new proof the alarm of whoever doesn't vote is over; proofs come every 5 s. */
const lastsMs: Ms = 30_000;
/** Keys of others that are remembered as clashing. */
const othersMax = 64;

const markSchema = z.object({
  version: z.literal(1),
  at: z.string().max(64),
  /** Where the other machine was seen. */
  address: z.string().max(256).nullable(),
});
export type ClashMark = z.infer<typeof markSchema>;

/** null: this folder's key was never seen to run twice. */
export function readClashMark(dir: string): ClashMark | null {
  const path = join(dir, clashFile);
  if (!existsSync(path)) return null;
  try {
    return markSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    throw new AgentError('damaged', `${path} has not the expected fields`, { cause });
  }
}

/** This node's own key runs elsewhere, too. */
export interface OwnClash {
  readonly since: string;
  /** Where the other machine's connection comes from, as a peer saw it. */
  readonly address: string | null;
  /** It votes no more, whatever the other machine does. */
  readonly stoppedVoting: boolean;
}

export interface ClashWatch {
  note(clash: Clash): void;
  own(): OwnClash | null;
  /** As far as this node saw: the key of that peer, or its own, runs twice now. */
  clashes(peer: PeerId): boolean;
  /** Keys that are known to run twice now. */
  count(): number;
  /** What is to be done, once, when this node may not vote any more; at once if that is known. */
  onStopVoting(stop: () => void): void;
}

export interface ClashWatchDeps {
  readonly dir: string;
  readonly clock: Clock;
  /** Whether this node's certificate lets it vote. */
  readonly votes: () => boolean;
  readonly nameOf: (peer: PeerId) => string;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

interface Seen {
  readonly since: string;
  readonly address: string | null;
  provedMs: Ms;
}

export function createClashWatch(deps: ClashWatchDeps): ClashWatch {
  const { clock } = deps;
  const others = new Map<PeerId, Seen>();
  const mark = readClashMark(deps.dir);
  let own: Seen | null = mark && { since: mark.at, address: mark.address, provedMs: 0 };
  let stopped = mark !== null;
  let stopVoting: (() => void) | null = null;

  const isFresh = (seen: Seen): boolean => clock.now().monoMs - seen.provedMs < lastsMs;

  function stop(seen: Seen): void {
    if (stopped) return;
    stopped = true;
    stopVoting?.();
    const text = { version: 1, at: seen.since, address: seen.address } satisfies ClashMark;
    writeDurably(join(deps.dir, clashFile), `${JSON.stringify(text)}\n`).catch((error: unknown) =>
      deps.onFailure('the clash of identities could not be noted in the folder', error),
    );
  }

  function noteOwn({ addresses: [address = null], toldBy }: Clash): void {
    const provedMs = clock.now().monoMs;
    if (own !== null && (stopped || isFresh(own))) own.provedMs = provedMs;
    else {
      own = { since: new Date(clock.wallMs()).toISOString(), address, provedMs };
      const by = toldBy === null ? null : deps.nameOf(toldBy);
      deps.event('identity-clash', { own: true, address, by, stopsVoting: deps.votes() });
    }
    if (deps.votes()) stop(own);
  }

  function noteOther({ peer, addresses }: Clash): void {
    const provedMs = clock.now().monoMs;
    const known = others.get(peer);
    if (known && isFresh(known)) {
      known.provedMs = provedMs;
      return;
    }
    for (const [gone, seen] of others) if (!isFresh(seen)) others.delete(gone);
    if (others.size >= othersMax) return;
    const since = new Date(clock.wallMs()).toISOString();
    others.set(peer, { since, address: null, provedMs });
    deps.event('identity-clash', { own: false, name: deps.nameOf(peer), peer, addresses });
  }

  const ownNow = (): Seen | null => (own !== null && (stopped || isFresh(own)) ? own : null);

  return {
    note: (clash) => (clash.self ? noteOwn(clash) : noteOther(clash)),
    own: () => {
      const seen = ownNow();
      return seen && { since: seen.since, address: seen.address, stoppedVoting: stopped };
    },
    clashes: (peer) => {
      const seen = others.get(peer);
      return seen !== undefined && isFresh(seen);
    },
    count: () => [...others.values()].filter(isFresh).length + (ownNow() === null ? 0 : 1),
    onStopVoting: (act) => {
      stopVoting = act;
      if (stopped) act();
    },
  };
}
