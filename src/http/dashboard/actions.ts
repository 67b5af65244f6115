/**
 * Starting, stopping and restarting by the dashboard's words. What a daemon did is told by its view
 * afterwards; what it refuses (external, cooling down) is the caller's to know and stays an error.
 */
import type { DaemonView } from '../../daemons/api.ts';
import { isResponsive } from './backends.ts';
import { type ApiDaemon, type DashboardDeps, nowText } from './names.ts';
import { clusterOf } from './overview.ts';
import type { ActionAnswer } from './shapes.ts';

const actMsMax = 60_000;

export type DaemonAction = 'start' | 'stop' | 'restart' | 'status';

const errorsOf = (view: DaemonView): string[] => [
  ...(view.checkError === null ? [] : [view.checkError]),
  ...(view.state !== 'running' && view.lastFailure !== null ? [view.lastFailure.detail] : []),
];

function startResult(before: DaemonView, after: DaemonView, forced: boolean) {
  const runs = after.state === 'running' || after.state === 'unresponsive';
  const wellBefore = before.state === 'running' && isResponsive(before) && !forced;
  const facts = after.finding?.facts ?? {};
  const well = isResponsive(after);
  const connected = facts.leader_connected === true;
  const follows = after.type === 'ipfs_cluster_follow';
  const healthy = follows
    ? `started_healthy_${connected ? 'connected' : 'disconnected'}`
    : 'started_healthy';
  return {
    success: runs,
    status: wellBefore ? 'already_running_healthy' : well ? healthy : 'started_unhealthy',
    pid: after.pid,
    api_responsive: well,
    errors: errorsOf(after),
    ...(follows
      ? { bootstrap_peer: facts.bootstrap_peer ?? null, leader_connected: connected }
      : {}),
  };
}

function stopResult(before: DaemonView, after: DaemonView) {
  const gone = after.pid === null;
  return {
    success: gone,
    status: before.pid === null ? 'already_stopped' : gone ? 'stopped' : 'stopping',
    processes_stopped:
      before.pid !== null && gone ? [{ pid: before.pid, method: 'graceful_then_signal' }] : [],
    errors: gone ? [] : [`process ${after.pid} has not ended yet`],
  };
}

async function act(daemon: ApiDaemon, action: DaemonAction, force: boolean) {
  const before = daemon.view();
  if (action === 'status') {
    const look = await daemon.look();
    const details =
      before.type === 'ipfs_cluster_service'
        ? clusterOf(before)
        : {
            ...{ running: look.running, pid: before.pid, state: before.state },
            ...{ api_responsive: isResponsive(before), version: before.finding?.version ?? null },
            ...{ process_count: look.pids.length, last_check: before.lastCheckAt },
            errors: errorsOf(before),
          };
    return { success: true, details: { ...details } };
  }
  const after = await daemon.ask(action, { force, timeoutMs: actMsMax });
  if (action === 'stop') {
    const details = stopResult(before, after);
    return { success: details.success, details };
  }
  const started = startResult(before, after, force || action === 'restart');
  if (action === 'start') return { success: started.success, details: started };
  const stopped = {
    success: true,
    status: before.pid === null ? 'already_stopped' : 'stopped',
    processes_stopped:
      before.pid !== null && before.pid !== after.pid
        ? [{ pid: before.pid, method: 'graceful_then_signal' }]
        : [],
    errors: [],
  };
  const details = { success: started.success, stop_result: stopped, start_result: started };
  return { success: started.success, details };
}

export async function daemonAction(
  deps: DashboardDeps,
  asked: { name: string; type: string; action: DaemonAction; force: boolean; autoHeal?: boolean },
): Promise<ActionAnswer> {
  const { name, type, action, force, autoHeal } = asked;
  const daemon = deps.daemons.one(type);
  const { success, details } = await act(daemon, action, force);
  if (autoHeal !== undefined && (action === 'start' || action === 'restart'))
    daemon.setAutoHeal(autoHeal);
  const errors = 'errors' in details && Array.isArray(details.errors) ? details.errors : [];
  return {
    success,
    daemon_name: name,
    action,
    timestamp: nowText(),
    details,
    ...(success ? {} : { error: errors.join('; ') || `${action} of ${name} did not come about` }),
  };
}

/** The mesh has no process: its restart redials, asks around and rejoins gossip. */
export async function meshRestart(deps: DashboardDeps): Promise<ActionAnswer> {
  const done = await deps.healMesh('asked for');
  return {
    success: true,
    daemon_name: 'libp2p',
    action: 'restart',
    timestamp: nowText(),
    details: {
      success: true,
      redialled: done.redialled.length,
      asked: done.asked.length,
      rejoined: done.rejoined.length,
    },
  };
}
