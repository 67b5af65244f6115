/**
 * Judges what the nodes themselves logged: no two ever had the right to act at the same instant,
 * whatever their terms, and no node executed an order of a term below one it had executed before.
 * Pure: records in, findings out. Instants are on the machine's monotonic clock.
 */

export interface ActingRecord {
  readonly node: string;
  readonly acting: boolean;
  readonly term: number;
  readonly atMs: number;
}

/** The process ended here (killed or stopped for good); what it had begun ended with it. */
export interface EndRecord {
  readonly node: string;
  readonly atMs: number;
}

export interface Interval {
  readonly node: string;
  readonly term: number;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface OrderRecord {
  readonly node: string;
  readonly epoch: string;
  readonly term: number;
  readonly fence: number;
}

/** Records of one node come in the order in which it logged them. */
export function actingIntervals(
  records: readonly ActingRecord[],
  ends: readonly EndRecord[],
): Interval[] {
  const found: Interval[] = [];
  for (const [node, ofNode] of Map.groupBy(records, (record) => record.node)) {
    let open: ActingRecord | null = null;
    const deaths = ends.filter((end) => end.node === node).map((end) => end.atMs);
    const endAfter = (atMs: number): number =>
      Math.min(Infinity, ...deaths.filter((deathMs) => deathMs >= atMs));
    const close = (begun: ActingRecord, atMs: number): void => {
      const { term, atMs: fromMs } = begun;
      found.push({ node, term, fromMs, toMs: Math.min(atMs, endAfter(fromMs)) });
    };
    for (const record of ofNode) {
      if (open !== null) close(open, record.atMs);
      open = record.acting ? record : null;
    }
    if (open !== null) close(open, Infinity);
  }
  return found.sort((a, b) => a.fromMs - b.fromMs);
}

/** Pairs of intervals of different nodes that share an instant. */
export function overlaps(intervals: readonly Interval[]): [Interval, Interval][] {
  const sorted = [...intervals].sort((a, b) => a.fromMs - b.fromMs);
  const found: [Interval, Interval][] = [];
  for (const [i, first] of sorted.entries())
    for (const second of sorted.slice(i + 1)) {
      if (second.fromMs >= first.toMs) break;
      if (second.node !== first.node) found.push([first, second]);
    }
  return found;
}

/** Orders that were executed although the node had executed one of a higher term before. */
export function staleOrders(orders: readonly OrderRecord[]): OrderRecord[] {
  const highest = new Map<string, number>();
  return orders.filter(({ node, epoch, term, fence }) => {
    const name = `${node} ${epoch}`;
    const before = highest.get(name) ?? 0;
    highest.set(name, Math.max(before, term));
    return term < before || term < fence;
  });
}
