/**
 * One line on the terminal that tells how far long work is; silent where nobody watches. It draws
 * at most ten times a second and leaves the line empty when it ends.
 */
import type { Io } from './io.ts';
import { clean, sizeOf } from './table.ts';

const drawEveryMs = 100;
const barCharacters = 24;

export interface Progress {
  add(bytes: number): void;
  end(): void;
}

export function createProgress(io: Io, name: string, bytesTotal: number | null): Progress {
  if (!io.watched) return { add: () => undefined, end: () => undefined };
  const startedMs = performance.now();
  let bytes = 0;
  let drawnMs = 0;
  return {
    add(more) {
      bytes += more;
      const nowMs = performance.now();
      if (nowMs - drawnMs < drawEveryMs) return;
      drawnMs = nowMs;
      const share = bytesTotal ? Math.min(1, bytes / bytesTotal) : 0;
      const full = Math.round(share * barCharacters);
      const bar = bytesTotal ? `[${'#'.repeat(full)}${'.'.repeat(barCharacters - full)}] ` : '';
      const rate = sizeOf(Math.round((bytes * 1000) / Math.max(1, nowMs - startedMs)));
      io.err(`\r\x1b[K${clean(name)} ${bar}${sizeOf(bytes)} ${rate}/s`);
    },
    end: () => io.err('\r\x1b[K'),
  };
}
