/**
 * A working agent in memory, without a cluster: the index and pins with versions, content as maps
 * of bytes, events and one idempotency table. Tests steer it through `set`.
 */
import { createHash } from 'node:crypto';
import { CID } from 'multiformats/cid';
import * as raw from 'multiformats/codecs/raw';
import { create as createDigest } from 'multiformats/hashes/digest';
import type { Agent, AgentEvent, LeaderAnswer, PinReport } from '../../../src/agent/api.ts';
import { AgentError } from '../../../src/base/error.ts';
import { type DaemonType, daemonTypes } from '../../../src/daemons/api.ts';
import type { Command, CommandResult } from '../../../src/wire/command.ts';
import type { Role } from '../../../src/wire/member.ts';
import { createFakeDaemons } from './dashboard/fake-daemons.ts';

import { createFakeOperations, type FakeOperations } from './fake-operations.ts';

export const token = 'f00d'.repeat(16);

export const leaderNode = {
  name: 'master-1',
  peerId: 'peer-1',
  role: 'master' as const,
  statusUrl: 'http://127.0.0.1:9099',
};

interface Stored {
  readonly files: Map<string, Uint8Array>;
  readonly folders: string[];
  readonly single: boolean;
}

interface Entry {
  value: unknown;
  version: number;
}

export interface FakeAgent extends Agent {
  /** What the next propose throws, once. */
  failNext: AgentError | Error | null;
  answer: LeaderAnswer;
  unmet: string[];
  emit(type: string): void;
  listeners: number;
  stored: Map<string, Stored>;
  readonly operations: FakeOperations;
  proposals: { command: Command; key: string | null; timeoutMs: number }[];
  readonly fakeDaemons: ReturnType<typeof createFakeDaemons>;
  /** What daemons score, by type. */
  scores: Partial<Record<DaemonType, number>>;
}

const cidOfBytes = (bytes: Uint8Array): string =>
  CID.createV1(
    raw.code,
    createDigest(0x12, createHash('sha256').update(bytes).digest()),
  ).toString();

