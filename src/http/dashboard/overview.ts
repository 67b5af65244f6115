/**
 * The dashboard's pages as data: all backends, the cluster section, replication, alerts, and the
 * figures that are asked for most often. Pure over one snapshot of what the agent knows.
 */
import type { DaemonView } from '../../daemons/api.ts';
import { holdersOf, listeningPorts } from '../../daemons/port-table.ts';
import { backendOf, isResponsive, statusOf } from './backends.ts';
import { type BackendName, backendNames, type DashboardDeps } from './names.ts';
import { type Page, pageOf } from './page.ts';
import type { Alert, Backend, Cluster, Overview } from './shapes.ts';

export interface Snapshot {
  readonly page: Page;
  readonly at: string;
  readonly backends: Readonly<Record<BackendName, Backend>>;
  /** The cluster service, for the parts that are about it alone. */
  readonly service: DaemonView;
}

const count = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.floor(value) : 0;

/** The count is a figure; its `cluster_peers` may be the list of them. */
const peerCountOf = (view: DaemonView): number => count(view.finding?.facts.peer_count);

export function clusterOf(view: DaemonView): Cluster {
  const running = statusOf(view) === 'running';
  const listening = listeningPorts();
  const port = (name: string, usual: number) => {
    const ours = running && name in view.ports;
    return holdersOf(view.ports[name] ?? usual, listening, ours ? view.pid : null);
  };
  return {
    running,
    api_responsive: isResponsive(view),
    pid: view.pid,
    version: running ? (view.finding?.version ?? null) : null,
    peer_count: running ? peerCountOf(view) : 0,
    port_status: {
      api: port('api', 9094),
      proxy: port('proxy', 9095),
      cluster: port('cluster', 9096),
    },
    config_valid: view.mode !== 'off' && view.lastFailure?.cause !== 'bad-config',
    last_check: view.lastCheckAt,
    errors: [
      ...(view.checkError === null ? [] : [view.checkError]),
      ...(view.lastFailure === null ? [] : [view.lastFailure.detail]),
    ],
  };
}

export async function takeSnapshot(deps: DashboardDeps): Promise<Snapshot> {
  const page = pageOf(await deps.status());
  const at = new Date().toISOString();
  const backends = Object.fromEntries(
    backendNames.map((name) => [name, backendOf(name, deps, page, at)]),
  ) as Record<BackendName, Backend>;
  return { page, at, backends, service: deps.daemons.one('ipfs_cluster_service').view() };
}

export const isConfigured = ({ status }: Backend): boolean => status !== 'not_configured';

/** A share of the backends that this node is set up for: healthy from 80 %, degraded from 60 %. */
export function tallyOf(backends: Snapshot['backends']) {
  const counted = Object.values(backends).filter(isConfigured);
  const having = (health: Backend['health']) =>
    counted.filter((backend) => backend.health === health).length;
  const total = counted.length;
  const healthy = having('healthy');
  const percentage = total === 0 ? 100 : (100 * healthy) / total;
  const health = percentage >= 80 ? 'healthy' : percentage >= 60 ? 'degraded' : 'unhealthy';
  return {
    total,
    healthy,
    degraded: having('degraded'),
    unhealthy: having('unhealthy') + having('unknown'),
    percentage,
    health,
  } as const;
}

function alertsOf({ backends, page, at }: Snapshot): Alert[] {
  const alerts: Alert[] = [];
  const add = (type: string, severity: Alert['severity'], message: string) =>
    alerts.push({ type, message, timestamp: at, severity });
  for (const backend of Object.values(backends).filter(isConfigured)) {
    const { name, health, status, status_message: message } = backend;
    if (health === 'unhealthy') add('backend_unhealthy', 'critical', `${name}: ${message}`);
    else if (health === 'degraded') add('backend_degraded', 'warning', `${name}: ${message}`);
    if (backend === backends.ipfs_cluster && status !== 'running')
      add('cluster_stopped', 'critical', `${name} does not run: ${message}`);
  }
  const { underReplicated = 0, overReplicated = 0 } = page.replication ?? {};
  if (underReplicated > 0)
    add(
      'under_replicated',
      'warning',
      `${underReplicated} pins have fewer copies than they should`,
    );
  if (overReplicated > 0)
    add('over_replicated', 'info', `${overReplicated} pins have more copies than they should`);
  return alerts;
}

