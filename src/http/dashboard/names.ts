/**
 * Names that callers of /api/ use: backends and daemons in both spellings, and what the routes
 * under it need of the agent.
 */
import { z } from 'zod';
import type { StatusPage } from '../../agent/api.ts';
import type { MeshReport } from '../../agent/health/api.ts';
import { type DaemonType, type DaemonView, daemonTypes, type Endpoint } from '../../daemons/api.ts';
import type { MeshHealing } from '../../mesh/api.ts';
import type { Resources } from '../../wire/health-record.ts';
import type { Role } from '../../wire/member.ts';

export const backendNames = [
  'embedded',
  'ipfs',
  'ipfs_cluster',
  'ipfs_cluster_follow',
  'lotus',
  'libp2p',
] as const;
export type BackendName = (typeof backendNames)[number];

/** `ipfs_cluster_service` is another spelling of the backend `ipfs_cluster`, and the other way. */
export const backendName = z
  .enum([...backendNames, 'ipfs_cluster_service'])
  .transform((name): BackendName => (name === 'ipfs_cluster_service' ? 'ipfs_cluster' : name));
export const daemonName = z
  .enum([...daemonTypes, 'ipfs_cluster'])
  .transform((name): DaemonType => (name === 'ipfs_cluster' ? 'ipfs_cluster_service' : name));

export const daemonOf: Readonly<Record<BackendName, DaemonType | null>> = {
  embedded: null,
  ipfs: 'ipfs',
  ipfs_cluster: 'ipfs_cluster_service',
  ipfs_cluster_follow: 'ipfs_cluster_follow',
  lotus: 'lotus',
  libp2p: null,
};

/** What of a daemon the routes ask for and act on. */
export interface ApiDaemon {
  view(): DaemonView;
  check(timeoutMs: number): Promise<DaemonView>;
  look(): Promise<{
    readonly pids: readonly number[];
    readonly running: boolean;
    readonly socketExists: boolean;
  }>;
  ask(
    what: 'start' | 'stop' | 'restart',
    options: { readonly force: boolean; readonly timeoutMs: number },
  ): Promise<DaemonView>;
  setAutoHeal(on: boolean): DaemonView;
  endpoint(): Endpoint | null;
  readonly output: { tail(lines: number): Promise<{ readonly lines: readonly string[] }> } | null;
}

export interface DashboardDeps {
  readonly role: Role;
  status(): Promise<StatusPage>;
  resources(): Resources | null;
  /** null before the node has joined. */
  mesh(): MeshReport | null;
  healMesh(why: string): Promise<MeshHealing>;
  readonly daemons: {
    views(): readonly DaemonView[];
    one(type: string): ApiDaemon;
    /** Whom a follower of this node follows; the URL may carry a token. */
    follows(): { readonly clusterName: string; readonly url: string };
  };
  events(
    after: number,
    limit: number,
  ): readonly {
    readonly at: string;
    readonly type: string;
    readonly data: Record<string, unknown>;
  }[];
}

export const nowText = (): string => new Date().toISOString();
