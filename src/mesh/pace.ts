/**
 * How much of a long byte stream may be in flight. Heartbeats share the connection with it, so what
 * is queued before them must stay within some 20 ms: each chunk's time to its acknowledgement is
 * compared with the shortest one seen, and the allowance shrinks when the difference grows.
 */
import type { Ms } from '../base/brand.ts';

/** Queueing that a heartbeat may find before it. */
const queueMsMax: Ms = 20;

export interface Pace {
  /** Another chunk may be sent now. One always may when nothing is in flight. */
  ready(): boolean;
  sent(bytes: number, nowMs: Ms): void;
  /** The oldest chunk in flight was taken. */
  acknowledged(nowMs: Ms): void;
  readonly bytesAllowed: number;
  readonly bytesInFlight: number;
}

export function createPace(options: { chunkBytes: number; bytesMax: number }): Pace {
  const { chunkBytes, bytesMax } = options;
  const flight: { bytes: number; atMs: Ms }[] = [];
  let allowed = Math.min(bytesMax, 2 * chunkBytes);
  let inFlight = 0;
  let shortestMs = Number.POSITIVE_INFINITY;

  return {
    ready: () => flight.length === 0 || inFlight + chunkBytes <= allowed,
    sent(bytes, nowMs) {
      flight.push({ bytes, atMs: nowMs });
      inFlight += bytes;
    },
    acknowledged(nowMs) {
      const chunk = flight.shift();
      if (!chunk) return;
      inFlight -= chunk.bytes;
      const tookMs = nowMs - chunk.atMs;
      shortestMs = Math.min(shortestMs, tookMs);
      const queuedMs = tookMs - shortestMs;
      if (queuedMs > queueMsMax) allowed = Math.max(chunkBytes, allowed * 0.75);
      else if (queuedMs < queueMsMax / 2) allowed = Math.min(bytesMax, allowed + chunkBytes / 2);
    },
    get bytesAllowed() {
      return allowed;
    },
    get bytesInFlight() {
      return inFlight;
    },
  };
}
