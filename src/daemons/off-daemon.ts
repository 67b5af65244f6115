/** A daemon that this node has nothing to do with: shown as off, and nothing more. */
import { AgentError } from '../base/error.ts';
import type { Daemon, DaemonAdapter, DaemonType, DaemonView } from './api.ts';
import { findProcesses } from './proc.ts';

const titles: Readonly<Record<DaemonType, string>> = {
  ipfs: 'kubo',
  ipfs_cluster_service: 'ipfs-cluster-service',
  ipfs_cluster_follow: 'ipfs-cluster-follow',
  lotus: 'Lotus',
};

export const offView = (type: DaemonType): DaemonView => ({
  type,
  title: titles[type],
  mode: 'off',
  desired: 'stopped',
  state: 'stopped',
  autoHeal: false,
  pid: null,
  adopted: false,
  ports: {},
  url: null,
  folder: null,
  binary: null,
  restarts: 0,
  failures: 0,
  cooldownMsRemaining: 0,
  held: null,
  steady: false,
  lastFailure: null,
  lastHealAt: null,
  alertSince: null,
  finding: null,
  findingAt: null,
  lastCheckAt: null,
  checkError: null,
  unenforced: [],
  notes: [],
});

/** Without an adapter nobody knows what such a process looks like, and none is counted. */
export function createOffDaemon(type: DaemonType, adapter: DaemonAdapter | null): Daemon {
  const refuse = (): never => {
    throw new AgentError(
      'daemon-off',
      `${titles[type]} is off on this node; daemons.${type}.mode in the configuration turns it on`,
    );
  };
  return {
    type,
    output: null,
    view: () => offView(type),
    endpoint: () => null,
    start: async () => undefined,
    stop: async () => undefined,
    check: async () => offView(type),
    look: async () => ({
      pids: adapter === null ? [] : (await findProcesses(adapter.matches)).map(({ pid }) => pid),
      running: false,
      socketExists: false,
    }),
    ask: async () => refuse(),
    setAutoHeal: () => refuse(),
    suspend: () => undefined,
  };
}
