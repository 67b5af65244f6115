/**
 * Why this node can't do a leader's duty now although its store can still be written: the disk is
 * nearly full, or its content engine is gone. A word, or null; the step machine decides what
 * follows. One look that shows trouble is enough, since a lead is only given up when it lasts.
 */
import { statfs } from 'node:fs/promises';

/** Below this, the next snapshot or segment may not fit. */
export const diskFreeBytesMin = 64 * 1024 * 1024;

export interface TroubleDeps {
  readonly folder: string;
  /** Bytes that may still be written to the folder; for tests. */
  readonly freeBytes?: (folder: string) => Promise<number>;
  readonly contentGone: () => boolean;
}

async function freeBytesOf(folder: string): Promise<number> {
  const disk = await statfs(folder);
  return disk.bavail * disk.bsize;
}

export function createTrouble(deps: TroubleDeps): () => Promise<string | null> {
  const freeBytes = deps.freeBytes ?? freeBytesOf;
  return async () => {
    if ((await freeBytes(deps.folder)) < diskFreeBytesMin) return 'disk-full';
    return deps.contentGone() ? 'content-gone' : null;
  };
}
