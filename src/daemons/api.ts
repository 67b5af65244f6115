/**
 * The face of `daemons`: what an adapter for one kind of daemon has to know (`DaemonAdapter`), and
 * what the rest of the agent sees of a daemon (`Daemon`). The runner owns processes,
 * ports, logs, limits, pid files and the order of everything; an adapter only says how its daemon
 * is prepared, asked and ended, and never starts or signals a process itself.
 */
import type { Ms } from '../base/brand.ts';
import type { Ask, Cause, DaemonState, Desired } from '../supervise/api.ts';
import type { DaemonClient } from './daemon-client.ts';
import type { DaemonOptions } from './options.ts';
import type { OutputLog } from './output-log.ts';

export const daemonTypes = [
  'ipfs',
  'ipfs_cluster_service',
  'ipfs_cluster_follow',
  'lotus',
] as const;
export type DaemonType = (typeof daemonTypes)[number];

/** Where one daemon answers: the base of its API, with whatever it asks callers to show. */
export interface Endpoint {
  /** Without a slash at its end, such as http://127.0.0.1:5001. */
  readonly url: string;
  /** Value of the `Authorization` header, or null. */
  readonly authorization: string | null;
  readonly tls: { readonly ca: string | null; readonly serverName: string | null } | null;
}

/** What an adapter is given to work with; the ports are chosen and free when it gets them. */
export interface Place {
  readonly options: DaemonOptions;
  /** The daemon's own folder (repo, config): the one in the options, or one in the data folder. */
  readonly folder: string;
  /** Full path of its binary. */
  readonly binary: string;
  /** Port name to number: `{rpc: 5001, gateway: 8080, swarm: 4001}`. */
  readonly ports: Readonly<Record<string, number>>;
  /** Where a daemon that this one needs answers; null: it is off. */
  readonly endpointOf: (type: DaemonType) => Endpoint | null;
  /** Runs the daemon's binary to its end; throws with the last line of what it said. */
  readonly run: (args: readonly string[], env: Readonly<Record<string, string>>) => Promise<string>;
}

