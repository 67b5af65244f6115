/**
 * The content host's own identity: an Ed25519 key in `host.key`, made at the first start. It is not
 * the node's key; the node tells the others by signed gossip which content host is its own.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { AgentError } from '../base/error.ts';

function writeDurably(folder: string, name: string, bytes: Uint8Array): void {
  const path = join(folder, name);
  const fd = openSync(`${path}.new`, 'w', 0o600);
  try {
    writeFileSync(fd, bytes);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.new`, path);
  const folderFd = openSync(folder, 'r');
  try {
    fsyncSync(folderFd);
  } finally {
    closeSync(folderFd);
  }
}

export async function openHostKey(folder: string): Promise<PrivateKey> {
  const path = join(folder, 'host.key');
  if (!existsSync(path)) {
    const made = await generateKeyPair('Ed25519');
    writeDurably(folder, 'host.key', privateKeyToProtobuf(made));
    return made;
  }
  try {
    return privateKeyFromProtobuf(readFileSync(path));
  } catch (thrown) {
    throw new AgentError('damaged', `${path} is not a private key`, { cause: thrown });
  }
}
