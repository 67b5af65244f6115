/**
 * Foreign bytes into a checked value: CBOR, then a schema. What is wrong is told in a few words,
 * whatever the input, because refusals are logged, kept as results and sent back.
 */
import type { z } from 'zod';
import { AgentError } from '../base/error.ts';
import { decode as decodeCbor } from './cbor.ts';
import { fits } from './shape.ts';

const issuesMax = 3;
const issueCharactersMax = 200;

/** The first few things that are wrong, each with the path of its field. */
export function firstIssues(error: z.ZodError): string {
  const shown = error.issues.slice(0, issuesMax);
  const rest = error.issues.length - shown.length;
  const text = shown.map(({ path, message }) =>
    `${path.join('.') || 'value'}: ${message}`.slice(0, issueCharactersMax),
  );
  return rest > 0 ? `${text.join('; ')}; and ${rest} more` : text.join('; ');
}

/** The value of the bytes; throws `bad-request` when they are no CBOR. */
export function fromCbor(what: string, bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes);
  } catch (cause) {
    throw new AgentError('bad-request', `${what} is not CBOR`, { cause });
  }
}

/** The value as the schema has it; throws `bad-request` that names the field. */
export function checked<T>(what: string, schema: z.ZodType<T>, value: unknown): T {
  if (fits(schema, value)) return value as T;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AgentError('bad-request', `${what}: ${firstIssues(parsed.error)}`);
}