/** How a prepared daemon is started. */
export interface Launch {
  readonly args: readonly string[];
  /** Added to the agent's own environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** One look at a daemon through its API. */
export interface Finding {
  /** Ready for its work; `false`: it answers, but is still loading. */
  readonly ready: boolean;
  readonly version: string | null;
  /** One line for a person: version, peers, pins by state. */
  readonly detail: string;
  /** Changes while it gets on; null where there is nothing to show progress of. */
  readonly progress: string | null;
  /** What scores and pages are made of; names are the adapter's, values plain. */
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
  /** What is wrong although it answers, as codes of the adapter with a sentence each. */
  readonly problems: readonly { readonly code: string; readonly text: string }[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  /** The last lines of its log. */
  readonly logTail: string;
}

export interface DaemonAdapter {
  readonly type: DaemonType;
  /** Name for people: `kubo`. */
  readonly title: string;
  /** Names of its binary, best first: `['lotus', 'forest']`. */
  readonly binaries: readonly string[];
  /** Needed running and ready before this one starts. */
  readonly needs: readonly DaemonType[];
  /** The ports that it listens on with their usual numbers; `api` names the one of its API. */
  readonly ports: Readonly<Record<string, number>>;
  /** Names of the ports that it uses for UDP too. */
  readonly udpPorts?: readonly string[];
  readonly api: string;
  /** How long one look may take. */
  readonly checkMsMax: Ms;
  /** Is this the command line of such a daemon, whoever's it is? */
  matches(argv: readonly string[]): boolean;
  /**
   * Makes folder and config ready, keeps a copy of what a person wrote before it changes it, and
   * removes lock files whose owner is gone. Throws a `CauseError` where it knows the cause.
   */
  prepare(place: Place, signal: AbortSignal): Promise<Launch>;
  /** Where a managed daemon answers; reads tokens that the daemon itself writes. */
  endpoint(place: Place): Endpoint;
  /**
   * Throws when it can't be had; the runner owns the deadline behind `signal`. An open port is no
   * answer yet: with a `place` it makes sure that its own daemon answers there; null: external.
   */
  check(client: DaemonClient, signal: AbortSignal, place: Place | null): Promise<Finding>;
  /** Its own graceful way to end; null: SIGTERM is the graceful way. */
  readonly shutdown: ((client: DaemonClient, signal: AbortSignal) => Promise<void>) | null;
  /** The cause behind an exit; null: nothing known beyond code and signal. */
  classify(exit: Exit): Cause | null;
  /** API sockets that a killed daemon leaves behind. */
  sockets(place: Pick<Place, 'folder' | 'options'>): readonly string[];
}

/** What is seen of one daemon from outside, always from memory (`/status.daemons`). */
export interface DaemonView {
  readonly type: DaemonType;
  readonly title: string;
  readonly mode: 'managed' | 'external' | 'off';
  readonly desired: Desired;
  readonly state: DaemonState;
  readonly autoHeal: boolean;
  readonly pid: number | null;
  /** Taken over from an earlier run of the agent. */
  readonly adopted: boolean;
  readonly ports: Readonly<Record<string, number>>;
  readonly url: string | null;
  readonly folder: string | null;
  readonly binary: string | null;
  readonly restarts: number;
  readonly failures: number;
  readonly cooldownMsRemaining: Ms;
  /** Why nothing is healed now, or null. */
  readonly held: string | null;
  /** It has been healthy long enough for its last start to count as a success. */
  readonly steady: boolean;
  readonly lastFailure: { cause: Cause; detail: string; at: string } | null;
  readonly lastHealAt: string | null;
  readonly alertSince: string | null;
  /** The last look that got an answer, and when. */
  readonly finding: Finding | null;
  readonly findingAt: string | null;
  /** When it was last looked at, with or without an answer. */
  readonly lastCheckAt: string | null;
  /** Why the last look got no answer; null after one that did. */
  readonly checkError: string | null;
  /** Limits that this machine cannot enforce, one sentence each. */
  readonly unenforced: readonly string[];
  /** What to know about its ports: who holds the usual one, which one was taken instead. */
  readonly notes: readonly string[];
}

/** What is on this machine right now, looked up when asked. */
export interface ProcessLook {
  /** Processes with such a command line, whoever's they are. */
  readonly pids: readonly number[];
  /** This node's own daemon is there. */
  readonly running: boolean;
  /** An API socket lies there, stale or not. */
  readonly socketExists: boolean;
}

export interface Daemon {
  readonly type: DaemonType;
  /** Adopts what an earlier agent left, or starts what is wanted; does not wait for readiness. */
  start(): Promise<void>;
  /**
   * Ends exactly the process that is ours; what a person wants is kept for the next start.
   * `leave`: only looks away, and the next agent takes the process over.
   */
  stop(options: { readonly leave: boolean }): Promise<void>;
  view(): DaemonView;
  /** Looks once more, within `timeoutMs`, and answers with the view after it. */
  check(timeoutMs: Ms): Promise<DaemonView>;
  look(): Promise<ProcessLook>;
  /**
   * A person's wish; resolves once it has come about, has failed, or `timeoutMs` is over. Throws
   * `daemon-external`, `daemon-off` or `cooling-down`.
   */
  ask(what: Ask, options: { readonly force: boolean; readonly timeoutMs: Ms }): Promise<DaemonView>;
  setAutoHeal(on: boolean): DaemonView;
  /** Paused or draining: nothing is healed. `null`: over. */
  suspend(reason: string | null): void;
  /** Its output; `null` where there is none to read. */
  readonly output: OutputLog | null;
  /** Where it answers now; null while it has no ports. */
  endpoint(): Endpoint | null;
}
