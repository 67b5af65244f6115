/** Builders for planner tests: nodes, pins and copies with plain defaults. */
import { createPrng } from '../../../src/base/prng.ts';
import type { PinRecord } from '../../../src/catalog/query-pins.ts';
import type { CopyView, NodeView, PlanRules } from '../../../src/plan/observed.ts';
import { planRules } from '../../../src/plan/observed.ts';
import { type PlanInput, planReplication } from '../../../src/plan/replication.ts';

export const gigabyte = 2 ** 30;

export function node(peer: string, extra: Partial<NodeView> = {}): NodeView {
  return {
    peer,
    role: 'worker',
    zone: '',
    state: 'alive',
    goneForMs: null,
    draining: false,
    health: 'healthy',
    bytesFree: 10 * gigabyte,
    bytesQueued: 0,
    ...extra,
  };
}

export const nodes = (count: number, extra: Partial<NodeView> = {}): NodeView[] =>
  Array.from({ length: count }, (_, i) => node(`node-${i}`, extra));

export const gone = (peer: string, goneForMs: number): NodeView =>
  node(peer, { state: 'failed', goneForMs });

export function pin(cid: string, peers: string[], extra: Partial<PinRecord> = {}): PinRecord {
  return {
    cid,
    name: cid,
    bytes: 1000,
    blocks: 1,
    min: 2,
    max: 3,
    labels: {},
    expiresAtMs: null,
    version: 5,
    createdIndex: 5,
    createdAtMs: 0,
    allocation: { peers, version: peers.length === 0 ? 0 : 7, reliesOn: [], term: 1, reason: '' },
    ...extra,
  };
}

export const copy = (peer: string, extra: Partial<CopyView> = {}): CopyView => ({
  peer,
  state: 'pinned',
  stateForMs: 1000,
  verifiedForMs: 1000,
  ...extra,
});

/** Everybody reports a verified copy of whatever is allocated to it. */
export const allVerified = (pins: readonly PinRecord[]) => {
  const byCid = new Map(pins.map((one) => [one.cid, one.allocation.peers.map((p) => copy(p))]));
  return (cid: string): CopyView[] => byCid.get(cid) ?? [];
};

export function planOf(
  input: Partial<Omit<PlanInput, 'rules'>> & {
    pins: readonly PinRecord[];
    rules?: Partial<PlanRules>;
  },
) {
  return planReplication({
    nodes: nodes(5),
    copiesOf: allVerified(input.pins),
    wallMs: 0,
    repairBytes: Number.MAX_SAFE_INTEGER,
    prng: createPrng(1),
    ...input,
    rules: { ...planRules, ...input.rules },
  });
}
