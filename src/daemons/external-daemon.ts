/**
 * A daemon that somebody else runs: it is only watched. Its endpoint comes from the configuration;
 * what callers have to show is read from its file at every look, so that it can be changed there.
 */
import { readFileSync } from 'node:fs';
import type { Ms } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import { AgentError } from '../base/error.ts';
import type { DaemonState, Supervision } from '../supervise/api.ts';
import type { Daemon, DaemonAdapter, DaemonView, Endpoint } from './api.ts';
import { createLooks } from './looks.ts';
import type { DaemonOptions } from './options.ts';
import { findProcesses } from './proc.ts';
import { viewOf } from './view.ts';

export interface ExternalDeps {
  readonly adapter: DaemonAdapter;
  readonly options: DaemonOptions;
  readonly checkMs: Ms;
  /** Without an answer for so long it is unresponsive. */
  readonly silentMsMax: Ms;
  readonly clock: Clock;
  readonly tell: (type: string, data: Record<string, unknown>) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

function readSecret(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new AgentError('bad-request', `${file} can't be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** Where it answers and what it asks for; throws when one of the files can't be read. */
export function externalEndpoint(options: DaemonOptions): Endpoint {
  const { url = '', auth, tls } = options;
  const secret = auth === undefined ? null : readSecret(auth.file);
  const encoded = auth?.type === 'basic' ? Buffer.from(secret ?? '').toString('base64') : secret;
  return {
    url: url.replace(/\/+$/, ''),
    authorization:
      auth === undefined ? null : `${auth.type === 'basic' ? 'Basic' : 'Bearer'} ${encoded}`,
    tls:
      tls === undefined
        ? null
        : {
            ca: tls.caFile === undefined ? null : readSecret(tls.caFile),
            serverName: tls.serverName ?? null,
          },
  };
}

export function createExternalDaemon(deps: ExternalDeps): Daemon {
  const { adapter, options, clock } = deps;
  const { type, title } = adapter;
  const looks = createLooks(
    adapter,
    () => null,
    () => clock.wallMs(),
    deps.onFailure,
  );
  const nowMs = (): Ms => clock.now().monoMs;
  /** Not looked at yet: neither running nor gone. */
  let state: DaemonState = 'starting';
  let answeredMs = nowMs();
  let broken: string | null = null;
  let lastFailure: Supervision['lastFailure'] = null;
  let timer: NodeJS.Timeout | null = null;

  function endpoint(): Endpoint | null {
    try {
      broken = null;
      return externalEndpoint(options);
    } catch (thrown) {
      broken = thrown instanceof Error ? thrown.message : String(thrown);
      return null;
    }
  }

  function turn(next: DaemonState, detail: string): void {
    if (next === state) return;
    if (next !== 'running') lastFailure = { cause: 'unresponsive', detail, atMs: nowMs() };
    state = next;
    deps.tell('daemon-external-state', { daemon: type, state: next, detail });
  }

  function judge(answered: boolean): void {
    if (answered) {
      answeredMs = nowMs();
      turn('running', 'it answers');
      return;
    }
    const error = broken ?? looks.state().error ?? 'no answer';
    if (nowMs() - answeredMs < deps.silentMsMax) return;
    turn(error.includes('ECONNREFUSED') ? 'stopped' : 'unresponsive', error);
  }

  function look(): void {
    const at = endpoint();
    if (at === null) judge(false);
    else looks.lookAside(at, (finding) => judge(finding !== null));
  }

  const view = (): DaemonView => {
    const seen = looks.state();
    return viewOf({
      adapter,
      mode: 'external',
      supervision: {
        desired: 'started',
        autoHeal: false,
        state,
        pid: null,
        adopted: false,
        restarts: 0,
        failures: 0,
        cooldownMsRemaining: 0,
        held: null,
        lastFailure,
        lastHealMs: null,
        steady: state === 'running',
        alertSinceMs: null,
      },
      looks: { ...seen, error: broken ?? seen.error },
      ports: {},
      url: options.url ?? null,
      folder: null,
      binary: null,
      unenforced: [],
      notes: [],
      wallOffsetMs: clock.wallMs() - nowMs(),
    });
  };

  const refuse = (): never => {
    throw new AgentError(
      'daemon-external',
      `${title} at ${options.url} is only watched; whoever runs it starts, stops and heals it`,
    );
  };

  return {
    type,
    output: null,
    view,
    endpoint,
    start: async () => {
      look();
      timer = setInterval(look, deps.checkMs);
    },
    stop: async () => {
      if (timer !== null) clearInterval(timer);
      looks.forget();
    },
    check: async (timeoutMs) => {
      const at = endpoint();
      judge(at !== null && (await looks.look(at, timeoutMs)) !== null);
      return view();
    },
    look: async () => ({
      pids: (await findProcesses(adapter.matches)).map(({ pid }) => pid),
      running: state === 'running',
      socketExists: false,
    }),
    ask: async () => refuse(),
    setAutoHeal: () => refuse(),
    suspend: () => undefined,
  };
}
