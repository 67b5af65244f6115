/** What one command sees while it is applied, and the ways it can end. */
import type { LogIndex } from '../base/brand.ts';
import type { ErrorCode } from '../base/error.ts';
import type { CommandResult } from '../wire/command.ts';
import type { CatalogLimits } from './limits.ts';
import type { Tables } from './tables.ts';

export interface ApplyContext {
  readonly tables: Tables;
  readonly limits: CatalogLimits;
  readonly index: LogIndex;
  /** Wall time that the entry carries. */
  readonly atMs: number;
}

export function done(context: ApplyContext, version: number | null, value: unknown = null) {
  return { ok: true, index: context.index, version, value } as const satisfies CommandResult;
}

export function refused(context: ApplyContext, code: ErrorCode, detail: string): CommandResult {
  return { ok: false, index: context.index, code, detail };
}

/** The outcome of a failed compare-and-set: names the version that is there (0: none). */
export function conflict(context: ApplyContext, what: string, version: number): CommandResult {
  const detail = version === 0 ? `${what} does not exist` : `${what} is at version ${version}`;
  return { ok: false, index: context.index, code: 'conflict', detail, version };
}

/** Whether a row at `version` (0: absent) is what the command expects; null expects anything. */
export const expected = (expectedVersion: number | null, version: number): boolean =>
  expectedVersion === null || expectedVersion === version;
