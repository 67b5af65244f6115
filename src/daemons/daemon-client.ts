/**
 * Asks a daemon's HTTP API. Everything that comes back passes a schema and a size limit; a stream
 * of lines that ends before its end, or whose trailer carries an error, is an error and never a
 * shorter list. Every call has the caller's deadline; a daemon that hangs costs nobody but its
 * own check. Redirects are not followed: an answer comes from who was asked.
 */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { AgentError } from '../base/error.ts';
import type { Endpoint } from './api.ts';

const bytesMaxDefault = 8 * 1024 * 1024;
const linesMaxDefault = 1_000_000;
const connectionsMax = 16;
const shownMax = 300;

export interface Ask {
  /** @default GET */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With its leading slash. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as the one file of a form, as it comes; instead of `body`. */
  readonly upload?: AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  readonly bytesMax?: number;
}

export interface DaemonClient {
  readonly url: string;
  /** One JSON document. */
  json<T>(schema: z.ZodType<T>, ask: Ask): Promise<T>;
  /** Every line of newline-delimited JSON; 204 is an empty list. */
  lines<T>(schema: z.ZodType<T>, ask: Ask & { readonly linesMax?: number }): Promise<T[]>;
  /** The status alone, whatever it is; the body is thrown away. */
  status(ask: Ask): Promise<number>;
  close(): Promise<void>;
}

type Opened = Awaited<ReturnType<typeof import('./http-connection.ts').request>>;

const firstLine = (text: string): string => text.trim().split('\n')[0]?.slice(0, shownMax) ?? '';

function codeOf(thrown: unknown): string {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  return code === '' && thrown instanceof Error && thrown.cause ? codeOf(thrown.cause) : code;
}

/** What broke a call, in the words of whom it concerns. */
function brokenOf(where: string, thrown: unknown, signal: AbortSignal): AgentError {
  if (thrown instanceof AgentError) return thrown;
  if (signal.aborted)
    return new AgentError('timeout', `${where}: no answer in time`, { cause: thrown });
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const code = codeOf(thrown);
  return new AgentError('unavailable', `${where}: ${code === '' ? text : `${text} (${code})`}`, {
    cause: thrown,
  });
}

function parsed<T>(schema: z.ZodType<T>, text: string, where: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AgentError('unavailable', `${where}: not JSON: ${firstLine(text)}`, { cause });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problem = firstLine(z.prettifyError(result.error));
  throw new AgentError('unavailable', `${where}: not what is expected: ${problem}`);
}

async function* chunksOf(opened: Opened, bytesMax: number, where: string): AsyncIterable<Buffer> {
  let bytes = 0;
  for await (const chunk of opened.body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax)
      throw new AgentError('too-large', `${where}: an answer of more than ${bytesMax} bytes`);
    yield chunk;
  }
}

async function textOf(opened: Opened, bytesMax: number, where: string): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of chunksOf(opened, bytesMax, where)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** A body that ends with the connection has no end that could be told from a broken one. */
function mustHaveEnd({ headers }: Opened, where: string): void {
  const chunked = String(headers['transfer-encoding'] ?? '').includes('chunked');
  if (!chunked && headers['content-length'] === undefined)
    throw new AgentError('unavailable', `${where}: a list without an end mark`);
}

async function refusalOf(opened: Opened, where: string): Promise<AgentError> {
  const { statusCode: status } = opened;
  const text = firstLine(await textOf(opened, bytesMaxDefault, where));
  const code = status === 401 || status === 403 ? 'unauthorized' : 'unavailable';
  return new AgentError(code, `${where}: HTTP ${status}${text === '' ? '' : `: ${text}`}`);
}

async function openHttp({ tls }: Endpoint) {
  const { HttpAgent, request } = await import('./http-connection.ts');
  const connect = {
    ...(tls?.ca ? { ca: tls.ca } : {}),
    ...(tls?.serverName ? { servername: tls.serverName } : {}),
  };
  // The deadline is the caller's signal; the client adds none of its own.
  const options = { headersTimeout: 0, bodyTimeout: 0, connections: connectionsMax, connect };
  return { request, dispatcher: new HttpAgent(options) };
}

const boundary = `bellwether-${randomBytes(16).toString('hex')}`;

/** A form with one file; its bytes are passed on as they come. */
async function* formOf(file: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const disposition = 'Content-Disposition: form-data; name="file"; filename="file"';
  const type = 'Content-Type: application/octet-stream';
  yield Buffer.from(`--${boundary}\r\n${disposition}\r\n${type}\r\n\r\n`);
  yield* file;
  yield Buffer.from(`\r\n--${boundary}--\r\n`);
}

export function createDaemonClient(endpoint: Endpoint): DaemonClient {
  let http: ReturnType<typeof openHttp> | null = null;

  async function send(ask: Ask): Promise<Opened> {
    const { method = 'GET', path, query = {}, body, upload, signal } = ask;
    const at = new URL(`${endpoint.url}${path}`);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) at.searchParams.append(name, String(value));
    const headers: Record<string, string> = {};
    if (endpoint.authorization !== null) headers.authorization = endpoint.authorization;
    if (body !== undefined) headers['content-type'] = 'application/json';
    http ??= openHttp(endpoint);
    const { request, dispatcher } = await http;
    let sent: string | Readable | null = body === undefined ? null : JSON.stringify(body);
    if (upload !== undefined) {
      headers['content-type'] = `multipart/form-data; boundary=${boundary}`;
      sent = Readable.from(formOf(upload));
    }
    return request(at, { method, headers, body: sent, signal, dispatcher });
  }

  async function asked<T>(ask: Ask, read: (opened: Opened, where: string) => Promise<T>) {
    const where = `${ask.method ?? 'GET'} ${endpoint.url}${ask.path}`;
    try {
      return await read(await send(ask), where);
    } catch (thrown) {
      throw brokenOf(where, thrown, ask.signal);
    }
  }

  return {
    url: endpoint.url,
    json: (schema, ask) =>
      asked(ask, async (opened, where) => {
        if (opened.statusCode !== 200) throw await refusalOf(opened, where);
        const text = await textOf(opened, ask.bytesMax ?? bytesMaxDefault, where);
        return parsed(schema, text, where);
      }),
    lines: (schema, ask) =>
      asked(ask, async (opened, where) => {
        if (opened.statusCode === 204) {
          await opened.body.dump();
          return [];
        }
        if (opened.statusCode !== 200) throw await refusalOf(opened, where);
        mustHaveEnd(opened, where);
        const text = await textOf(opened, ask.bytesMax ?? bytesMaxDefault, where);
        const trailer = String(
          (opened.trailers as Record<string, unknown>)['x-stream-error'] ?? '',
        );
        if (trailer !== '')
          throw new AgentError('unavailable', `${where}: the list broke off: ${trailer}`);
        if (text !== '' && !text.endsWith('\n'))
          throw new AgentError('unavailable', `${where}: the last line is cut off`);
        const lines = text.split('\n').filter((line) => line !== '');
        if (lines.length > (ask.linesMax ?? linesMaxDefault))
          throw new AgentError('too-large', `${where}: more than ${ask.linesMax} lines`);
        return lines.map((line) => parsed(schema, line, where));
      }),
    status: (ask) =>
      asked(ask, async (opened) => {
        await opened.body.dump();
        return opened.statusCode;
      }),
    close: async () => {
      const opened = await http;
      await opened?.dispatcher.destroy();
    },
  };
}
