/**
 * The daemons of this node as a whole: which there are, in which order they start and stop, who may
 * have which port, and what of them is told as events. Each looks after itself; one that hangs or
 * fails holds up neither the others nor the agent.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { AgentError } from '../../base/error.ts';
import { createPrng } from '../../base/prng.ts';
import { type Daemon, type DaemonType, type DaemonView, daemonTypes } from '../../daemons/api.ts';
import { CauseError } from '../../daemons/cause.ts';
import { createExternalDaemon } from '../../daemons/external-daemon.ts';
import { createManagedDaemon } from '../../daemons/managed-daemon.ts';
import { createOffDaemon } from '../../daemons/off-daemon.ts';
import type { SupervisePolicy } from '../../supervise/api.ts';
import type { Config } from '../config.ts';
import { type AdapterDeps, adapterFor } from './adapters.ts';
import { modeOfRole } from './role-mode.ts';

const neededMsMax = 120_000;
const neededEveryMs = 250;

export interface DaemonsDeps {
  readonly config: Config;
  readonly adapters: AdapterDeps;
  readonly clock: Clock;
  readonly dataFolder: string;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface Daemons {
  /** Every kind, in the order in which they start. */
  views(): DaemonView[];
  /** Throws `not-found` for a kind that there is none of. */
  one(type: string): Daemon;
  start(): Promise<void>;
  /** Ends exactly ours, the dependent ones first; `leave`: the next agent takes them over. */
  stop(options: { readonly leave: boolean }): Promise<void>;
  /** Paused or draining: the reason; null: over. */
  suspend(reason: string | null): void;
}

function policyOf({ coolDownMs, unresponsiveMs }: Config['daemons']): SupervisePolicy {
  return {
    coolDownMs,
    successMs: Math.min(30_000, coolDownMs),
    readyMsMax: 90_000,
    silentMsMax: unresponsiveMs,
    backoffMsMin: 500,
    backoffMsMax: Math.min(30_000, coolDownMs),
    failuresMax: 4,
    startsMax: 5,
  };
}

export function createDaemons(deps: DaemonsDeps): Daemons {
  const { config, clock } = deps;
  const prng = createPrng(randomInt(2 ** 48 - 1));
  const ports = new Map<DaemonType, () => Readonly<Record<string, number>>>();

  function make(type: DaemonType): Daemon {
    const options = config.daemons[type] ?? {};
    const standing = { role: deps.adapters.role, workersMayLead: config.workersMayLead };
    const mode = modeOfRole(type, options.mode ?? 'off', standing);
    const adapter = adapterFor(type, mode, deps.adapters);
    if (adapter === null || mode === 'off') return createOffDaemon(type, adapter);
    const common = {
      ...{ adapter, options, clock },
      checkMs: config.daemons.checkMs,
      tell: deps.event,
      onFailure: deps.onFailure,
    };
    if (mode === 'external')
      return createExternalDaemon({ ...common, silentMsMax: config.daemons.unresponsiveMs });
    const managed = createManagedDaemon({
      ...common,
      runFolder: join(deps.dataFolder, 'daemons', type),
      policy: policyOf(config.daemons),
      prng: prng.fork(),
      endpointOf: (other) => one(other).endpoint(),
      needed,
      claimed: (port) =>
        [...ports].some(([other, of]) => other !== type && Object.values(of()).includes(port)),
    });
    ports.set(type, managed.ports);
    return managed;
  }

  /** Waits until a daemon that another one needs runs; one that is off is nobody's to wait for. */
  async function needed(type: DaemonType): Promise<void> {
    const endMs = clock.now().monoMs + neededMsMax;
    for (;;) {
      const { mode, state, desired, title } = one(type).view();
      if (state === 'running' || mode === 'off') return;
      if (desired === 'stopped' || clock.now().monoMs > endMs)
        throw new CauseError('dependency-down', `it needs ${title}, which is ${state}`);
      await wait(neededEveryMs);
    }
  }

  function one(type: string): Daemon {
    const found = daemons.find((daemon) => daemon.type === type);
    if (found === undefined)
      throw new AgentError(
        'not-found',
        `daemon type: got '${type}'. It takes ${daemonTypes.join(', ')}`,
      );
    return found;
  }

  const daemons: readonly Daemon[] = daemonTypes.map(make);
  let started = false;

  return {
    views: () => daemons.map((daemon) => daemon.view()),
    one,
    start: async () => {
      started = true;
      for (const daemon of daemons)
        await daemon
          .start()
          .catch((error: unknown) => deps.onFailure(`${daemon.type} was not started`, error));
    },
    stop: async (options) => {
      if (!started) return;
      for (const daemon of [...daemons].reverse())
        await daemon
          .stop(options)
          .catch((error: unknown) => deps.onFailure(`${daemon.type} was not stopped`, error));
    },
    suspend: (reason) => {
      for (const daemon of daemons) daemon.suspend(reason);
    },
  };
}
