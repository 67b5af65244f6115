/**
 * What a `command` entry of the log may say, and what applying it answers. Times and random values
 * are in the entry: applying reads no clock. Unknown fields are kept; an unknown command type is
 * refused before it enters the log.
 */
import { z } from 'zod';
import { AgentError, type ErrorCode } from '../base/error.ts';
import { decode as decodeCbor, encode as encodeCbor } from './cbor.ts';
import { nestingOf } from './cbor-nesting.ts';
import { firstIssues, fromCbor } from './checked.ts';
import { entryBytesMax } from './entry.ts';
import { federationCommands } from './federation-command.ts';
import { identityCommands } from './identity-command.ts';
import { networkKeyCommands } from './network-key-command.ts';
import { operationCommands } from './operation-command.ts';
import { readPlainResult } from './plain-result.ts';
import { fits } from './shape.ts';

export const indexTypes = [
  'embeddings',
  'peer_lists',
  'knowledge_graph',
  'content_metadata',
  'replication_state',
] as const;

const cid = z.string().min(10).max(128);
const peerId = z.string().min(1).max(128);
const key = z.string().min(1).max(512);
const hex32 = z.string().regex(/^[0-9a-f]{32}$/);
/** null: whatever is there; 0: must not exist; n: must be at version n. */
const expectedVersion = z.int().min(0).nullable();

const sessionOpen = z.looseObject({ type: z.literal('session.open'), node: peerId });

const pinPut = z.looseObject({
  type: z.literal('pin.put'),
  cid,
  name: z.string().max(512),
  bytes: z.int().min(0).nullable(),
  blocks: z.int().min(0).nullable(),
  min: z.int().min(1).max(100),
  max: z.int().min(1).max(100),
  labels: z.record(z.string().max(63), z.string().max(255)),
  expiresAtMs: z.number().nullable(),
  expectedVersion,
});

const pinRemove = z.looseObject({
  type: z.literal('pin.rm'),
  cid,
  expectedVersion,
  /** The leader's own decision (it expired), not a person's. */
  automatic: z.boolean().optional(),
});

/** The leader's decision where the copies of a pin belong; a no-op when a version has moved on. */
const allocationSet = z.looseObject({
  type: z.literal('allocation.set'),
  cid,
  peers: z.array(peerId).max(100),
  /** The version of the allocation this was computed from (0: none yet). */
  expectedVersion: z.int().min(0),
  /** For a trim: the verified copies that it relies on; empty otherwise. */
  reliesOn: z.array(peerId).max(100),
  term: z.int().min(0),
  reason: z.string().max(200),
});

const indexPut = z.looseObject({
  type: z.literal('index.put'),
  index: z.enum(indexTypes),
  key,
  value: z.record(z.string(), z.unknown()),
  expectedVersion,
});

const indexRemove = z.looseObject({
  type: z.literal('index.rm'),
  index: z.enum(indexTypes),
  key,
  expectedVersion,
});

const ballotPut = z.looseObject({
  type: z.literal('ballot.put'),
  ballot: z.record(z.string(), z.unknown()),
});

/** How a hand-over by rank went; the cool-down that follows from it survives every leader. */
const takeoverPut = z.looseObject({
  type: z.literal('takeover.put'),
  from: peerId,
  to: peerId,
  term: z.int().min(0),
  result: z.string().max(64),
  cooldownMs: z.number().min(0).max(3_600_000),
});

export const simpleCommandSchema = z.discriminatedUnion('type', [
  sessionOpen,
  pinPut,
  pinRemove,
  allocationSet,
  indexPut,
  indexRemove,
  ballotPut,
  takeoverPut,
  ...operationCommands,
  ...identityCommands,
  ...networkKeyCommands,
  ...federationCommands,
]);
export type SimpleCommand = z.infer<typeof simpleCommandSchema>;

/** All or nothing: when one member of a batch is refused, none is applied. */
const batch = z.looseObject({
  type: z.literal('batch'),
  commands: z.array(simpleCommandSchema).min(1).max(1000),
});

export const commandSchema = z.discriminatedUnion('type', [...simpleCommandSchema.options, batch]);
export type Command = z.infer<typeof commandSchema>;

export const envelopeSchema = z.looseObject({
  v: z.literal(1),
  session: hex32,
  /** Per session, from 1; 0 opens the session. */
  seq: z.int().min(0),
  /** Wall time of the proposer, ms since the Unix epoch. */
  atMs: z.number(),
  /** HTTP `Idempotency-Key` and the SHA-256 of the request it came with. */
  idempotency: z
    .looseObject({ key: z.string().min(1).max(255), requestHash: z.string().length(64) })
    .nullable(),
  command: commandSchema,
});
export type Envelope = z.infer<typeof envelopeSchema>;

/** What applying answered; kept with the session and under the idempotency key. */
export type CommandResult =
  | { ok: true; index: number; version: number | null; value: unknown }
  | {
      ok: false;
      index: number;
      code: ErrorCode;
      detail: string;
      /** With `conflict`: the version that is there now; 0 when there is none. */
      version?: number;
    };

/** A command type that this program doesn't know (yet); such a command is never applied in part. */
const commandTypes: ReadonlySet<string> = new Set([
  ...simpleCommandSchema.options.map((option) => option.shape.type.value),
  'batch',
]);

/** Deepest nesting of a command's CBOR; decoding recurses, and every replica must agree. */
export const nestingMax = 64;

/** Bytes for the log; throws `too-large` above the entry limit. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const bytes = encodeCbor(envelope);
  if (bytes.length > entryBytesMax)
    throw new AgentError(
      'too-large',
      `command is ${bytes.length} bytes; at most ${entryBytesMax} fit into one log entry`,
    );
  return bytes;
}

const typedSchema = z.object({
  command: z.object({ type: z.string(), commands: z.unknown() }).partial(),
});

/** The first type in a command (or in its batch) that this program doesn't know, or null. */
function unknownType(value: unknown): string | null {
  const { type, commands } = typedSchema.safeParse(value).data?.command ?? {};
  if (type === undefined) return null;
  if (!commandTypes.has(type)) return type;
  if (type !== 'batch' || !Array.isArray(commands)) return null;
  for (const member of commands) {
    const inner: unknown = member?.type;
    if (typeof inner === 'string' && !commandTypes.has(inner)) return inner;
  }
  return null;
}

/**
 * The envelope, checked; throws `bad-request` naming the field, or `not-built` for a command type
 * that a newer program may know.
 */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  if (nestingOf(bytes) > nestingMax)
    throw new AgentError('bad-request', `command is nested deeper than ${nestingMax} levels`);
  const value = fromCbor('command', bytes);
  if (fits(envelopeSchema, value)) return value as Envelope;
  const parsed = envelopeSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const type = unknownType(value);
  if (type !== null)
    throw new AgentError('not-built', `command type ${type.slice(0, 64)} is not known here`);
  throw new AgentError('bad-request', `command: ${firstIssues(parsed.error)}`);
}

export function encodeResult(result: CommandResult): Uint8Array {
  return encodeCbor(result);
}

export function decodeResult(bytes: Uint8Array): CommandResult {
  return readPlainResult(bytes) ?? (decodeCbor(bytes) as CommandResult);
}
