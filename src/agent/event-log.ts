/**
 * What happened on this node, newest last, for people and for `GET /v1/events`: a bounded ring in
 * memory that answers at once, and behind it the durable event store, which numbers the events.
 * What happens before the store is open is kept and stored when it is. Listeners hear each event
 * in order.
 */
import type { EventStore } from '../store/event-store.ts';
import type { AgentEvent } from './api.ts';

const ringMax = 2000;

export interface EventLog {
  append(type: string, data: Record<string, unknown>): void;
  after(seq: number, limit: number): AgentEvent[];
  /** What is in memory, oldest first. */
  newest(): readonly AgentEvent[];
  onEvent(listener: (event: AgentEvent) => void): () => void;
  /** Stores what happened so far and, from now on, everything. */
  attach(store: EventStore): Promise<void>;
}

export function createEventLog(wallMs: () => number): EventLog {
  let ring: AgentEvent[] = [];
  let store: Pick<EventStore, 'append'> | null = null;
  const listeners = new Set<(event: AgentEvent) => void>();
  return {
    append: (type, data) => {
      const at = new Date(wallMs()).toISOString();
      const seq = (ring.at(-1)?.seq ?? 0) + 1;
      const event = store?.append({ at, type, data }) ?? { seq, at, type, data };
      ring.push(event);
      if (ring.length > ringMax) ring = ring.slice(-ringMax / 2);
      for (const listener of listeners) listener(event);
    },
    after: (seq, limit) => ring.filter((event) => event.seq > seq).slice(0, limit),
    newest: () => ring,
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    attach: async (opened) => {
      const earlier = await opened.list(Math.max(0, opened.lastSeq() - ringMax / 2), ringMax / 2);
      const stored = ring.map(({ at, type, data }) => opened.append({ at, type, data }));
      ring = [...earlier, ...stored];
      store = opened;
    },
  };
}
