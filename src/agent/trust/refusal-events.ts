/**
 * Refusals as events: the first of its kind at once, the same one (peer, what, code) again only
 * after a while, so that a stubborn peer fills no log. Every single one is counted elsewhere.
 */
import type { Clock } from '../../base/clock.ts';
import type { LastRefusal } from './trust.ts';

const againMs = 10_000;
const kindsMax = 256;

export function createRefusalEvents(
  clock: Clock,
  event: (type: string, data: Record<string, unknown>) => void,
): (refusal: LastRefusal) => void {
  const toldMs = new Map<string, number>();
  return ({ peer, name, what, code, detail }) => {
    const nowMs = clock.now().monoMs;
    const kind = `${peer} ${what} ${code}`;
    if (nowMs - (toldMs.get(kind) ?? Number.NEGATIVE_INFINITY) < againMs) return;
    if (toldMs.size >= kindsMax) toldMs.clear();
    toldMs.set(kind, nowMs);
    event('peer-refused', { peer, name, what, code, detail: detail.slice(0, 300) });
  };
}
