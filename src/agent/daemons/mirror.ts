/**
 * The leader's hand on ipfs-cluster: the catalog's pins are what its own, trusted service shall
 * have. Level-triggered and idempotent; only while this node may act, asked again before every
 * single change. A pinset that did not arrive whole changes nothing, and a pin is taken away only
 * if the mirror made it and the catalog remembers its removal.
 */
import type { CidText, Ms } from '../../base/brand.ts';
import { asAgentError } from '../../base/error.ts';
import type { FederationRecord } from '../../catalog/query-federation.ts';
import type { PinRecord } from '../../catalog/query-pins.ts';
import {
  allocations,
  type ClusterAllocation,
  isOurs,
  pin,
  pingingPeers,
  unpin,
} from '../../daemons/cluster/rest.ts';
import { createDaemonClient, type DaemonClient } from '../../daemons/daemon-client.ts';
import { withDeadline } from '../../daemons/deadline.ts';
import { importCar } from '../../daemons/kubo/import-car.ts';
import type { Node } from '../node.ts';
import { createRounds } from '../replication/rounds.ts';
import type { Daemons } from './daemons.ts';

const roundMs: Ms = 3000;
const listMsMax: Ms = 60_000;
const changeMsMax: Ms = 30_000;
const importMsMax: Ms = 600_000;
const changesMax = 64;
const pageLimit = 500;
/** A change that did not bring what was asked for (peers without metrics) is tried again then. */
const againMs: Ms = 8000;
const triedMax = 10_000;

