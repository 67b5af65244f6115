/**
 * What a fast request asks for. Only what the schemas of the routes would take as it stands becomes
 * a command here; everything else answers null and goes the usual way, to be taken or refused with
 * its reason there.
 */
import { type Command, indexTypes, type SimpleCommand } from '../wire/command.ts';
import type { FastHead } from './fast-request.ts';
import { keyCharactersMax, operationsMax } from './index-routes.ts';

type IndexType = (typeof indexTypes)[number];
type Value = Record<string, unknown>;

export interface FastWrite {
  readonly command: Command;
  /** The body of the answer to a write that was applied. */
  answerOf(result: {
    readonly index: number;
    readonly version: number | null;
    readonly value: unknown;
  }): string;
  /** The route that this is, as it is counted. */
  readonly route: string;
}

const putRoute = 'PUT /v1/index/{type}/{key}';
const postRoute = 'POST /v1/index/{type}';
const prefixLength = '/v1/index/'.length;
/** What the usual parser looks at twice, and its escaped spellings. */
const suspicious = /__proto__|constructor|\\u/;

const isType = (text: string): text is IndexType =>
  (indexTypes as readonly string[]).includes(text);
const isObject = (value: unknown): value is Value =>
  value !== null && typeof value === 'object' && !Array.isArray(value);
const isKey = (key: unknown): key is string =>
  typeof key === 'string' && key.length >= 1 && key.length <= keyCharactersMax;

function parsed(body: string): unknown {
  if (suspicious.test(body)) return null;
  try {
    return JSON.parse(body);
  } catch {
    // The usual way says what is wrong with it.
    return null;
  }
}

const operationFields = new Set(['op', 'key', 'value', 'expectedVersion']);

function operationOf(index: IndexType, operation: unknown): SimpleCommand | null {
  if (!isObject(operation)) return null;
  for (const name in operation) if (!operationFields.has(name)) return null;
  const { op, key, value, expectedVersion = null } = operation;
  const versionFits =
    expectedVersion === null
      ? !('expectedVersion' in operation)
      : Number.isSafeInteger(expectedVersion) && (expectedVersion as number) >= 0;
  if (!isKey(key) || !versionFits) return null;
  const at = { index, key, expectedVersion: expectedVersion as number | null };
  if (op === 'put' && isObject(value)) return { type: 'index.put', ...at, value };
  return op === 'rm' && value === undefined ? { type: 'index.rm', ...at } : null;
}

function putOf(index: IndexType, key: string, body: string): FastWrite | null {
  if (!isKey(key) || key.includes('/')) return null;
  const value = parsed(body);
  if (!isObject(value)) return null;
  return {
    route: putRoute,
    command: { type: 'index.put', index, key, value, expectedVersion: null },
    // A key of a plain path needs no escapes.
    answerOf: (result) => `{"key":"${key}","version":${result.version},"index":${result.index}}`,
  };
}

function batchOf(index: IndexType, body: string): FastWrite | null {
  const whole = parsed(body);
  if (!isObject(whole) || Object.keys(whole).length !== 1) return null;
  const { operations } = whole;
  if (!Array.isArray(operations) || operations.length < 1 || operations.length > operationsMax)
    return null;
  const commands: SimpleCommand[] = [];
  for (const each of operations) {
    const command = operationOf(index, each);
    if (command === null) return null;
    commands.push(command);
  }
  return {
    route: postRoute,
    command: { type: 'batch', commands },
    answerOf: (result) =>
      JSON.stringify({ operations: commands.length, index: result.index, results: result.value }),
  };
}

/** What the request writes, or null when that needs a closer look. */
export function fastWriteOf({ method, path }: FastHead, body: string): FastWrite | null {
  const slash = path.indexOf('/', prefixLength);
  const type = path.slice(prefixLength, slash < 0 ? undefined : slash);
  if (!isType(type)) return null;
  if (method === 'PUT') return slash < 0 ? null : putOf(type, path.slice(slash + 1), body);
  return slash < 0 ? batchOf(type, body) : null;
}
