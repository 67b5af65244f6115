/**
 * The node's identity: one Ed25519 key in one file, from which its peer id follows. Identity key
 * and log live and die together, so loading says whether the key was just made; the caller refuses
 * a log without its key. A file that doesn't parse, or whose checksum or peer id doesn't match, is
 * damage and never replaced by a new key.
 */
import { constants } from 'node:fs';
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { z } from 'zod';
import type { PeerId } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';

export const identityFile = 'identity.key';
const incarnationFile = 'incarnation';

export interface Identity {
  readonly peerId: PeerId;
  readonly privateKey: Ed25519PrivateKey;
  /** True when the key was made by this call: there must be no log beside it. */
  readonly created: boolean;
}

const fileSchema = z.object({
  version: z.literal(1),
  peerId: z.string(),
  /** libp2p's protobuf of the private key, base64. */
  privateKey: z.string().max(1024),
  /** CRC-32 of the peer id and the base64 text. */
  crc32: z.int(),
});

const checksum = (peerId: string, key: string): number => crc32(`${peerId}|${key}`);

/** Reads the key of `dir`; makes one if there is none and `create` allows it. */
export async function loadIdentity(dir: string, options: { create: boolean }): Promise<Identity> {
  const path = join(dir, identityFile);
  const text = await readIfThere(path);
  if (text !== null) {
    const { peerId, privateKey } = parse(path, text);
    await chmod(path, 0o600);
    return { peerId, privateKey, created: false };
  }
  if (!options.create) throw new AgentError('not-found', `no identity key at ${path}`);
  const privateKey = await generateKeyPair('Ed25519');
  const peerId = peerIdFromPrivateKey(privateKey).toString();
  const key = Buffer.from(privateKeyToProtobuf(privateKey)).toString('base64');
  const file = { version: 1, peerId, privateKey: key, crc32: checksum(peerId, key) };
  await writeDurably(path, `${JSON.stringify(file)}\n`);
  return { peerId, privateKey, created: true };
}

function parse(path: string, text: string): Omit<Identity, 'created'> {
  const damaged = (why: string, cause?: unknown): AgentError =>
    new AgentError('damaged', `identity key ${path}: ${why}`, { cause });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged('is not JSON', cause);
  }
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) throw damaged('has not the expected fields');
  const { peerId, privateKey: key } = parsed.data;
  if (checksum(peerId, key) !== parsed.data.crc32) throw damaged('fails its checksum');
  const privateKey = privateKeyFromProtobuf(Buffer.from(key, 'base64'));
  if (privateKey.type !== 'Ed25519') throw damaged('is not an Ed25519 key');
  if (peerIdFromPrivateKey(privateKey).toString() !== peerId)
    throw damaged('does not belong to its peer id');
  return { peerId, privateKey };
}

/**
 * A number that grows with every start, also when the wall clock was set back: what this node
 * gossips now is newer than all that it ever gossiped.
 */
export async function nextIncarnation(dir: string, wallMs: number): Promise<number> {
  const path = join(dir, incarnationFile);
  const text = await readIfThere(path);
  const last = text === null ? 0 : Number.parseInt(text, 10);
  if (!Number.isSafeInteger(last))
    throw new AgentError('damaged', `${path}: expected one number, found ${text?.slice(0, 40)}`);
  const next = Math.max(last + 1, Math.floor(wallMs));
  await writeDurably(path, `${next}\n`);
  return next;
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** Whole or not at all, mode 0600, on disk when it returns. */
export async function writeDurably(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.tmp`;
  const file = await open(draft, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  const folder = await open(dirname(path), constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
