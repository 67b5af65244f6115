/**
 * A backend as the dashboard shows it, made of what the agent knows already. What a stopped daemon
 * cannot tell is `unavailable`, 0 or null as its callers expect, never left out.
 */
import type { DaemonView } from '../../daemons/api.ts';
import { gradeOf, healthyFrom } from '../../health/grade.ts';
import { type BackendName, type DashboardDeps, daemonOf } from './names.ts';
import type { Page } from './page.ts';
import type { Backend } from './shapes.ts';
import { silentInfo } from './silent-info.ts';

const titles: Readonly<Record<BackendName, string>> = {
  embedded: 'Embedded block store',
  ipfs: 'IPFS (kubo)',
  ipfs_cluster: 'IPFS Cluster service',
  ipfs_cluster_follow: 'IPFS Cluster follow',
  lotus: 'Lotus',
  libp2p: 'libp2p mesh',
};

type Health = Backend['health'];

/** A fact that is a list or an object travels as JSON. */
function factValue(value: string | number | boolean | null): unknown {
  if (typeof value !== 'string' || !/^[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return value;
    throw thrown;
  }
}

/** It runs and can be asked: its last look got an answer. */
export const isResponsive = (view: DaemonView): boolean =>
  view.state === 'running' && view.checkError === null && view.finding !== null;

export function statusOf(view: DaemonView): Backend['status'] {
  const { mode, state, desired, type, checkError } = view;
  if (mode === 'off') return 'not_configured';
  if (state === 'running') return type === 'lotus' && checkError !== null ? 'error' : 'running';
  if (state === 'unresponsive') return type === 'lotus' ? 'error' : 'running';
  if (state === 'cooling-down' || state === 'crash-loop') return 'error';
  if (state === 'starting' && view.pid !== null) return 'running';
  return desired === 'started' && view.lastFailure !== null ? 'error' : 'stopped';
}

function messageOf(view: DaemonView): string {
  const { state, mode, finding, checkError, lastFailure, held } = view;
  if (mode === 'off') return 'not configured on this node';
  const now = `${mode}, ${state}`;
  if (state === 'running') return `${now}: ${checkError ?? finding?.detail ?? 'not asked yet'}`;
  const why = lastFailure === null ? '' : `: ${lastFailure.cause}, ${lastFailure.detail}`;
  return `${now}${held === null ? '' : ` (${held})`}${why}`;
}

function errorsOf({ lastFailure, checkError, lastCheckAt }: DaemonView): Backend['errors'] {
  const errors: Backend['errors'] = [];
  if (checkError !== null && lastCheckAt !== null)
    errors.push({ timestamp: lastCheckAt, error: checkError });
  if (lastFailure !== null)
    errors.push({
      timestamp: lastFailure.at,
      error: `${lastFailure.cause}: ${lastFailure.detail}`,
    });
  return errors;
}

export function healInfoOf(view: DaemonView | null) {
  const at = view?.lastHealAt ?? null;
  return {
    auto_healed: at !== null,
    heal_action: at === null ? null : 'restart',
    heal_timestamp: at,
    last_restart_attempt: at,
    restart_cooldown_remaining: (view?.cooldownMsRemaining ?? 0) / 1000,
  };
}

/** What its adapter found, by the names of the contract; silent fields where it can't be asked. */
function infoOf(view: DaemonView): Record<string, unknown> {
  const silent = silentInfo[view.type];
  const runs = view.state === 'running' || view.state === 'unresponsive';
  const facts = runs ? (view.finding?.facts ?? {}) : {};
  const told = Object.fromEntries(
    Object.entries(facts)
      .map(([name, value]) => [name, factValue(value)] as const)
      .filter(([, value]) => value !== null),
  );
  const shaped = view.type === 'ipfs_cluster_follow' ? followInfo(view, told) : told;
  const process = {
    binary_available: view.binary !== null,
    process_running: view.pid !== null,
    running: runs,
    pid: view.pid,
    mode: view.mode,
    state: view.state,
    desired: view.desired,
    auto_heal: view.autoHeal,
    problems: view.finding?.problems ?? [],
    notes: view.notes,
  };
  return { ...silent, ...process, ...shaped, ...healInfoOf(view) };
}

const listOf = (text: unknown): string[] =>
  typeof text === 'string' ? text.split(' ').filter((part) => part !== '') : [];

/** The follower's facts are flat; its callers read lists and one object about the pinset. */
function followInfo(view: DaemonView, told: Record<string, unknown>): Record<string, unknown> {
  const { pinset_expected, pinset_pinned, pinset_missing, ...rest } = told;
  const { pinset_in_sync, pinset_last_synced, ...others } = rest;
  const responsive = isResponsive(view);
  const connected = told.leader_connected === true;
  return {
    ...others,
    api_port: view.ports.api ?? null,
    api_address: view.url,
    api_reachable: responsive,
    api_responsive: responsive,
    connection_status: !responsive ? 'unknown' : connected ? 'connected' : 'disconnected',
    addresses: listOf(told.addresses),
    trusted_peers: listOf(told.trusted_peers),
    pinset: {
      expected: pinset_expected ?? null,
      pinned: pinset_pinned ?? null,
      missing: pinset_missing ?? null,
      in_sync: pinset_in_sync === true,
      last_synced: pinset_last_synced ?? null,
    },
    config_valid: view.lastFailure?.cause !== 'bad-config',
    errors: errorsOf(view).map(({ error }) => error),
  };
}

/** Whoever can't be asked is not healthy, and whoever doesn't run is at 0, whatever it was. */
function scoreOf(view: DaemonView, page: Page): number | null {
  const told = page.daemons[view.type]?.score ?? null;
  if (view.mode === 'off') return null;
  if (view.state === 'stopped' || view.state === 'stopping') return 0;
  return told !== null && !isResponsive(view) ? Math.min(told, healthyFrom - 1) : told;
}

function healthOf(view: DaemonView, score: number | null): Health {
  if (view.mode === 'off') return 'unknown';
  if (score === null) return view.state === 'running' ? 'unknown' : 'unhealthy';
  return gradeOf(score);
}

function daemonBackend(name: BackendName, view: DaemonView, page: Page): Backend {
  const score = scoreOf(view, page);
  const info = infoOf(view);
  return {
    name: titles[name],
    status: statusOf(view),
    health: healthOf(view, score),
    score,
    status_message: messageOf(view),
    daemon_pid: view.pid,
    port: Object.values(view.ports)[0] ?? null,
    last_check: view.lastCheckAt,
    detailed_info: info as Backend['detailed_info'],
    metrics: { restarts: view.restarts, failures: view.failures },
    errors: errorsOf(view),
  };
}

function embeddedBackend(page: Page, nowText: string): Backend {
  const configured = page.content.engine === 'embedded';
  const agent = page.health.components.find(({ name }) => name === 'agent');
  const down = page.health.reasons.some(({ code }) => code === 'content-down');
  const score = configured ? (agent?.score ?? null) : null;
  return {
    name: titles.embedded,
    status: !configured ? 'not_configured' : down ? 'error' : 'running',
    health: score === null ? 'unknown' : gradeOf(down ? Math.min(score, 59) : score),
    score: score === null ? null : down ? Math.min(score, 59) : score,
    status_message: configured ? 'blocks in the store of this agent' : 'another engine is used',
    daemon_pid: configured ? process.pid : null,
    port: null,
    last_check: nowText,
    detailed_info: {
      bytes_stored: page.replication?.bytesStored ?? null,
      bytes_free: page.replication?.bytesFree ?? null,
      pins_count: page.replication?.pins ?? null,
      ...healInfoOf(null),
    },
    metrics: {},
    errors: [],
  };
}

function libp2pBackend(deps: DashboardDeps, page: Page, nowText: string): Backend {
  const mesh = deps.mesh();
  const score = page.health.components.find(({ name }) => name === 'mesh')?.score ?? null;
  const healed = mesh?.lastHealAt ?? null;
  const codes = new Set(page.health.reasons.map(({ code }) => code));
  const ratio = mesh === null || mesh.wanted === 0 ? 1 : mesh.connected / mesh.wanted;
  const issues = [
    ...(mesh === null ? ['host_inactive'] : []),
    ...(codes.has('no-peers') ? ['discovery_active_no_peers'] : []),
    ...(codes.has('low-connectivity') ? ['low_connectivity'] : []),
    ...(codes.has('content-down') ? ['no_content_available'] : []),
    ...(codes.has('one-sided-link') ? ['one_sided_link'] : []),
  ];
  return {
    name: titles.libp2p,
    status: mesh === null ? 'stopped' : 'running',
    health: mesh === null || score === null ? 'unknown' : gradeOf(score),
    score,
    status_message:
      mesh === null
        ? 'the node has not joined yet'
        : `${mesh.links} links, ${mesh.members} other members known`,
    daemon_pid: mesh === null ? null : process.pid,
    port: mesh?.port ?? null,
    last_check: mesh === null ? null : nowText,
    detailed_info: {
      peer_id: mesh?.peerId ?? null,
      total_peers: mesh?.members ?? 0,
      connected_peers: mesh?.links ?? 0,
      bootstrap_peers: mesh?.bootstrapPeers ?? 0,
      protocols: mesh?.protocols ?? [],
      discovery_active: mesh !== null,
      host_active: mesh !== null,
      listen_addresses: mesh?.addresses ?? [],
      files_accessible: page.index.content_metadata ?? 0,
      pins_accessible: page.replication?.pins ?? 0,
      total_bytes_sent: mesh?.bytesSent ?? null,
      total_bytes_received: mesh?.bytesReceived ?? null,
      connectivity_ratio: ratio,
      peer_sources: { members: mesh?.members ?? 0, discovered: mesh?.discovered ?? 0 },
      connectivity_issues: issues,
      ...healInfoOf(null),
      ...(healed === null
        ? {}
        : { auto_healed: true, heal_action: 'redial', heal_timestamp: healed }),
    },
    metrics: { connectivity: { network_health_score: score } },
    errors: [],
  };
}

export function backendOf(
  name: BackendName,
  deps: DashboardDeps,
  page: Page,
  nowText: string,
): Backend {
  if (name === 'embedded') return embeddedBackend(page, nowText);
  if (name === 'libp2p') return libp2pBackend(deps, page, nowText);
  const type = daemonOf[name];
  return daemonBackend(name, deps.daemons.one(type ?? name).view(), page);
}