export interface MirrorDeps {
  readonly node: () => Node | null;
  readonly daemons: () => Daemons;
  readonly record: () => FederationRecord | null;
  readonly hold: (pins: readonly ClusterAllocation[]) => void;
  readonly car: (cid: CidText) => AsyncIterable<Uint8Array>;
  readonly nowMs: () => Ms;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface MirrorState {
  readonly state: 'off' | 'following' | 'mirroring' | 'queued';
  readonly code: 'no-trusted-service' | 'service-unreachable' | null;
  readonly detail: string | null;
  readonly pins: number;
  /** Of these, not yet in ipfs-cluster as the catalog wants them. */
  readonly queued: number;
}

const off: MirrorState = { state: 'off', code: null, detail: null, pins: 0, queued: 0 };

interface Wanted {
  readonly cid: string;
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Peers of the cluster; empty: every peer. */
  readonly peers: readonly string[];
}

/**
 * The allocation in the cluster's terms. Only services can be named: a follower holds what every
 * peer holds, so where one of the nodes follows, or has no daemon, every peer holds it.
 */
export function wantedOf(pinned: PinRecord, record: FederationRecord): Wanted | null {
  const nodes = pinned.allocation.peers;
  if (nodes.length === 0) return null;
  const services = record.peers.filter(({ kind }) => kind === 'ipfs_cluster_service');
  const peerOf = new Map(services.map(({ node, peerId }) => [node, peerId]));
  const peers = nodes.flatMap((node) => peerOf.get(node) ?? []).sort();
  const { cid, name } = pinned;
  if (peers.length < nodes.length) return { cid, name, min: -1, max: -1, peers: [] };
  return { cid, name, min: peers.length, max: peers.length, peers };
}

export function matches(have: ClusterAllocation, wanted: Wanted): boolean {
  if (have.replication_factor_max !== wanted.max) return false;
  if (wanted.peers.length === 0) return true;
  return JSON.stringify([...(have.allocations ?? [])].sort()) === JSON.stringify(wanted.peers);
}

/**
 * The service leaves peers that suffice in number as they are, whichever are asked for: only if it
 * forgets them first does a pin move away from one of them.
 */
export const mustForget = (have: ClusterAllocation, wanted: Wanted): boolean =>
  wanted.peers.length > 0 && (have.allocations ?? []).some((peer) => !wanted.peers.includes(peer));

export interface Mirror {
  start(): void;
  stop(): Promise<void>;
  poke(): void;
  state(): MirrorState;
}

export function createMirror(deps: MirrorDeps): Mirror {
  let state: MirrorState = off;
  let service: { readonly url: string; readonly client: DaemonClient } | null = null;
  let tried = new Map<string, Ms>();
  let toldCode: string | null = null;

  function clientFor(url: string): DaemonClient {
    if (service?.url === url) return service.client;
    service?.client
      .close()
      .catch((error: unknown) => deps.onFailure('closing the client of the service', error));
    const endpoint = { url, authorization: null, tls: null };
    service = { url, client: createDaemonClient(endpoint) };
    return service.client;
  }

  async function* desired(node: Node, record: FederationRecord): AsyncGenerator<Wanted> {
    let after: string | null = null;
    do {
      const { value } = await node.stores.catalog.query('pins.list', { after, limit: pageLimit });
      const page = value as { pins: PinRecord[]; next: string | null };
      for (const one of page.pins) {
        const wanted = wantedOf(one, record);
        if (wanted !== null) yield wanted;
      }
      after = page.next;
    } while (after !== null);
  }

  const mayTry = (cid: string): boolean =>
    deps.nowMs() - (tried.get(cid) ?? Number.NEGATIVE_INFINITY) >= againMs;

  /** One pin into the cluster: its blocks into this node's kubo first, if they are new there. */
  async function put(
    client: DaemonClient,
    wanted: Wanted,
    known: ClusterAllocation | undefined,
  ): Promise<void> {
    const isNew = known === undefined;
    if (tried.size >= triedMax) tried = new Map();
    tried.set(wanted.cid, deps.nowMs());
    const kubo = deps.daemons().one('ipfs').endpoint();
    if (isNew && kubo !== null)
      await withDeadline(importMsMax, `moving ${wanted.cid} into kubo`, (signal) =>
        importCar(kubo, deps.car(wanted.cid), signal),
      );
    const post = async (min: number, max = wanted.max, peers = wanted.peers): Promise<void> => {
      if (deps.node()?.runtime.mayAct() == null) return;
      const asked = { ...wanted, min, max, peers };
      await withDeadline(changeMsMax, 'ipfs-cluster', (signal) => pin(client, asked, signal));
    };
    if (known !== undefined && mustForget(known, wanted)) {
      const there = await withDeadline(changeMsMax, 'ipfs-cluster', (signal) =>
        pingingPeers(client, signal),
      );
      // Others would be taken for one that is away.
      if (wanted.peers.some((peer) => !there.has(peer))) return;
      // For a moment every peer shall hold it, so none lets go of it before its successor is named.
      await post(-1, -1, []);
    }
    // A peer without a metric yet can't be allocated: the pin gets in now, and its peers when
    // they are known. Only a minimum that isn't met makes the service allocate anew.
    await post(wanted.min).catch((thrown: unknown) => {
      if (!isNew || wanted.min <= 1) throw thrown;
      return post(1);
    });
    deps.event('cluster-pin', { cid: wanted.cid, min: wanted.min, peers: wanted.peers });
  }

  /** Only what the mirror made, and only if the catalog says that it was removed. */
  async function remove(client: DaemonClient, node: Node, cid: string): Promise<void> {
    const { value } = await node.stores.catalog.query('tombstones.get', { cid });
    if (value === null || node.runtime.mayAct() === null) return;
    await withDeadline(changeMsMax, 'ipfs-cluster', (signal) => unpin(client, cid, signal));
    deps.event('cluster-unpin', { cid });
  }

  async function mirror(node: Node, record: FederationRecord, url: string): Promise<MirrorState> {
    const client = clientFor(url);
    const have = await withDeadline(listMsMax, 'the pinset', (signal) =>
      allocations(client, signal),
    );
    deps.hold(have);
    const there = new Map(have.map((one) => [one.cid, one]));
    const leftover = new Set(have.filter(isOurs).map(({ cid }) => cid));
    let pins = 0;
    let queued = 0;
    let changes = 0;
    for await (const wanted of desired(node, record)) {
      pins += 1;
      leftover.delete(wanted.cid);
      const known = there.get(wanted.cid);
      if (known !== undefined && matches(known, wanted)) continue;
      if (known === undefined) queued += 1;
      if (changes >= changesMax || !mayTry(wanted.cid)) continue;
      changes += 1;
      await put(client, wanted, known).catch((thrown: unknown) =>
        deps.onFailure('a pin did not get into ipfs-cluster', thrown),
      );
    }
    for (const cid of leftover) {
      if (changes >= changesMax) break;
      changes += 1;
      await remove(client, node, cid);
    }
    if (changes > 0) rounds.poke();
    return { state: 'mirroring', code: null, detail: null, pins, queued };
  }

  async function next(): Promise<MirrorState> {
    const node = deps.node();
    const record = deps.record();
    if (node === null || record === null || record.peers.length === 0) return off;
    if (node.runtime.mayAct() === null) return { ...off, state: 'following' };
    const { value } = await node.stores.catalog.query('stats', {});
    const pins = (value as { counts: Record<string, number> }).counts.pins ?? 0;
    const waiting = { state: 'queued', pins, queued: pins } as const;
    const own = record.peers.find((peer) => peer.node === node.self);
    if (own?.kind !== 'ipfs_cluster_service') {
      const detail = 'the leader runs no ipfs-cluster-service, so it can change no pinset';
      return { ...waiting, code: 'no-trusted-service', detail };
    }
    const daemon = deps.daemons().one('ipfs_cluster_service');
    const url = daemon.endpoint()?.url;
    if (daemon.view().state !== 'running' || url === undefined) {
      const detail = `the leader's ipfs-cluster-service is ${daemon.view().state}`;
      return { ...waiting, code: 'no-trusted-service', detail };
    }
    try {
      return await mirror(node, record, url);
    } catch (thrown) {
      const detail = asAgentError(thrown).message;
      return { ...waiting, code: 'service-unreachable', detail };
    }
  }

  const rounds = createRounds({
    periodMs: roundMs,
    gatherMs: 100,
    apartMs: 500,
    run: async () => {
      const begunMs = deps.nowMs();
      state = await next();
      if (state.code !== toldCode) {
        toldCode = state.code;
        const { code, detail, queued } = state;
        deps.event(code === null ? 'mirror-recovered' : 'mirror-waits', { code, detail, queued });
      }
      return Math.min(deps.nowMs() - begunMs, roundMs);
    },
    onFailure: (error) => deps.onFailure('a round of the ipfs-cluster mirror failed', error),
  });

  return {
    start: rounds.start,
    poke: rounds.poke,
    stop: async () => {
      await rounds.stop();
      await service?.client.close();
    },
    state: () => {
      // A round waits for a long list; what is wrong with the service is known before it ends.
      const wrong = deps.daemons().one('ipfs_cluster_service').view().checkError;
      if (state.state !== 'mirroring' || wrong === null) return state;
      return { ...state, state: 'queued', code: 'service-unreachable', detail: wrong };
    },
  };
}
