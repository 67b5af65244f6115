/** A daemon that this node has nothing to do with, as it is shown. */
import type { DaemonType, DaemonView } from './api.ts';

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
