/**
 * Working daemons in memory: they start, stop, refuse and hang as a test sets them, and their views
 * are made by the same rules as those of real ones.
 */
import { AgentError } from '../../../../src/base/error.ts';
import { type DaemonType, type DaemonView, daemonTypes } from '../../../../src/daemons/api.ts';
import { offView } from '../../../../src/daemons/off-daemon.ts';
import type { ApiDaemon } from '../../../../src/http/dashboard/names.ts';

const at = '2026-01-01T00:00:00.000Z';

export const finding = (facts: Record<string, string | number | boolean | null> = {}) => ({
  ready: true,
  version: '1.0.0',
  detail: 'version 1.0.0, 3 peers',
  progress: null,
  facts,
  problems: [],
});

export interface FakeDaemon extends ApiDaemon {
  set(change: Partial<DaemonView>): void;
  /** New looks taken. */
  checks: number;
  /** The look at processes fails with this. */
  lookError: Error | null;
  processes: number[];
  lines: string[];
}

const runningView = (type: DaemonType): Partial<DaemonView> => ({
  mode: 'managed',
  desired: 'started',
  state: 'running',
  autoHeal: true,
  pid: 4242,
  ports: { api: 9094 },
  url: 'http://127.0.0.1:9094',
  folder: `/nowhere/${type}`,
  binary: `/usr/bin/${type}`,
  finding: finding(),
  findingAt: at,
  lastCheckAt: at,
});

function createFakeDaemon(type: DaemonType): FakeDaemon {
  let view: DaemonView = offView(type);
  const daemon: FakeDaemon = {
    checks: 0,
    lookError: null,
    processes: [],
    lines: [],
    set: (change) => {
      view = { ...view, ...change };
    },
    view: () => view,
    check: async () => {
      daemon.checks += 1;
      return view;
    },
    look: async () => {
      if (daemon.lookError) throw daemon.lookError;
      const pids = view.pid === null ? daemon.processes : [view.pid, ...daemon.processes];
      return { pids, running: view.pid !== null, socketExists: view.state === 'stopped' };
    },
    ask: async (what) => {
      if (view.mode === 'external')
        throw new AgentError('conflict', `${type} is external: it is only watched`);
      if (view.mode === 'off') throw new AgentError('conflict', `${type} is off`);
      if (what === 'stop') daemon.set({ desired: 'stopped', state: 'stopped', pid: null });
      else if (view.binary === null) daemon.set({ desired: 'started', ...missingBinary });
      else {
        const pid = what === 'restart' || view.pid === null ? (view.pid ?? 4000) + 1 : view.pid;
        daemon.set({ ...runningView(type), pid });
      }
      return view;
    },
    setAutoHeal: (autoHeal) => {
      daemon.set({ autoHeal });
      return view;
    },
    endpoint: () => null,
    output: { tail: async (count) => ({ lines: daemon.lines.slice(-count) }) },
  };
  return daemon;
}

export const missingBinary: Partial<DaemonView> = {
  mode: 'managed',
  desired: 'started',
  state: 'cooling-down',
  pid: null,
  binary: null,
  finding: null,
  lastCheckAt: null,
  lastFailure: { cause: 'binary-missing', detail: 'no ipfs on PATH', at },
  cooldownMsRemaining: 12_500,
};
export const stopped: Partial<DaemonView> = {
  mode: 'managed',
  desired: 'stopped',
  state: 'stopped',
  pid: null,
  folder: '/nowhere',
  binary: '/usr/bin/x',
};
export { runningView };

export function createFakeDaemons() {
  const byType = new Map(daemonTypes.map((type) => [type, createFakeDaemon(type)]));
  return {
    views: () => [...byType.values()].map((daemon) => daemon.view()),
    follows: () => ({ clusterName: 'theirs', url: 'http://user:t0ken@127.0.0.1:1/service.json' }),
    one: (type: string): FakeDaemon => {
      const found = byType.get(type as DaemonType);
      if (found === undefined) throw new AgentError('not-found', `no daemon ${type}`);
      return found;
    },
  };
}
