/**
 * A small world for the planner: a real catalog, nodes with disks that fetch, prove and delete as
 * nodes may (deletion only by what the catalog says), leaders that come and go. Time is rounds of a
 * minute. Every deletion is checked: at least `min` other disks must hold the pin.
 */
import { DatabaseSync } from 'node:sqlite';
import { assert } from '../../src/base/assert.ts';
import type { Prng } from '../../src/base/prng.ts';
import { openCatalog } from '../../src/catalog/catalog.ts';
import { queries } from '../../src/catalog/queries.ts';
import { mayDrop, type PinRecord } from '../../src/catalog/query-pins.ts';
import { type Action, commandOf } from '../../src/plan/action.ts';
import type { CopyView, NodeView } from '../../src/plan/observed.ts';
import { createPlanRound, type Plan } from '../../src/plan/replication.ts';
import {
  type CommandResult,
  decodeResult,
  encodeEnvelope,
  type SimpleCommand,
} from '../../src/wire/command.ts';
import { chainStart, type EntryKind, makeEntry } from '../../src/wire/entry.ts';

const roundMs = 60_000;
export const graceRounds = 3;
const session = 'a'.repeat(32);

interface WorldNode {
  readonly peer: string;
  readonly zone: string;
  readonly role: 'worker' | 'leecher';
  up: boolean;
  member: boolean;
  draining: boolean;
  /** Rounds since the current leader last heard it. */
  goneRounds: number;
  readonly disk: Set<string>;
}

function createLog() {
  const db = new DatabaseSync(':memory:');
  const catalog = openCatalog(db);
  let previousHash = chainStart;
  let seq = 0;
  const append = (kind: EntryKind, data: Uint8Array): Uint8Array => {
    const index = catalog.appliedIndex() + 1;
    const entry = makeEntry({ previousHash, epoch: '', index, term: 1, kind, data });
    previousHash = entry.hash;
    return catalog.apply([entry])[0]?.result ?? new Uint8Array();
  };
  const propose = (command: SimpleCommand): CommandResult => {
    const at = command.type === 'session.open' ? 0 : ++seq;
    const head = { v: 1, session, seq: at, atMs: 0, idempotency: null } as const;
    return decodeResult(append('command', encodeEnvelope({ ...head, command })));
  };
  propose({ type: 'session.open', node: 'leader' });
  return { db, catalog, propose };
}

export function createPlanWorld(
  prng: Prng,
  options: { nodes: number; pins: number; minLeast?: number },
) {
  const { db, catalog, propose } = createLog();
  const nodes: WorldNode[] = Array.from({ length: options.nodes }, (_, i) => ({
    peer: `node-${i}`,
    zone: `zone-${i % 2}`,
    role: i === 0 ? 'leecher' : 'worker',
    up: true,
    member: true,
    draining: false,
    goneRounds: 0,
    disk: new Set<string>(),
  }));
  let proofs = new Set<string>();
  let term = 1;
  let round = 0;
  const members = () => nodes.filter(({ member }) => member);
  const byPeer = new Map(nodes.map((node) => [node.peer, node]));

  const pins = (): PinRecord[] => {
    const all: PinRecord[] = [];
    for (let after: string | null = null; ; ) {
      const page = queries['pins.list']?.(db, { after, limit: 7 }) as {
        pins: PinRecord[];
        next: string | null;
      };
      all.push(...page.pins);
      after = page.next;
      if (after === null) return all;
    }
  };

  const view = (node: WorldNode): NodeView => ({
    peer: node.peer,
    role: node.role,
    zone: node.zone,
    state: node.up ? 'alive' : node.goneRounds > 0 ? 'failed' : 'suspect',
    goneForMs: node.up ? null : node.goneRounds * roundMs,
    draining: node.draining,
    health: 'healthy',
    bytesFree: 2 ** 33,
    bytesQueued: 0,
  });

  const copiesOf = (cid: string): CopyView[] =>
    members()
      .filter(({ up, disk }) => up && disk.has(cid))
      .map(({ peer }) => ({
        peer,
        state: 'pinned',
        stateForMs: roundMs,
        verifiedForMs: proofs.has(`${peer}|${cid}`) ? 0 : null,
      }));

  const plan = (): Plan => {
    const made = createPlanRound({
      nodes: members().map(view),
      copiesOf,
      wallMs: round,
      repairBytes: 20_000,
      prng,
      rules: { repairGraceMs: graceRounds * roundMs, challengeAgeMs: 1e12, actionsMax: 8 },
    });
    const all = pins();
    for (let at = 0; at < all.length; at += 5) made.page(all.slice(at, at + 5));
    return made.finish();
  };

  const execute = (action: Action): void => {
    if (action.type === 'challenge') {
      const node = byPeer.get(action.peer);
      if (node?.up && node.disk.has(action.cid)) proofs.add(`${action.peer}|${action.cid}`);
    }
    const command = commandOf(action, term);
    if (command === null) return;
    const result = propose(command);
    if (!result.ok) assert(result.code === 'conflict', `${action.type}: ${result.detail}`);
  };

  /** Nodes that are up fetch what is theirs where a source is up, and drop what is not. */
  const work = (): void => {
    const all = pins();
    for (const node of nodes) {
      if (!node.up || !node.member) continue;
      for (const pin of all) {
        const { cid, min, allocation } = pin;
        const mine = allocation.peers.includes(node.peer);
        const source = nodes.some((other) => other.up && other.disk.has(cid));
        if (mine && source && prng.chance(0.6)) node.disk.add(cid);
        if (!mayDrop(pin, node.peer) || !node.disk.has(cid)) continue;
        const holders = nodes.filter((other) => other !== node && other.disk.has(cid)).length;
        assert(holders >= min, `round ${round}: ${node.peer} drops ${cid}, ${holders} others`);
        node.disk.delete(cid);
        proofs.delete(`${node.peer}|${cid}`);
      }
    }
  };

  const tick = (): void => {
    round++;
    for (const node of nodes) node.goneRounds = node.up ? 0 : node.goneRounds + 1;
  };

  for (let i = 0; i < options.pins; i++) {
    const cid = `bafkreitest${String(i).padStart(4, '0')}`;
    const min = (options.minLeast ?? 1) + prng.int(2);
    const max = min + prng.int(2);
    const rest = { name: '', bytes: 1000, blocks: 1, labels: {}, expiresAtMs: null };
    propose({ type: 'pin.put', cid, min, max, expectedVersion: 0, ...rest });
    // Whoever added it holds it, allocated or not.
    prng.pick(nodes.filter(({ role }) => role === 'worker')).disk.add(cid);
  }

  return {
    nodes,
    members,
    pins,
    plan,
    execute,
    work,
    tick,
    catalog,
    verified: (pin: PinRecord): number =>
      pin.allocation.peers.filter((peer) => proofs.has(`${peer}|${pin.cid}`)).length,
    /** A new leader has heard everybody who is up just now, and has no proofs. */
    newLeader: (): void => {
      term++;
      proofs = new Set();
      for (const node of nodes) node.goneRounds = 0;
    },
  };
}

export type PlanWorld = ReturnType<typeof createPlanWorld>;
