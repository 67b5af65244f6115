/**
 * Opens what this node keeps. The catalog is given the opened log: it refuses to be ahead of what
 * is durable there, and takes back the installation of a snapshot that the log never saw.
 */
import { dirname } from 'node:path';
import { AgentError } from '../base/error.ts';
import type { CatalogStore, LogStore } from '../store/api.ts';
import { openCatalogStore } from '../store/catalog-store.ts';
import { type LogStoreOptions, openLogStore } from '../store/log-store.ts';

export interface Stores {
  readonly log: LogStore;
  readonly catalog: CatalogStore;
  close(): Promise<void>;
}

interface StoresOptions {
  readonly catalogDir: string;
  readonly log: LogStoreOptions;
}

async function openBoth(options: StoresOptions): Promise<Stores> {
  const log = await openLogStore(options.log);
  try {
    const catalog = await openCatalogStore({ dir: options.catalogDir, log });
    return {
      log,
      catalog,
      close: async () => {
        await catalog.close();
        await log.close();
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

/** Damage is refused by name, and the ways out are told: nothing is mended by guessing. */
export async function openStores(options: StoresOptions): Promise<Stores> {
  try {
    return await openBoth(options);
  } catch (thrown) {
    if (!(thrown instanceof AgentError) || thrown.code !== 'damaged') throw thrown;
    const data = dirname(options.catalogDir);
    throw new AgentError(
      'damaged',
      `${thrown.message}. There are two ways out: \`bellwether repair --data ${data}\` mends ` +
        'this node from its log or from the other members, `bellwether restore FILE --data ' +
        'NEWFOLDER` makes a new cluster out of a backup',
      { cause: thrown },
    );
  }
}
