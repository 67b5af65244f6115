/**
 * Why something about a daemon failed. An adapter names the cause where it knows it; for the rest
 * the texts that every program takes from the system decide.
 */
import { AgentError } from '../base/error.ts';
import type { Cause } from '../supervise/api.ts';
import type { Exit } from './api.ts';

/** A failure whose cause the thrower knows. */
export class CauseError extends Error {
  override readonly name = 'CauseError';
  readonly why: Cause;
  constructor(why: Cause, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.why = why;
  }
}

/** What the system's own error texts mean, in any program's log; the last match in it counts. */
const systemTexts: readonly (readonly [RegExp, Cause])[] = [
  [/address already in use|EADDRINUSE/i, 'port-in-use'],
  [/no space left on device|ENOSPC|disk quota exceeded/i, 'disk-full'],
  [/too many open files|EMFILE|ENFILE/i, 'file-limit'],
  [/out of memory|cannot allocate memory|ENOMEM/i, 'out-of-memory'],
];

export function causeInText(text: string): Cause | null {
  const lines = text.split('\n').reverse();
  for (const line of lines)
    for (const [pattern, cause] of systemTexts) if (pattern.test(line)) return cause;
  return null;
}

/** The cause behind an exit that the adapter has no name for. */
export function causeOfExit({ signal, logTail }: Exit, oomKilled: boolean): Cause {
  if (signal === 'SIGKILL') return oomKilled ? 'out-of-memory' : 'killed';
  if (signal !== null && signal !== 'SIGABRT') return 'killed';
  return causeInText(logTail) ?? 'exited';
}

/** Cause and text of whatever was thrown while a daemon was prepared or started. */
export function failureOf(thrown: unknown): { cause: Cause; detail: string } {
  if (thrown instanceof CauseError) return { cause: thrown.why, detail: thrown.message };
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  if (thrown instanceof AgentError && thrown.code === 'disk-full')
    return { cause: 'disk-full', detail };
  return { cause: causeInText(detail) ?? 'failed', detail };
}

/** Is it the line by which a program in Go says why it crashes? */
export const isCrash = (line: string): boolean => /^(fatal error|panic): /.test(line);

const stackFrame = /^\s+\S+\.(go|s):\d+/;
const logLine = /^\d{4}[-/]\d\d[-/]\d\d[T ]/;
const wordsMax = 3;

/**
 * What a program said last that tells a person something: no stack frames of Go, and of an error
 * with its causes, printed one below the other, all of them, the outermost first.
 */
export function lastWords(lines: readonly string[]): string | null {
  const told = lines.filter((line, i) => {
    const isFrame = stackFrame.test(line) || stackFrame.test(lines[i + 1] ?? '');
    return line.trim() !== '' && !isFrame;
  });
  const last = told.at(-1);
  if (last === undefined || !lines.some((line) => stackFrame.test(line))) return last ?? null;
  const words: string[] = [];
  for (const line of [...told].reverse()) {
    if (logLine.test(line) || words.length === wordsMax) break;
    words.push(line);
  }
  return words.length === 0 ? last : words.join(': ');
}
