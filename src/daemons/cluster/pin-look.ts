/**
 * The states of a peer's pins, asked for less often than the peer itself: the list has a line for
 * every pin of the cluster. A list that did not arrive whole leaves the last one standing and is
 * told as a failure of that look, never as fewer pins.
 */
import type { Ms } from '../../base/brand.ts';
import type { DaemonClient } from '../daemon-client.ts';

type AskPins<T> = (client: DaemonClient, own: string, signal: AbortSignal) => Promise<T>;

const everyMs: Ms = 3000;
/** Long lists are asked for at most this share of the time. */
const restShare = 9;

export interface PinLook<T> {
  look: AskPins<T>;
}

export function createPinLook<T>(
  ask: AskPins<T>,
  nowMs: () => Ms = () => performance.now(),
): PinLook<T> {
  let known: { readonly own: string; readonly url: string; readonly states: T } | null = null;
  let dueMs: Ms = Number.NEGATIVE_INFINITY;
  return {
    look: async (client, own, signal) => {
      const begunMs = nowMs();
      const same = known?.own === own && known.url === client.url;
      if (known !== null && same && begunMs < dueMs) return known.states;
      const states = await ask(client, own, signal);
      known = { own, url: client.url, states };
      const tookMs = nowMs() - begunMs;
      dueMs = nowMs() + Math.max(everyMs, tookMs * restShare);
      return states;
    },
  };
}
