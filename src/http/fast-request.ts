/**
 * The requests that come by the thousand, told by their bytes: a write of index entries in the
 * plainest form of HTTP/1.1 that programs send. The grammar is a strict part of HTTP's: one line
 * more, one header that isn't listed, a character out of the ordinary, and the answer is null. Such
 * a request is none the worse for it; it goes the usual way, which knows all of HTTP and says what
 * is wrong with what.
 */

export interface FastHead {
  readonly method: 'PUT' | 'POST';
  /** Without a query; nothing in it is escaped. */
  readonly path: string;
  readonly host: string;
  readonly authorization: string;
  readonly bodyFrom: number;
  readonly bodyTo: number;
}

/** A longer head is not read here. */
const headBytesMax = 2048;
const headEnd = Buffer.from('\r\n\r\n', 'latin1');
const requestLine = /^(PUT|POST) (\/v1\/index\/[A-Za-z0-9._~/-]{1,600}) HTTP\/1\.1$/;
const jsonTypes = new Set(['application/json', 'application/json; charset=utf-8']);
const printable = /^[\x20-\x7e]*$/;

interface Headers {
  host?: string;
  authorization?: string;
  'content-type'?: string;
  'content-length'?: string;
  'user-agent'?: string;
  accept?: string;
  'accept-encoding'?: string;
  'accept-language'?: string;
  connection?: string;
}
/** Every header that leaves the meaning of a write as it is. */
const known: ReadonlySet<string> = new Set<keyof Headers>([
  ...(['host', 'authorization', 'content-type', 'content-length', 'user-agent'] as const),
  ...(['accept', 'accept-encoding', 'accept-language', 'connection'] as const),
]);

/** Headers by lower-case name; null: one is not known, comes twice or is not plain. */
function headersOf(lines: readonly string[]): Headers | null {
  const headers: Record<string, string> = {};
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] as string;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon)).toLowerCase();
    if (!known.has(name) || headers[name] !== undefined || !printable.test(line)) return null;
    headers[name] = line.slice(colon + 1).trim();
  }
  return headers;
}

function bodyLengthOf(text: string | undefined, bytesMax: number): number | null {
  if (text === undefined || !/^[1-9]\d{0,6}$/.test(text)) return null;
  const length = Number(text);
  return length <= bytesMax ? length : null;
}

/** The head of the request at the start of `bytes`, if it is a plain one; its body may be cut. */
export function readFastHead(bytes: Buffer, bodyBytesMax: number): FastHead | null {
  // What is surely another request is not searched for its end.
  if (bytes[0] !== 0x50) return null;
  const end = bytes.indexOf(headEnd);
  if (end < 0 || end > headBytesMax) return null;
  const lines = bytes.toString('latin1', 0, end).split('\r\n');
  const line = requestLine.exec(lines[0] ?? '');
  if (line === null) return null;
  const headers = headersOf(lines);
  if (headers === null) return null;
  const { host, authorization, connection = 'keep-alive' } = headers;
  const length = bodyLengthOf(headers['content-length'], bodyBytesMax);
  const isJson = jsonTypes.has(headers['content-type']?.toLowerCase() ?? '');
  if (host === undefined || authorization === undefined || length === null || !isJson) return null;
  if (connection.toLowerCase() !== 'keep-alive') return null;
  const bodyFrom = end + headEnd.length;
  const method = line[1] === 'PUT' ? 'PUT' : 'POST';
  const path = line[2] as string;
  return { method, path, host, authorization, bodyFrom, bodyTo: bodyFrom + length };
}
