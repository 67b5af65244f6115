/** The answers under /api/ as schemas: the server describes them, tests validate by them. */
import { z } from 'zod';

const time = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const anything = z.record(z.string(), z.unknown());
const health = z.enum(['healthy', 'degraded', 'unhealthy', 'unknown']);
const status = z.enum(['stopped', 'running', 'error', 'not_configured', 'unknown']);
const count = z.int().min(0);

/** In every `detailed_info`. */
export const healInfo = z.looseObject({
  auto_healed: z.boolean(),
  heal_action: z.string().nullable(),
  heal_timestamp: time.nullable(),
  last_restart_attempt: time.nullable(),
  restart_cooldown_remaining: z.number().min(0),
});

export const backend = z.object({
  name: z.string(),
  status,
  health,
  score: z.int().min(0).max(100).nullable(),
  status_message: z.string(),
  daemon_pid: z.int().nullable(),
  port: z.int().nullable(),
  last_check: time.nullable(),
  detailed_info: healInfo,
  metrics: anything,
  errors: z.array(z.object({ timestamp: time, error: z.string() })),
});
export type Backend = z.infer<typeof backend>;

const portStatus = z.object({
  port: z.int(),
  in_use: z.boolean(),
  processes: z.array(z.object({ pid: z.int(), name: z.string(), cmdline: z.string() })),
});
export const cluster = z.object({
  running: z.boolean(),
  api_responsive: z.boolean(),
  pid: z.int().nullable(),
  version: z.string().nullable(),
  peer_count: count,
  port_status: z.object({ api: portStatus, proxy: portStatus, cluster: portStatus }),
  config_valid: z.boolean(),
  last_check: time.nullable(),
  errors: z.array(z.string()),
});
export type Cluster = z.infer<typeof cluster>;

export const alert = z.object({
  type: z.string(),
  message: z.string(),
  timestamp: time,
  severity: z.enum(['info', 'warning', 'critical']),
});
export type Alert = z.infer<typeof alert>;

export const overview = z.object({
  timestamp: time,
  overall_health: z.enum(['healthy', 'degraded', 'unhealthy', 'unknown']),
  backends: z.record(z.string(), backend),
  cluster,
  libp2p: z.object({
    status,
    health,
    peer_count: count,
    connected_peers: count,
    discovery_active: z.boolean(),
  }),
  vfs: z.object({ status: z.literal('unavailable') }),
  vector_index: z.object({
    total_collections: count,
    total_vectors: count,
    index_size_mb: z.number().nullable(),
    status: z.string(),
    last_updated: time.nullable(),
  }),
  knowledge_graph: z.object({
    total_entities: count,
    total_relationships: count.nullable(),
    graph_size: count,
    status: z.string(),
    last_updated: time.nullable(),
  }),
  pinsets: z.object({
    total_pins: count,
    storage_backends: z.array(z.string()),
    replication_status: z.string(),
    status: z.string(),
    last_updated: time.nullable(),
  }),
  replication: z.object({
    total_pins: count,
    under_replicated: count,
    over_replicated: count,
    healthy_pins: count,
    replication_efficiency: z.number(),
    backend_usage: anything,
  }),
  metrics: z.object({
    health_percentage: z.number(),
    healthy_backends: count,
    total_backends: count,
    cluster_peers: count,
    libp2p_peers: count,
    vector_collections: count,
    kg_entities: count,
    total_pins: count,
    replication_efficiency: z.number(),
    under_replicated_pins: count,
    alerts_count: count,
  }),
  alerts: z.array(alert),
});
export type Overview = z.infer<typeof overview>;

export const lotusSection = z.object({
  status,
  health,
  version: z.string(),
  sync_status: z.enum(['synced', 'syncing', 'checking', 'error', 'unavailable']),
  chain_height: count,
  peers_count: z.union([count, z.literal('unavailable')]),
  wallet_balance: z.string(),
  last_check: time.nullable(),
});
export const followSection = z.object({
  status,
  health,
  api_port: z.int().nullable(),
  api_reachable: z.boolean(),
  connection_status: z.enum(['connected', 'disconnected', 'unknown']),
  cluster_name: z.string().nullable(),
  last_check: time.nullable(),
});

export const realtime = z.object({
  timestamp: time,
  system: z.object({
    cpu_percent: z.number().nullable(),
    memory_percent: z.number().nullable(),
    disk_usage: z.number().nullable(),
    load_average: z.array(z.number()).length(3),
  }),
  backends: z.object({
    total: count,
    healthy: count,
    degraded: count,
    unhealthy: count,
    details: z.record(z.string(), z.object({ status, health })),
  }),
  network: z.object({ cluster_peers: count, libp2p_peers: count, libp2p_connected: count }),
  performance: z.object({
    health_score: z.number(),
    network_connectivity: count,
    system_health: z.number(),
    overall_score: z.number(),
  }),
  lotus: lotusSection,
  cluster_follow: followSection,
});

export const healthCheck = z.object({
  success: z.boolean(),
  timestamp: time,
  results: z.record(z.string(), backend),
  metrics: z
    .object({
      check_duration: z.number().min(0),
      backends_checked: count,
      healthy_count: count,
      timestamp: time,
    })
    .optional(),
  error: z.string().optional(),
});

export const actionAnswer = z.object({
  success: z.boolean(),
  daemon_name: z.string().optional(),
  action: z.string(),
  timestamp: time,
  details: anything,
  error: z.string().optional(),
});
export type ActionAnswer = z.infer<typeof actionAnswer>;

export const logs = z.object({
  logs: z.array(
    z.object({
      id: z.string(),
      timestamp: time.nullable(),
      backend: z.string(),
      level: z.string(),
      message: z.string(),
      extra: anything,
      formatted_time: z.string(),
      formatted_date: z.string(),
    }),
  ),
});

/** The envelope of every answer under /api/dashboard. */
export const enveloped = <T extends z.ZodType>(data: T) => z.object({ success: z.boolean(), data });

const inner = z.looseObject({
  success: z.boolean(),
  operation: z.string(),
  correlation_id: z.string(),
  timestamp: z.number(),
  process_running: z.boolean(),
  process_count: count,
  detailed_status: z.string().optional(),
  detailed_status_error: z.string().optional(),
  detailed_status_failed: z.literal(true).optional(),
  socket_exists: z.boolean().optional(),
});
export const daemonStatus = z.object({
  running: z.boolean(),
  type: z.string(),
  process_count: count,
  required: z.boolean(),
  details: inner,
  pid: z.int().nullable().optional(),
  api_ready: z.boolean().optional(),
  error: z.string().optional(),
});
export type DaemonStatus = z.infer<typeof daemonStatus>;
const overall = z.enum(['running', 'stopped', 'error']);
const daemonMap = z.record(z.string(), daemonStatus);

export const daemonStatusAnswer = z.object({
  success: z.boolean(),
  operation: z.string(),
  operation_id: z.string().regex(/^\d+$/),
  overall_status: overall,
  daemons: daemonMap,
  daemon_status: z.object({ overall, daemons: daemonMap }),
  status_code: z.union([z.literal(200), z.literal(500)]),
  role: z.string(),
  duration_ms: z.number().min(0),
  daemon_type: z.string().optional(),
  running: z.boolean().optional(),
  daemon_info: daemonStatus.optional(),
  running_count: count.optional(),
  daemon_count: count.optional(),
  error: z.string().optional(),
  error_type: z.string().optional(),
});
export type DaemonStatusAnswer = z.infer<typeof daemonStatusAnswer>;