export function createFakeAgent(role: Role = 'master'): FakeAgent {
  const index = new Map<string, Entry>();
  const pins = new Map<string, PinReport>();
  const idempotent = new Map<string, { hash: string; result: CommandResult }>();
  const events: AgentEvent[] = [];
  const listeners = new Set<(event: AgentEvent) => void>();
  const fakeDaemons = createFakeDaemons();
  let applied = 0;

  const conflict = (now: number): CommandResult => ({
    ok: false,
    index: applied,
    code: 'conflict',
    detail: `the version is ${now}`,
    version: now,
  });

  function applyOne(command: Command): CommandResult {
    applied += 1;
    const ok = (version: number | null): CommandResult => ({
      ok: true,
      index: applied,
      version,
      value: null,
    });
    switch (command.type) {
      case 'index.put':
      case 'index.rm': {
        const at = `${command.index}/${command.key}`;
        const now = index.get(at)?.version ?? 0;
        if (command.expectedVersion !== null && command.expectedVersion !== now)
          return conflict(now);
        if (command.type === 'index.put') index.set(at, { value: command.value, version: now + 1 });
        else if (!index.delete(at))
          return { ok: false, index: applied, code: 'not-found', detail: `no entry ${at}` };
        return ok(now + 1);
      }
      case 'pin.put': {
        const now = pins.get(command.cid)?.version ?? 0;
        if (command.expectedVersion !== null && command.expectedVersion !== now)
          return conflict(now);
        const { cid, name, bytes, min, max } = command;
        const rest = { allocations: [], verified: 0, copies: [] };
        pins.set(cid, { cid, name, bytes, min, max, version: now + 1, ...rest });
        return ok(now + 1);
      }
      case 'pin.rm':
        if (!pins.delete(command.cid))
          return { ok: false, index: applied, code: 'not-found', detail: 'not pinned' };
        return ok(null);
      case 'batch':
        for (const each of command.commands) applyOne(each);
        return ok(null);
      default:
        return ok(null);
    }
  }

  const agent: FakeAgent = {
    failNext: null,
    unmet: [],
    answer: { acting: true, leader: leaderNode, term: 3, since: null, reason: null },
    stored: new Map(),
    proposals: [],
    listeners: 0,
    role,
    token,
    emit(type) {
      const event = { seq: events.length + 1, at: '2026-01-01T00:00:00.000Z', type, data: {} };
      events.push(event);
      for (const listener of listeners) listener(event);
    },
    start: async () => undefined,
    stop: async () => undefined,
    status: async () => ({
      node: { name: 'master-1', peerId: 'peer-1', role },
      members: [{ name: 'master-1', peerId: 'peer-1', role }],
      content: { engine: 'embedded' },
      replication: {
        pins: 4,
        underReplicated: 1,
        overReplicated: 0,
        fetching: 0,
        failed: 0,
        bytesStored: 10,
        bytesFree: 1000,
      },
      index: { embeddings: 2, knowledge_graph: 3, content_metadata: 4 },
      health: {
        state: 'healthy',
        score: 100,
        reasons: [],
        components: ['agent', 'machine', 'mesh'].map((name) => ({ name, score: 100, weight: 2 })),
      },
      daemons: Object.fromEntries(
        daemonTypes.map((type) => [type, { score: agent.scores[type] ?? null }]),
      ),
    }),
    readiness: () => ({
      ready: agent.unmet.length === 0,
      unmet: agent.unmet,
      mode: 'normal',
      degradedReason: null,
    }),
    leader: () => agent.answer,
    async propose(command, { idempotency, timeoutMs }) {
      agent.proposals.push({ command, key: idempotency?.key ?? null, timeoutMs });
      if (agent.failNext) {
        const error = agent.failNext;
        agent.failNext = null;
        throw error;
      }
      const before = idempotency ? idempotent.get(idempotency.key) : undefined;
      if (before && idempotency) {
        if (before.hash === idempotency.requestHash) return before.result;
        return { ok: false, index: applied, code: 'bad-request', detail: 'key of another request' };
      }
      const result = applyOne(command);
      if (idempotency) idempotent.set(idempotency.key, { hash: idempotency.requestHash, result });
      return result;
    },
    async query(name, args) {
      const wanted = args as { index: string; key: string; prefix: string | null; limit: number };
      if (name === 'index.get') {
        const entry = index.get(`${wanted.index}/${wanted.key}`);
        const value = entry ? { key: wanted.key, ...entry } : null;
        return { value, appliedIndex: applied, staleMs: 12.5 };
      }
      const start = `${wanted.index}/${wanted.prefix ?? ''}`;
      const entries = [...index]
        .filter(([at]) => at.startsWith(start))
        .map(([at, entry]) => ({ key: at.slice(wanted.index.length + 1), ...entry }))
        .slice(0, wanted.limit);
      return { value: { entries, next: null }, appliedIndex: applied, staleMs: 12.5 };
    },
    async add(entries, { name, min, max, labels }) {
      const files = new Map<string, Uint8Array>();
      const folders: string[] = [];
      const all = createHash('sha256');
      for await (const { path, content } of entries) {
        if (content === null) {
          folders.push(path);
          continue;
        }
        const chunks: Uint8Array[] = [];
        for await (const chunk of content) chunks.push(chunk);
        const bytes = Buffer.concat(chunks);
        all.update(path).update(bytes);
        files.set(path, bytes);
      }
      const cid = cidOfBytes(all.digest());
      const bytes = [...files.values()].reduce((sum, each) => sum + each.length, 0);
      const single = files.size === 1 && files.has(name);
      agent.stored.set(cid, { files, folders, single });
      const result = applyOne({
        type: 'pin.put',
        cid,
        name,
        bytes,
        blocks: files.size,
        min,
        max,
        labels,
        expiresAtMs: null,
        expectedVersion: null,
      });
      return { task: 't1', item: { cid, bytes, blocks: files.size, files: files.size }, result };
    },
    async *cat(cid, path) {
      const { files, single } = stored(cid);
      const bytes = single ? [...files.values()][0] : files.get(path);
      if (!bytes) throw new AgentError('not-found', `nothing at '${path}'`);
      for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
    },
    async ls(cid, path) {
      const { files, folders, single } = stored(cid);
      const [first] = files.values();
      if (single && first) return [{ path: '', type: 'file', bytes: first.length }];
      const at = files.get(path);
      if (at) return [{ path: '', type: 'file', bytes: at.length }];
      return [
        ...folders.map((folder) => ({ path: folder, type: 'directory' as const, bytes: 0 })),
        ...[...files].map(([name, bytes]) => ({
          path: name,
          type: 'file' as const,
          bytes: bytes.length,
        })),
      ];
    },
    async pin(cid) {
      const pin = pins.get(cid);
      if (!pin) throw new AgentError('not-found', `${cid} is not pinned`);
      return pin;
    },
    pins: async (_after, limit) => ({ pins: [...pins.values()].slice(0, limit), next: null }),
    member: async (name) => (name === 'master-1' ? { name, peerId: 'peer-1' } : null),
    operations: createFakeOperations(() => agent.answer),
    identity: () => ({
      createToken: async ({ role, name }) => ({
        ...{ token: 'bw1_text', id: '0'.repeat(16), role, name, expiresAtMs: 0 },
      }),
      tokens: async () => [],
      setRole: async (name, role) => {
        if (name === 'nobody') throw new AgentError('not-found', 'no member is called nobody');
        const changed = role !== 'worker';
        return { name, peerId: `peer-of-${name}`, role, was: 'worker', changed, handedOver: false };
      },
      authorities: () => ({
        authorities: [
          { fingerprint: 'a'.repeat(16), state: 'accepted' },
          { fingerprint: 'b'.repeat(16), state: 'signing' },
        ],
        members: [
          {
            ...{ name: 'master-1', peerId: 'peer-1', role: 'master', followed: false },
            authority: 'a'.repeat(16),
          },
        ],
        statementsIgnored: 0,
      }),
      rotateAuthority: async () => ({
        ...{ fingerprint: 'b'.repeat(16), was: 'a'.repeat(16) },
        ...{ heldBy: ['master-1'], waiting: [] },
      }),
      retireAuthority: async (force) => {
        if (!force) throw new AgentError('conflict', 'not certified by it yet: master-1');
        const [fingerprint, retired] = ['b'.repeat(16), ['a'.repeat(16)]];
        return { fingerprint, retired, behind: ['master-1'], tokensEnded: 0 };
      },
      revoke: async (name) => {
        if (name === 'nobody') throw new AgentError('not-found', 'no member is called nobody');
        return { peerId: `peer-of-${name}` };
      },
    }),
    events: (after, limit) => events.filter(({ seq }) => seq > after).slice(0, limit),
    onEvent(listener) {
      listeners.add(listener);
      agent.listeners = listeners.size;
      return () => {
        listeners.delete(listener);
        agent.listeners = listeners.size;
      };
    },
    tasks: () => [],
    fakeDaemons,
    scores: {},
    daemons: fakeDaemons as unknown as Agent['daemons'],
    resources: () => ({
      cpuPercent: 12.5,
      memoryPercent: 40,
      diskPercent: 55.5,
      diskFreeBytes: 1e12,
      load: [0.5, 0.25, 0.1],
      gpu: null,
    }),
    mesh: () => ({
      peerId: 'peer-1',
      port: 4101,
      addresses: ['/ip4/127.0.0.1/tcp/4101'],
      protocols: ['/bellwether/1/frames'],
      bootstrapPeers: 1,
      bytesSent: 1200,
      bytesReceived: 3400,
      lastHealAt: null,
      members: 3,
      discovered: 3,
      wanted: 3,
      connected: 3,
      links: 3,
      roundTripsMs: [1],
      gossipAgeMs: 100,
      upForMs: 100_000,
      oneSided: [],
    }),
    healMesh: async () => ({ redialled: ['a'], asked: ['b', 'c'], rejoined: [] }),
    setStatusUrl: () => undefined,
    freshness: () => ({ appliedIndex: applied, staleMs: 12.5 }),
    recovery: {
      plan: async () => {
        throw new AgentError('unavailable', 'nothing to recover here');
      },
      forceNewEpoch: async () => {
        throw new AgentError('conflict', 'a majority answers');
      },
      backup: async () =>
        (async function* () {
          yield Buffer.from('backup');
        })(),
    },
    metrics: async () => 'bellwether_up 1\n',
  };

  function stored(cid: string): Stored {
    const found = agent.stored.get(cid);
    if (!found) throw new AgentError('not-found', `${cid} is not here`);
    return found;
  }
  return agent;
}
