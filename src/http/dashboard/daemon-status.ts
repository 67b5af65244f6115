/**
 * `POST /api/v0/ipfs/daemon/status`: whether the daemons of this node run, looked up at the call,
 * with one line of what each told at the last check, or at a new one with a given deadline. A
 * daemon that is stopped or can't be looked at is an answer, never an error of the call.
 */
import { randomUUID } from 'node:crypto';
import { isRequired } from '../../agent/health/daemon-health.ts';
import { asAgentError } from '../../base/error.ts';
import { type DaemonType, type DaemonView, daemonTypes } from '../../daemons/api.ts';
import type { ApiDaemon, DashboardDeps } from './names.ts';
import type { DaemonStatus, DaemonStatusAnswer } from './shapes.ts';

export interface StatusRequest {
  readonly type: DaemonType | null;
  readonly correlationId: string | undefined;
  /** Seconds; undefined: from the last check. */
  readonly timeoutS: number | undefined;
}

type Outcome = { readonly status: DaemonStatus; readonly error: Error | null };

async function lookAt(
  daemon: ApiDaemon,
  request: StatusRequest,
  correlationId: string,
): Promise<Omit<DaemonStatus, 'required'>> {
  const before = daemon.view();
  const { type } = before;
  const timeoutMs = request.timeoutS === undefined ? null : request.timeoutS * 1000;
  const view = timeoutMs === null || before.mode === 'off' ? before : await daemon.check(timeoutMs);
  const { running, pids, socketExists } = await daemon.look();
  const told = view.finding?.detail ?? null;
  const error = view.checkError ?? (told === null ? 'not asked yet' : null);
  return {
    running,
    type,
    process_count: pids.length,
    details: {
      success: running,
      operation: `${type}_status`,
      correlation_id: correlationId,
      timestamp: Date.now() / 1000,
      process_running: running,
      process_count: pids.length,
      ...(!running ? { socket_exists: socketExists } : {}),
      ...(running && error === null && told !== null ? { detailed_status: told } : {}),
      ...(running && error !== null
        ? { detailed_status_error: error, detailed_status_failed: true as const }
        : {}),
    },
    ...(type === 'lotus'
      ? { pid: view.pid, api_ready: running && view.checkError === null && told !== null }
      : {}),
  };
}

async function outcomeOf(
  deps: DashboardDeps,
  type: DaemonType,
  request: StatusRequest,
  correlationId: string,
): Promise<Outcome> {
  const modes = Object.fromEntries(
    deps.daemons.views().map((view: DaemonView) => [view.type, view.mode]),
  ) as Record<DaemonType, string>;
  const required = isRequired(type, deps.role, modes);
  try {
    const seen = await lookAt(deps.daemons.one(type), request, correlationId);
    return { status: { ...seen, required }, error: null };
  } catch (thrown) {
    const error = asAgentError(thrown);
    const details = {
      success: false,
      operation: `${type}_status`,
      correlation_id: correlationId,
      timestamp: Date.now() / 1000,
      process_running: false,
      process_count: 0,
    };
    const status = { running: false, type, process_count: 0, required, details };
    return { status: { ...status, error: error.message }, error };
  }
}

export async function daemonStatusOf(
  deps: DashboardDeps,
  request: StatusRequest,
): Promise<DaemonStatusAnswer> {
  const startedMs = performance.now();
  const correlationId = request.correlationId ?? randomUUID();
  const types = request.type === null ? daemonTypes : [request.type];
  const outcomes = await Promise.all(
    types.map((type) => outcomeOf(deps, type, request, correlationId)),
  );
  const daemons = Object.fromEntries(outcomes.map(({ status }) => [status.type, status]));
  const running = outcomes.filter(({ status }) => status.running).length;
  const failed = outcomes.find(({ error }) => error !== null)?.error ?? null;
  const overall = running > 0 ? 'running' : failed !== null ? 'error' : 'stopped';
  const [only] = outcomes;
  return {
    success: failed === null && running > 0,
    operation: request.type === null ? 'check_daemon_status' : `check_${request.type}_status`,
    operation_id: String(Date.now()),
    overall_status: overall,
    daemons,
    daemon_status: { overall, daemons },
    status_code: failed === null ? 200 : 500,
    role: deps.role,
    duration_ms: performance.now() - startedMs,
    ...(request.type === null || only === undefined
      ? { running_count: running, daemon_count: outcomes.length }
      : { daemon_type: request.type, running: only.status.running, daemon_info: only.status }),
    ...(failed === null ? {} : { error: failed.message, error_type: asAgentError(failed).code }),
  };
}
