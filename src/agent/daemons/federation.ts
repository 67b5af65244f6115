/**
 * The ipfs-cluster that the agents run together: secret, addresses and trust from the replicated
 * catalog, told to this node's daemons. Level-triggered: every round compares what the catalog
 * says with what each daemon was started with, and starts it again where that matters, so a new
 * leader, a new member or a new address reaches everybody without a hand.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Ms } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import type { FederationRecord } from '../../catalog/query-federation.ts';
import type {
  Federation,
  FederationPeer,
  FederationView,
} from '../../daemons/cluster/federation.ts';
import {
  type ClusterDaemon,
  clusterDaemonAnswerSchema,
  clusterDaemonSchema,
} from '../../wire/federation-message.ts';
import { decodeNodeMessage, encodeNodeMessage } from '../../wire/node-message.ts';
import type { Config } from '../config.ts';
import type { Node } from '../node.ts';
import { createRounds } from '../replication/rounds.ts';
import type { Daemons } from './daemons.ts';
import { createLaunchNotes, launchOf } from './launch-notes.ts';
import { createPinsets } from './pinsets.ts';

const roundMs: Ms = 2000;
const lookAgainMs: Ms = 250;
const askMsMax: Ms = 3000;
/** How long a daemon that starts for the first time waits for the daemons of the other leaders. */
const othersMsMax: Ms = 8000;
/** A change must have stood for so long, and a lost connection too, before a daemon restarts. */
const settleMs: Ms = 4000;
const lostMsMax: Ms = 15_000;
const restartMsMax: Ms = 60_000;

const kinds = ['ipfs_cluster_service', 'ipfs_cluster_follow'] as const;

