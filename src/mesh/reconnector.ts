/**
 * Keeps links to the peers that must have one. When such a link closes, two redials follow at once
 * (their failure is what tells consensus that a process is dead), later ones back off with jitter.
 * Whether a dial failed is decided by one fact: afterwards there is no connection. All dials
 * together are bounded per minute, however many addresses are dead.
 */
import type { Ms, PeerId } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';

/** Two immediate redials after a close, the second of them this much after the first failed. */
const fastRedials = 2;
const backoffMsMin = 100;
const backoffMsMax = 5000;
/** A link that closes younger than this is flapping and gets no immediate redials. */
const steadyMs = 1000;
/** A first dial waits for the other side if its id is the smaller one: one connection, not two. */
const courtesyMs = 250;
/** Token bucket over all dials that are not the immediate redials after a close. */
const dialsBurstMax = 60;
const dialsPerSecond = 2;

export interface ReconnectorDeps {
  readonly self: PeerId;
  readonly prng: Prng;
  readonly monoMs: () => Ms;
  readonly connected: (peer: PeerId) => boolean;
  /**
   * Settles when the dial is over; its error is only counted. `urgent`: consensus waits for what
   * comes of it.
   */
  readonly dial: (peer: PeerId, urgent: boolean) => Promise<void>;
  readonly onFailed: (peer: PeerId) => void;
}

export interface Reconnector {
  /** Replaces the set of peers to stay linked with; new ones are dialled soon. */
  setTargets(peers: readonly PeerId[]): void;
  /** New addresses are known: dial without waiting for the back-off. */
  hurry(peer: PeerId): void;
  /** Dials everybody that is not linked, without waiting; whom. */
  hurryAll(): PeerId[];
  opened(peer: PeerId): void;
  closed(peer: PeerId): void;
  stop(): void;
  stats(): { dials_total: number; dials_failed_total: number; dials_deferred_total: number };
}

interface Target {
  timer: NodeJS.Timeout | null;
  dialing: boolean;
  /** Failed dials since the link was last open. */
  failures: number;
  openedMs: Ms | null;
  /** Immediate redials left. */
  fast: number;
}

/** The wait before dial number `failures` + 1: doubling, capped, spread by half. */
export function backoffMs(failures: number, prng: Prng): Ms {
  const base = Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(failures, 16));
  return base * prng.range(0.5, 1);
}

export function createReconnector(deps: ReconnectorDeps): Reconnector {
  const targets = new Map<PeerId, Target>();
  const counts = { dials_total: 0, dials_failed_total: 0, dials_deferred_total: 0 };
  let tokens = dialsBurstMax;
  let tokensAtMs = deps.monoMs();
  let stopped = false;

  function takeToken(): boolean {
    const nowMs = deps.monoMs();
    tokens = Math.min(dialsBurstMax, tokens + ((nowMs - tokensAtMs) / 1000) * dialsPerSecond);
    tokensAtMs = nowMs;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  }

  function schedule(peer: PeerId, target: Target, waitMs: Ms): void {
    if (target.timer !== null) clearTimeout(target.timer);
    target.timer = setTimeout(() => {
      target.timer = null;
      attempt(peer, target);
    }, waitMs);
    target.timer.unref();
  }

  function attempt(peer: PeerId, target: Target): void {
    if (stopped || target.dialing || targets.get(peer) !== target || deps.connected(peer)) return;
    const urgent = target.fast > 0;
    if (urgent) target.fast -= 1;
    else if (!takeToken()) {
      counts.dials_deferred_total += 1;
      schedule(peer, target, deps.prng.range(backoffMsMax / 2, backoffMsMax));
      return;
    }
    target.dialing = true;
    counts.dials_total += 1;
    void deps.dial(peer, urgent).then(() => settled(peer, target));
  }

  function settled(peer: PeerId, target: Target): void {
    target.dialing = false;
    if (stopped || deps.connected(peer)) return;
    target.failures += 1;
    counts.dials_failed_total += 1;
    deps.onFailed(peer);
    if (targets.get(peer) !== target) return;
    if (target.fast > 0) attempt(peer, target);
    else schedule(peer, target, backoffMs(target.failures, deps.prng));
  }

  function hurry(peer: PeerId): void {
    const target = targets.get(peer);
    if (target && !target.dialing && !deps.connected(peer)) schedule(peer, target, 0);
  }

  return {
    setTargets(peers) {
      const wanted = new Set(peers.filter((peer) => peer !== deps.self));
      for (const [peer, target] of targets) {
        if (wanted.has(peer)) continue;
        if (target.timer !== null) clearTimeout(target.timer);
        targets.delete(peer);
      }
      for (const peer of wanted) {
        if (targets.has(peer)) continue;
        const openedMs = deps.connected(peer) ? deps.monoMs() : null;
        const target: Target = { timer: null, dialing: false, failures: 0, openedMs, fast: 0 };
        targets.set(peer, target);
        if (openedMs === null) schedule(peer, target, deps.self < peer ? 0 : courtesyMs);
      }
    },
    hurry,
    hurryAll: () => {
      const away = [...targets.keys()].filter((peer) => !deps.connected(peer));
      away.forEach(hurry);
      return away;
    },
    opened(peer) {
      const target = targets.get(peer);
      if (!target) return;
      if (target.timer !== null) clearTimeout(target.timer);
      target.timer = null;
      target.openedMs = deps.monoMs();
    },
    closed(peer) {
      const target = targets.get(peer);
      if (!target || stopped) return;
      const steady = target.openedMs !== null && deps.monoMs() - target.openedMs >= steadyMs;
      target.openedMs = null;
      if (steady) {
        target.failures = 0;
        target.fast = fastRedials;
        attempt(peer, target);
      } else {
        target.failures += 1;
        schedule(peer, target, backoffMs(target.failures, deps.prng));
      }
    },
    stop() {
      stopped = true;
      for (const target of targets.values()) if (target.timer !== null) clearTimeout(target.timer);
      targets.clear();
    },
    stats: () => ({ ...counts }),
  };
}
