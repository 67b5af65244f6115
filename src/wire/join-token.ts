/**
 * The text that lets one machine into a cluster: where to dial, the network key, whom to trust
 * there, and a secret that counts once. Base64url of CBOR with a checksum, so that a text that was
 * cut or mistyped is told as such and never half used.
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { AgentError } from '../base/error.ts';
import { encode as encodeCbor } from './cbor.ts';
import { checked, fromCbor } from './checked.ts';
import { type Role, roles } from './member.ts';

export const tokenPrefix = 'bw1_';
const tokenCharactersMax = 4096;
const crcBytes = 4;

const bytes = (length: number) =>
  z.instanceof(Uint8Array).refine((value) => value.length === length, `must be ${length} bytes`);

const schema = z.looseObject({
  cluster: bytes(16),
  networkKey: bytes(32),
  authority: bytes(32),
  id: bytes(8),
  secret: bytes(16),
  role: z.enum(roles),
  addresses: z.array(z.string().min(1).max(256)).min(1).max(8),
});

export interface JoinToken {
  readonly clusterId: string;
  /** 64 hex digits. */
  readonly networkKey: string;
  /** Public key of the authority, base64url. */
  readonly authority: string;
  /** 16 hex digits. */
  readonly id: string;
  /** 32 hex digits. */
  readonly secret: string;
  readonly role: Role;
  readonly addresses: readonly string[];
}

const fromHex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const toHex = (value: Uint8Array): string => Buffer.from(value).toString('hex');

export function encodeJoinToken(token: JoinToken): string {
  const body = encodeCbor({
    cluster: fromHex(token.clusterId),
    networkKey: fromHex(token.networkKey),
    authority: Uint8Array.from(Buffer.from(token.authority, 'base64url')),
    id: fromHex(token.id),
    secret: fromHex(token.secret),
    role: token.role,
    addresses: token.addresses,
  });
  const crc = Buffer.alloc(crcBytes);
  crc.writeUInt32BE(crc32(body));
  return tokenPrefix + Buffer.concat([body, crc]).toString('base64url');
}

/** The token of a text; throws `token-wrong` whatever is wrong with it. */
export function decodeJoinToken(text: string): JoinToken {
  const wrong = (why: string, cause?: unknown): AgentError =>
    new AgentError('token-wrong', `the join token ${why}`, { cause });
  const trimmed = text.trim();
  if (!trimmed.startsWith(tokenPrefix)) throw wrong(`does not begin with ${tokenPrefix}`);
  if (trimmed.length > tokenCharactersMax) throw wrong('is too long');
  const whole = Buffer.from(trimmed.slice(tokenPrefix.length), 'base64url');
  const body = Uint8Array.from(whole.subarray(0, -crcBytes));
  if (whole.length <= crcBytes || whole.readUInt32BE(body.length) !== crc32(body))
    throw wrong('was cut or mistyped: its checksum does not fit');
  try {
    const value = checked('join token', schema, fromCbor('join token', body));
    return {
      clusterId: toHex(value.cluster),
      networkKey: toHex(value.networkKey),
      authority: Buffer.from(value.authority).toString('base64url'),
      id: toHex(value.id),
      secret: toHex(value.secret),
      role: value.role,
      addresses: value.addresses,
    };
  } catch (cause) {
    throw wrong(
      cause instanceof Error ? `can't be read: ${cause.message}` : "can't be read",
      cause,
    );
  }
}
