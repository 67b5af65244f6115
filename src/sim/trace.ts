/**
 * The course of a run: a running hash of everything that happened (two runs of a seed must agree
 * on it) and, when asked for, the last lines of a readable trace for whoever repeats a failure.
 */
import type { Ms } from '../base/brand.ts';

/** Lines kept for a failure report. */
const linesMax = 100_000;

export interface Trace {
  /** Mixes numbers into the hash. */
  mix(a: number, b: number, c: number): void;
  mixBytes(bytes: Uint8Array): void;
  /** Adds a line; the text is only built when the trace is kept. */
  line(atMs: Ms, text: () => string): void;
  hash(): string;
  lines(): readonly string[];
}

export function createTrace(keep: boolean): Trace {
  let high = 0x811c9dc5;
  let low = 0x9747b28c;
  const lines: string[] = [];

  const mixWord = (word: number): void => {
    high = Math.imul(high ^ (word & 0xffff), 0x01000193) >>> 0;
    low = (Math.imul(low ^ word, 0x85ebca6b) + (high >>> 13)) >>> 0;
  };

  return {
    mix: (a, b, c) => {
      mixWord(Math.floor(a * 1000) | 0);
      mixWord(b | 0);
      mixWord(c | 0);
    },
    mixBytes: (bytes) => {
      mixWord(bytes.length);
      const stride = Math.max(1, bytes.length >> 5);
      for (let i = 0; i < bytes.length; i += stride) mixWord(bytes[i] as number);
    },
    line: (atMs, text) => {
      if (!keep) return;
      if (lines.length >= linesMax) lines.splice(0, linesMax / 2);
      lines.push(`${atMs.toFixed(3).padStart(11)} ${text()}`);
    },
    hash: () => high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0'),
    lines: () => lines,
  };
}
