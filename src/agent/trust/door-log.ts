/**
 * Connections that were refused before they were anybody's: a handshake that never came to an end
 * (another network key), or a content host that no certified member calls its own. Each is counted;
 * the last one stands on the status page; an event tells the first of its kind and address at once
 * and the same again only after a while.
 */
import type { Ms } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import type { EngineEvent } from '../../content/embedded-engine.ts';

const againMs: Ms = 60_000;
const kindsMax = 256;

export type DoorCode = 'handshake-failed' | 'not-a-member';

export interface DoorRefusal {
  readonly host: 'mesh' | 'content';
  readonly code: DoorCode;
  readonly address: string;
  /** Whose key it showed; null: it never got that far. */
  readonly peer: string | null;
}

export interface DoorReport {
  readonly total: number;
  readonly last: (DoorRefusal & { readonly at: string; readonly detail: string }) | null;
}

export interface DoorLog {
  /** `count` of them, of which this is the last. */
  refused(refusal: DoorRefusal, count?: number): void;
  report(): DoorReport;
}

const details: Readonly<Record<DoorCode, string>> = {
  'handshake-failed': 'it did not finish the handshake: another network key, or far too slow',
  'not-a-member': 'no certified member says that this content host is its own',
};

/** Ports differ with each attempt. */
const withoutPort = (address: string): string => address.replace(/\/tcp\/\d+.*$/, '');

export function createDoorLog(deps: {
  readonly clock: Clock;
  readonly count: (by: number) => void;
  readonly event: (type: string, data: Record<string, unknown>) => void;
}): DoorLog {
  const { clock } = deps;
  const toldMs = new Map<string, Ms>();
  let total = 0;
  let last: DoorReport['last'] = null;
  return {
    refused: (refusal, count = 1) => {
      total += count;
      deps.count(count);
      const { host, code, address } = refusal;
      const detail = details[code];
      last = { ...refusal, at: new Date(clock.wallMs()).toISOString(), detail };
      const nowMs = clock.now().monoMs;
      const kind = `${host} ${code} ${withoutPort(address)}`;
      if (nowMs - (toldMs.get(kind) ?? Number.NEGATIVE_INFINITY) < againMs) return;
      if (toldMs.size >= kindsMax) toldMs.clear();
      toldMs.set(kind, nowMs);
      deps.event('connection-refused', { ...refusal, detail });
    },
    report: () => ({ total, last }),
  };
}

/** What the content engine tells: whom it did not let in, and everything else as events. */
export function engineEvents(
  doors: DoorLog,
  event: (type: string, data: Record<string, unknown>) => void,
): (told: EngineEvent) => void {
  return (told) => {
    const { type, ...data } = told;
    if ('last' in data) doors.refused({ host: 'content', ...data.last }, data.count);
    else event(type, data);
  };
}
