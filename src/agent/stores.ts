/**
 * Opens what this node keeps. The catalog is given the opened log: it refuses to be ahead of what
 * is durable there, and takes back the installation of a snapshot that the log never saw.
 */
import type { CatalogStore, LogStore } from '../store/api.ts';
import { openCatalogStore } from '../store/catalog-store.ts';
import { type LogStoreOptions, openLogStore } from '../store/log-store.ts';

export interface Stores {
  readonly log: LogStore;
  readonly catalog: CatalogStore;
  close(): Promise<void>;
}

export async function openStores(options: {
  readonly catalogDir: string;
  readonly log: LogStoreOptions;
}): Promise<Stores> {
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
