/**
 * Keeps the log short: now and then the catalog is made durable up to what it has applied, and the
 * step machine is told; it decides how many entries to keep for lagging peers. The log is never cut
 * beyond what is known to be fsynced.
 */
import type { LogIndex } from '../base/brand.ts';
import type { Event, Status } from '../consensus/api.ts';
import type { CatalogStore } from '../store/api.ts';

const lookMs = 5000;
/** A log of this size is cut after few entries, too. */
const logBytesMax = 256 * 1024 * 1024;
const entriesMinLarge = 100;

export interface Compaction {
  start(): void;
  stop(): Promise<void>;
}

export interface CompactionDeps {
  readonly catalog: CatalogStore;
  readonly status: () => Status;
  /** Applied entries since the last cut that are worth another one. */
  readonly cutEntries: number;
  readonly logBytes: () => number;
  readonly post: (event: Event) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export function createCompaction(deps: CompactionDeps): Compaction {
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;
  let lastIndex: LogIndex = 0;

  async function look(): Promise<void> {
    const { firstIndex, appliedIndex } = deps.status();
    const since = Math.max(lastIndex, firstIndex);
    const worth = deps.logBytes() > logBytesMax ? entriesMinLarge : deps.cutEntries;
    if (appliedIndex - since < worth) return;
    const index = await deps.catalog.checkpoint();
    lastIndex = index;
    deps.post({ type: 'compact', index });
  }

  return {
    start: () => {
      timer = setInterval(() => {
        running ??= look()
          .catch((error: unknown) => deps.onFailure('the log was not compacted', error))
          .finally(() => {
            running = null;
          });
      }, lookMs);
    },
    stop: async () => {
      if (timer !== null) clearInterval(timer);
      await running;
    },
  };
}
