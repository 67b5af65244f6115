/**
 * The looks at one daemon through its API, one at a time and each with its deadline, and what the
 * last of them found. Whoever asks for the state gets the last look and never waits for one.
 */
import type { Ms } from '../base/brand.ts';
import type { DaemonAdapter, Endpoint, Finding, Place } from './api.ts';
import { createDaemonClient, type DaemonClient } from './daemon-client.ts';
import { withDeadline } from './deadline.ts';

export interface LookState {
  readonly finding: Finding | null;
  readonly findingAtMs: Ms | null;
  readonly atMs: Ms | null;
  readonly error: string | null;
}

export interface Looks {
  /** Answers with the finding, or null when there was no answer in time. */
  look(endpoint: Endpoint, timeoutMs: Ms): Promise<Finding | null>;
  /** Starts a look unless one is under way; `done` hears how it ended. */
  lookAside(endpoint: Endpoint, done: (finding: Finding | null) => void): void;
  /** The process has gone: what it said is history, and connections to it are closed. */
  forget(): void;
  client(endpoint: Endpoint): DaemonClient;
  state(): LookState;
}

const sameEndpoint = (a: Endpoint, b: Endpoint): boolean =>
  a.url === b.url && a.authorization === b.authorization;

export function createLooks(
  adapter: Pick<DaemonAdapter, 'title' | 'check' | 'checkMsMax'>,
  place: () => Place | null,
  wallMs: () => Ms,
  onFailure: (text: string, error: unknown) => void,
): Looks {
  let opened: { endpoint: Endpoint; client: DaemonClient } | null = null;
  let state: LookState = { finding: null, findingAtMs: null, atMs: null, error: null };
  let underWay = false;

  function close(): void {
    const closing = opened?.client.close();
    closing?.catch((error: unknown) => onFailure(`${adapter.title}: closing its client`, error));
    opened = null;
  }

  function client(endpoint: Endpoint): DaemonClient {
    if (opened !== null && !sameEndpoint(opened.endpoint, endpoint)) close();
    opened ??= { endpoint, client: createDaemonClient(endpoint) };
    return opened.client;
  }

  async function look(endpoint: Endpoint, timeoutMs: Ms): Promise<Finding | null> {
    try {
      const finding = await withDeadline(timeoutMs, adapter.title, (signal) =>
        adapter.check(client(endpoint), signal, place()),
      );
      const atMs = wallMs();
      state = { finding, findingAtMs: atMs, atMs, error: null };
      return finding;
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown.message : String(thrown);
      state = { ...state, atMs: wallMs(), error };
      return null;
    }
  }

  return {
    look,
    lookAside: (endpoint, done) => {
      if (underWay) return;
      underWay = true;
      void look(endpoint, adapter.checkMsMax).then((finding) => {
        underWay = false;
        done(finding);
      });
    },
    forget: () => {
      close();
      state = { ...state, finding: null, findingAtMs: null, error: null };
    },
    client,
    state: () => state,
  };
}