export interface FederationDeps {
  readonly config: Config;
  readonly dataFolder: string;
  readonly node: () => Node | null;
  readonly daemons: () => Daemons;
  readonly templateUrl: () => string;
  readonly nowMs: () => Ms;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface AgentFederation extends Federation {
  start(): void;
  stop(): Promise<void>;
  /** Answers followers of this leader; the mirror hands in what its service holds. */
  readonly pinsets: ReturnType<typeof createPinsets>;
  record(): FederationRecord | null;
}

type Told = Pick<FederationPeer, 'kind' | 'peerId' | 'addresses'>;

const sameDaemon = (a: Told, b: Told): boolean =>
  a.kind === b.kind &&
  a.peerId === b.peerId &&
  JSON.stringify(a.addresses) === JSON.stringify(b.addresses);

/** `/ip4/1.2.3.4/tcp/4001/...` with another port and nothing behind it. */
const withPort = (address: string, port: number): string | null => {
  const host = /^\/(ip4|ip6|dns|dns4|dns6)\/[^/]+(?=\/tcp\/)/.exec(address)?.[0];
  return host === undefined ? null : `${host}/tcp/${port}`;
};

/** Where the others reach this machine, on another port. */
function addressesOf(node: Node, port: number): string[] {
  const found = node.mesh.addresses().flatMap((address) => withPort(address, port) ?? []);
  return [...new Set(found)].slice(0, 16);
}

export function createFederation(deps: FederationDeps): AgentFederation {
  const notes = createLaunchNotes(deps.dataFolder);
  const pinsets = createPinsets({
    node: deps.node,
    onFailure: deps.onFailure,
  });
  let record: FederationRecord | null = null;
  let own: ClusterDaemon | null = null;
  /** Kinds whose restart is under way. */
  const restarting = new Set<string>();
  const changedSinceMs = new Map<string, Ms>();

  const joined = (): Node => {
    const node = deps.node();
    if (node === null) throw new AgentError('unavailable', 'the agent has not joined');
    return node;
  };

  async function read(): Promise<FederationRecord> {
    const { value } = await joined().stores.catalog.query('federation.get', {});
    record = value as FederationRecord;
    return record;
  }

  function viewOf({ secret, peers }: FederationRecord): FederationView | null {
    if (secret === null) return null;
    const { members } = joined().directory.configuration();
    const leads = new Set(members.filter((member) => member.leads).map(({ peerId }) => peerId));
    const known = peers.map(
      (peer): FederationPeer => ({
        ...peer,
        trusted: peer.kind === 'ipfs_cluster_service' && leads.has(peer.node),
      }),
    );
    return { secret, peers: known };
  }

  const rowOf = (node: string) => record?.peers.find((peer) => peer.node === node);

  /** The leader writes what a member says of its own daemon. */
  async function take(from: string, daemon: ClusterDaemon): Promise<boolean> {
    const { runtime } = joined();
    if (runtime.mayAct() === null) return false;
    const { kind, peerId, addresses } = daemon;
    const known = (await read()).peers.find((peer) => peer.node === from);
    if (known !== undefined && sameDaemon(known, daemon)) return true;
    const command = { type: 'federation-peer.put', node: from, kind, peerId, addresses } as const;
    const result = await runtime.proposer.propose(command, {
      idempotency: null,
      timeoutMs: askMsMax,
    });
    if (!result.ok) throw new AgentError(result.code, result.detail);
    return true;
  }

  /** Says who this node's daemon is, unless the catalog says so already. */
  async function tell(): Promise<void> {
    const { self, leadership, mesh } = joined();
    const { leader } = leadership.view();
    const row = rowOf(self);
    if (own === null || leader === null || (row !== undefined && sameDaemon(row, own))) return;
    if (leader === self) {
      await take(self, own);
      return;
    }
    const body = encodeNodeMessage(own);
    const answer = await mesh.request(leader, 'cluster-daemon', body, { timeoutMs: askMsMax });
    decodeNodeMessage('cluster daemon answer', clusterDaemonAnswerSchema, answer);
  }

  /** The secret is made once, by the first leader that is told of a daemon. */
  async function found(now: FederationRecord): Promise<void> {
    const { runtime } = joined();
    if (now.secret !== null || now.peers.length === 0 || runtime.mayAct() === null) return;
    const secret = randomBytes(32).toString('hex');
    await runtime.proposer.propose(
      { type: 'federation.found', secret },
      { idempotency: null, timeoutMs: askMsMax },
    );
  }

  const leaderService = (): string | null => {
    const leader = deps.node()?.leadership.view().leader ?? null;
    const row = leader === null ? undefined : rowOf(leader);
    return row?.kind === 'ipfs_cluster_service' ? row.peerId : null;
  };

  /** Has `what` been so for as long as `forMs`? */
  function lasted(what: string, is: boolean, forMs: Ms): boolean {
    if (!is) {
      changedSinceMs.delete(what);
      return false;
    }
    const sinceMs = changedSinceMs.get(what) ?? deps.nowMs();
    changedSinceMs.set(what, sinceMs);
    return deps.nowMs() - sinceMs >= forMs;
  }

  /** A daemon reads trust and addresses when it starts, and only then. */
  function refresh(type: (typeof kinds)[number], view: FederationView): void {
    const daemon = deps.daemons().one(type);
    const { mode, state, finding } = daemon.view();
    const launched = notes.read(type);
    const follows = deps.config.daemons[type]?.follow !== undefined;
    if (mode !== 'managed' || state !== 'running' || launched === null || follows) return;
    const wanted = launchOf(view, own?.peerId ?? '');
    const leader = leaderService();
    const peers = String(finding?.facts.cluster_peers ?? '').split(' ');
    const apart = leader !== null && finding !== null && !peers.includes(leader);
    const moved = launched.addresses !== wanted.addresses && apart;
    const trust = lasted(`${type} trust`, launched.trusted !== wanted.trusted, settleMs);
    const address = lasted(`${type} address`, moved, lostMsMax);
    if (!trust && !address) return;
    changedSinceMs.clear();
    if (restarting.has(type)) return;
    restarting.add(type);
    const reason = trust ? 'the trusted peers have changed' : 'the peers have other addresses';
    deps.event('federation-restart', { daemon: type, reason });
    daemon
      .ask('restart', { force: true, timeoutMs: restartMsMax })
      .catch((error: unknown) => deps.onFailure(`${type} was not started again`, error))
      .finally(() => restarting.delete(type));
  }

  const rounds = createRounds({
    periodMs: roundMs,
    gatherMs: 50,
    apartMs: 200,
    run: async () => {
      if (deps.node() === null) return 0;
      const begunMs = deps.nowMs();
      const now = await read();
      const tookMs = deps.nowMs() - begunMs;
      await tell();
      await found(now);
      const view = viewOf(now);
      if (view !== null) for (const type of kinds) refresh(type, view);
      return tookMs;
    },
    onFailure: (error) => deps.onFailure('a round of the ipfs-cluster federation failed', error),
  });

  /** Do all nodes that may lead have told of their daemon? */
  function othersThere(now: FederationRecord): boolean {
    const { members } = joined().directory.configuration();
    return members.every(
      ({ leads, peerId }) => !leads || now.peers.some(({ node }) => node === peerId),
    );
  }

  async function announce(
    { kind, peerId, port }: { kind: FederationPeer['kind']; peerId: string; port: number },
    signal: AbortSignal,
  ): Promise<FederationView> {
    let othersUntilMs: Ms | null = null;
    for (;;) {
      signal.throwIfAborted();
      const node = deps.node();
      if (node !== null) {
        own = { kind, peerId, addresses: addressesOf(node, port) };
        const now = await read();
        const row = rowOf(node.self);
        const view = viewOf(now);
        if (row !== undefined && sameDaemon(row, own) && view !== null) {
          othersUntilMs ??= deps.nowMs();
          if (deps.nowMs() >= othersUntilMs || othersThere(now)) {
            notes.write(kind, launchOf(view, peerId));
            return view;
          }
        } else {
          // New to the cluster: the others may be starting just now, too.
          othersUntilMs = deps.nowMs() + othersMsMax;
          rounds.poke();
        }
      }
      await wait(lookAgainMs, undefined, { signal });
    }
  }

  return {
    pinsets,
    peerName: deps.config.nodeId,
    announce,
    view: () => (record === null || deps.node() === null ? null : viewOf(record)),
    record: () => record,
    leaderService,
    expectedPins: pinsets.ask,
    templateUrl: deps.templateUrl,
    start: () => {
      joined().peers.serve('cluster-daemon', 'member', async (from, body) => {
        const daemon = decodeNodeMessage('cluster daemon', clusterDaemonSchema, body);
        return encodeNodeMessage({ leads: await take(from, daemon) });
      });
      pinsets.serve();
      rounds.start();
    },
    stop: () => rounds.stop(),
  };
}
