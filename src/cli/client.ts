/**
 * The status port as the commands call it. A refusal comes back as the AgentError that the port
 * told; a repeatable write carries an idempotency key, and while its outcome is unknown it is asked
 * again under the same key, so that it is done once or not at all.
 */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { AgentError, type ErrorCode } from '../base/error.ts';
import { problemKinds } from '../http/problem.ts';
import { ExitError } from './exit-code.ts';

const repeatsMax = 3;
const repeatWaitMs = 300;

export type Verb = 'GET' | 'PUT' | 'POST' | 'DELETE';

export interface CallOptions {
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is; then the call is never repeated. */
  readonly stream?: { readonly type: string; readonly body: AsyncIterable<Uint8Array> };
  /** Statuses that are answers and not refusals, besides 2xx. */
  readonly accept?: readonly number[];
}

export interface Streamed {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: AsyncIterable<Uint8Array>;
}

export interface Client {
  readonly url: string;
  /** The JSON that came back. */
  call<T>(verb: Verb, path: string, options?: CallOptions): Promise<T>;
  /** A write that may be repeated safely. */
  write<T>(verb: Verb, path: string, options?: CallOptions): Promise<T>;
  /** The body as it comes. */
  open(path: string, options?: CallOptions): Promise<Streamed>;
  close(): Promise<void>;
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && code in problemKinds;
}

/** The refusal that a problem document tells; other texts are told as they are. */
export function refusalOf(status: number, body: string): AgentError {
  try {
    const { code, detail } = JSON.parse(body) as { code?: unknown; detail?: unknown };
    const text = typeof detail === 'string' ? detail : `HTTP ${status}`;
    return new AgentError(isErrorCode(code) ? code : 'internal', text);
  } catch (cause) {
    const line = body.split('\n')[0]?.slice(0, 200) ?? '';
    return new AgentError('internal', `HTTP ${status}, not from an agent: ${line}`, { cause });
  }
}

function unreachableOf(url: string, thrown: unknown): Error {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  if (['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].includes(code))
    return new ExitError(
      'no agent',
      `no agent answers at ${url} (${code}); start one or give another --url`,
      { cause: thrown },
    );
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new AgentError('outcome-unknown', `the connection to ${url} broke off: ${why}`, {
    cause: thrown,
  });
}

/** Loaded when something is asked: an agent, which only answers, does without it. */
async function openHttp() {
  const { HttpAgent, request } = await import('./http-client.ts');
  // No deadline of our own on answers: adding a large folder takes as long as it takes.
  const options = { headersTimeout: 0, bodyTimeout: 0, connections: 128 };
  return { request, dispatcher: new HttpAgent(options) };
}

export function createClient(url: string, token: string | null): Client {
  let http: ReturnType<typeof openHttp> | null = null;

  async function send(verb: Verb, path: string, options: CallOptions) {
    const { query = {}, json, stream } = options;
    const at = new URL(path, url);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) at.searchParams.set(name, String(value));
    const headers: Record<string, string> = { ...options.headers };
    if (token !== null) headers.authorization = `Bearer ${token}`;
    if (json !== undefined) headers['content-type'] = 'application/json';
    if (stream) headers['content-type'] = stream.type;
    const text = json === undefined ? null : JSON.stringify(json);
    const body = stream ? Readable.from(stream.body, { objectMode: false }) : text;
    try {
      http ??= openHttp();
      const { request, dispatcher } = await http;
      return await request(at, { method: verb, headers, body, dispatcher });
    } catch (thrown) {
      if (thrown instanceof AgentError || thrown instanceof ExitError) throw thrown;
      throw unreachableOf(url, thrown);
    }
  }

  async function open(verb: Verb, path: string, options: CallOptions) {
    const answer = await send(verb, path, options);
    const { statusCode: status } = answer;
    if (status < 300 || options.accept?.includes(status)) return answer;
    throw refusalOf(status, await readText(answer.body));
  }

  async function call<T>(verb: Verb, path: string, options: CallOptions = {}): Promise<T> {
    const answer = await open(verb, path, options);
    return (await answer.body.json()) as T;
  }

  return {
    url,
    call,
    async write<T>(verb: Verb, path: string, options: CallOptions = {}): Promise<T> {
      const headers = { 'idempotency-key': randomUUID(), ...options.headers };
      for (let repeats = 0; ; repeats++) {
        try {
          return await call<T>(verb, path, { ...options, headers });
        } catch (thrown) {
          const unknown = thrown instanceof AgentError && thrown.code === 'outcome-unknown';
          if (!unknown || repeats === repeatsMax) throw thrown;
          await wait(repeatWaitMs);
        }
      }
    },
    async open(path, options = {}) {
      const { statusCode: status, headers, body } = await open('GET', path, options);
      return { status, headers, body };
    },
    async close() {
      const opened = await http;
      await opened?.dispatcher.destroy();
    },
  };
}
