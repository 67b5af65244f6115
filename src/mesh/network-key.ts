/**
 * The file of the private network's key, in the format that kubo and libp2p share, so that the
 * daemons can use the same file. Whoever has the key may talk to the mesh; roles are decided
 * elsewhere.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { AgentError } from '../base/error.ts';
import { parseNetworkKey, swarmKeyText } from '../wire/network-key.ts';
import { writeDurably } from './identity.ts';

/** Reads a key file; with `create`, makes one (mode 0600) where there is none. */
export async function loadNetworkKey(path: string, options: { create: boolean }): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (!absent) throw error;
    if (!options.create) throw new AgentError('not-found', `no network key at ${path}`);
    text = swarmKeyText(randomBytes(32).toString('hex'));
    await writeDurably(path, text);
  }
  return parseNetworkKey(text);
}