function replicationOf({ page, backends }: Snapshot) {
  const { pins = 0, underReplicated = 0, overReplicated = 0 } = page.replication ?? {};
  const healthy = Math.max(0, pins - underReplicated - overReplicated);
  const usage = Object.entries(backends)
    .filter(([, backend]) => isConfigured(backend))
    .map(([name, { detailed_info: info }]) => [name, { pins: info.pins_count ?? info.pin_count }]);
  return {
    total_pins: pins,
    under_replicated: underReplicated,
    over_replicated: overReplicated,
    healthy_pins: healthy,
    replication_efficiency: pins === 0 ? 1 : (pins - underReplicated) / pins,
    backend_usage: Object.fromEntries(usage) as Record<string, unknown>,
  };
}

const clusterPeersOf = ({ service }: Snapshot): number =>
  statusOf(service) === 'running' ? peerCountOf(service) : 0;

export function overviewOf(snapshot: Snapshot): Overview {
  const { page, backends, at, service } = snapshot;
  const tally = tallyOf(backends);
  const alerts = alertsOf(snapshot);
  const replication = replicationOf(snapshot);
  const { libp2p } = backends;
  const peers = count(libp2p.detailed_info.total_peers);
  const { embeddings = 0, knowledge_graph: entities = 0 } = page.index;
  const efficiency = replication.replication_efficiency;
  return {
    timestamp: at,
    overall_health: tally.health,
    backends,
    cluster: clusterOf(service),
    libp2p: {
      status: libp2p.status,
      health: libp2p.health,
      peer_count: peers,
      connected_peers: count(libp2p.detailed_info.connected_peers),
      discovery_active: libp2p.detailed_info.discovery_active === true,
    },
    vfs: { status: 'unavailable' },
    vector_index: {
      total_collections: embeddings > 0 ? 1 : 0,
      total_vectors: embeddings,
      index_size_mb: null,
      status: 'available',
      last_updated: at,
    },
    knowledge_graph: {
      total_entities: entities,
      total_relationships: null,
      graph_size: entities,
      status: 'available',
      last_updated: at,
    },
    pinsets: {
      total_pins: replication.total_pins,
      storage_backends: Object.entries(backends)
        .filter(([name, backend]) => name !== 'libp2p' && isConfigured(backend))
        .map(([name]) => name),
      replication_status: replication.under_replicated > 0 ? 'under_replicated' : 'ok',
      status: page.replication === null ? 'unknown' : 'available',
      last_updated: page.replication === null ? null : at,
    },
    replication,
    metrics: {
      health_percentage: tally.percentage,
      healthy_backends: tally.healthy,
      total_backends: tally.total,
      cluster_peers: clusterPeersOf(snapshot),
      libp2p_peers: peers,
      vector_collections: embeddings > 0 ? 1 : 0,
      kg_entities: entities,
      total_pins: replication.total_pins,
      replication_efficiency: efficiency,
      under_replicated_pins: replication.under_replicated,
      alerts_count: alerts.length,
    },
    alerts,
  };
}

const section = (backend: Backend, names: readonly string[]) => ({
  status: backend.status,
  health: backend.health,
  ...Object.fromEntries(names.map((name) => [name, backend.detailed_info[name] ?? null])),
  last_check: backend.last_check,
});

export function realtimeOf(snapshot: Snapshot, deps: DashboardDeps): Record<string, unknown> {
  const { backends, at } = snapshot;
  const tally = tallyOf(backends);
  const used = deps.resources();
  const busiest = Math.max(used?.cpuPercent ?? 0, used?.memoryPercent ?? 0);
  const peers = count(backends.libp2p.detailed_info.total_peers);
  const connected = count(backends.libp2p.detailed_info.connected_peers);
  const clusterPeers = clusterPeersOf(snapshot);
  const systemHealth = 100 - busiest;
  return {
    timestamp: at,
    system: {
      cpu_percent: used?.cpuPercent ?? null,
      memory_percent: used?.memoryPercent ?? null,
      disk_usage: used?.diskPercent ?? null,
      load_average: used?.load ?? [0, 0, 0],
    },
    backends: {
      total: tally.total,
      healthy: tally.healthy,
      degraded: tally.degraded,
      unhealthy: tally.unhealthy,
      details: Object.fromEntries(
        Object.entries(backends).map(([name, { status, health }]) => [name, { status, health }]),
      ),
    },
    network: {
      cluster_peers: clusterPeers,
      libp2p_peers: peers,
      libp2p_connected: connected,
    },
    performance: {
      health_score: tally.percentage,
      network_connectivity: clusterPeers + connected,
      system_health: systemHealth,
      overall_score: (tally.percentage + systemHealth) / 2,
    },
    lotus: section(backends.lotus, [
      'version',
      'sync_status',
      'chain_height',
      'peers_count',
      'wallet_balance',
    ]),
    cluster_follow: section(backends.ipfs_cluster_follow, [
      'api_port',
      'api_reachable',
      'connection_status',
      'cluster_name',
    ]),
  };
}
