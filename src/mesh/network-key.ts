/**
 * The pre-shared key of the private network, in the format that kubo and libp2p share
 * (`/key/swarm/psk/1.0.0/`), so that the daemons can use the same file. Bare 64 hex digits are
 * accepted too. Whoever has the key may talk to the mesh; roles are decided elsewhere.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { AgentError } from '../base/error.ts';
import { writeDurably } from './identity.ts';

const header = '/key/swarm/psk/1.0.0/';

/** A new key as the text of a swarm key file. */
export function generateNetworkKey(): string {
  return swarmKey(randomBytes(32).toString('hex'));
}

function swarmKey(hex: string): string {
  return `${header}\n/base16/\n${hex}\n`;
}

/** The canonical text of a key given as a swarm key file or as 64 hex digits. */
export function parseNetworkKey(text: string): string {
  const lines = text.trim().split(/\r?\n/);
  const hex = lines.length === 1 ? lines[0] : lines[2];
  const known = lines.length === 1 || (lines[0] === header && lines[1] === '/base16/');
  if (!known || lines.length > 3 || !hex || !/^[0-9a-fA-F]{64}$/.test(hex))
    throw new AgentError(
      'bad-request',
      'network key: expected 64 hex digits, or a swarm key file (/key/swarm/psk/1.0.0/, /base16/)',
    );
  return swarmKey(hex.toLowerCase());
}

/** Reads a key file; with `create`, makes one (mode 0600) where there is none. */
export async function loadNetworkKey(path: string, options: { create: boolean }): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (!absent) throw error;
    if (!options.create) throw new AgentError('not-found', `no network key at ${path}`);
    text = generateNetworkKey();
    await writeDurably(path, text);
  }
  return parseNetworkKey(text);
}
