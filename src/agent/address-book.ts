/**
 * Where the members were last reached, kept for the next start, so that a cluster whose nodes all
 * went down finds itself again also where the configured peers have moved. Hints only: a missing or
 * broken file costs nothing but time.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { PeerId } from '../base/brand.ts';
import { writeDurably } from '../mesh/identity.ts';
import type { Directory } from './directory.ts';

const writeDelayMs = 1000;
const schema = z.record(z.string().max(128), z.array(z.string().max(256)).max(16));

export interface AddressBook {
  /** Puts what was kept into the directory and keeps what it learns from now on. */
  start(directory: Directory): Promise<void>;
  stop(): Promise<void>;
}

export function createAddressBook(
  dir: string,
  onFailure: (text: string, error: unknown) => void,
): AddressBook {
  const path = join(dir, 'addresses.json');
  let timer: NodeJS.Timeout | null = null;
  let writing: Promise<void> = Promise.resolve();
  let written = '';

  function write(directory: Directory): void {
    timer = null;
    const book: Record<PeerId, readonly string[]> = {};
    for (const { peerId, addresses } of directory.meshPeers())
      if (addresses.length > 0) book[peerId] = addresses;
    const text = JSON.stringify(book);
    if (text === written) return;
    written = text;
    writing = writing
      .then(() => writeDurably(path, text))
      .catch((error: unknown) => onFailure('the address book could not be written', error));
  }

  return {
    start: async (directory) => {
      try {
        written = await readFile(path, 'utf8');
        const book = schema.parse(JSON.parse(written));
        for (const [peer, addresses] of Object.entries(book)) directory.hint(peer, addresses);
      } catch (error) {
        const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
        if (!absent) onFailure('the address book could not be read', error);
      }
      directory.onChange(() => {
        timer ??= setTimeout(() => write(directory), writeDelayMs);
      });
    },
    stop: async () => {
      if (timer !== null) clearTimeout(timer);
      await writing;
    },
  };
}
