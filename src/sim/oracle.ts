/**
 * A second, dumb implementation of what the catalog promises its clients: sessions that run every
 * sequence once, and registers with compare-and-set. It is fed each committed entry once, in order,
 * and says what the answer must have been; where it has no opinion (pins), the first answer given
 * by any node is the one that all must give.
 */
import type { LogIndex } from '../base/brand.ts';
import type { AppliedResult } from '../catalog/api.ts';
import { type CommandResult, decodeEnvelope, decodeResult } from '../wire/command.ts';
import type { Entry } from '../wire/entry.ts';

interface Answer {
  readonly ok: boolean;
  readonly index: LogIndex;
  readonly version: number | null;
}

interface Written {
  readonly index: LogIndex;
  readonly version: number;
}

export interface Oracle {
  /** Takes the next committed entry and the first answer to it; the complaint, or null. */
  take(entry: Entry, answered: AppliedResult): string | null;
  /** Version of a row after entry `index` was applied; 0 when there was none. */
  versionAt(key: string, index: LogIndex): number;
  /** Every key that was ever written. */
  keys(): Iterable<string>;
  /** Times that a (session, seq) took effect; 1 unless something is badly wrong. */
  commands(): number;
}

export const keyOf = (type: string, key: string): string => `${type}/${key}`;

export function createOracle(): Oracle {
  const sessions = new Map<string, Map<number, Uint8Array>>();
  const rows = new Map<string, Written[]>();
  let commands = 0;

  const current = (key: string): number => rows.get(key)?.at(-1)?.version ?? 0;
  const write = (key: string, written: Written): void => {
    const history = rows.get(key);
    if (history === undefined) rows.set(key, [written]);
    else history.push(written);
  };

  /** The answer that the command must have, or null without an opinion. */
  function run(entry: Entry): Answer | Uint8Array | null {
    const { index } = entry;
    const { session, seq, command } = decodeEnvelope(entry.data);
    if (command.type === 'session.open') {
      if (!sessions.has(session)) sessions.set(session, new Map());
      return { ok: true, index, version: null };
    }
    const known = sessions.get(session);
    if (known === undefined) return { ok: false, index, version: null };
    const before = known.get(seq);
    if (before !== undefined) return before;
    commands += 1;
    if (command.type !== 'index.put') return null;
    const key = keyOf(command.index, command.key);
    const version = current(key);
    const ok = command.expectedVersion === null || command.expectedVersion === version;
    if (ok) write(key, { index, version: index });
    return { ok, index, version: ok ? index : null };
  }

  function take(entry: Entry, answered: AppliedResult): string | null {
    if (entry.kind !== 'command')
      return answered.result.length === 0
        ? null
        : `entry ${entry.index} is ${entry.kind}, answered`;
    const expected = run(entry);
    const { session, seq } = decodeEnvelope(entry.data);
    if (expected instanceof Uint8Array)
      return Buffer.compare(expected, answered.result) === 0
        ? null
        : `entry ${entry.index} repeats ${session}/${seq}, and was not answered as the first time`;
    if (seq > 0) sessions.get(session)?.set(seq, answered.result);
    if (expected === null) return null;
    const given: CommandResult = decodeResult(answered.result);
    const version = given.ok ? given.version : null;
    const same =
      given.ok === expected.ok && given.index === expected.index && version === expected.version;
    if (same) return null;
    const wanted = JSON.stringify(expected);
    return `entry ${entry.index} answered ${JSON.stringify(given)}, not ${wanted}`;
  }

  return {
    take,
    versionAt: (key, index) =>
      rows.get(key)?.findLast((written) => written.index <= index)?.version ?? 0,
    keys: () => rows.keys(),
    commands: () => commands,
  };
}
