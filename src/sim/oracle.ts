/**
 * A second, dumb implementation of what the catalog promises its clients: sessions that run every
 * sequence once, registers with compare-and-set, drains, and a pause under which nothing automatic
 * is applied. It is fed each committed entry once, in order, and says what the answer must have
 * been; where it has no opinion (pins), the first answer given by any node is the one that all must
 * give.
 */
import type { LogIndex, Ms, PeerId } from '../base/brand.ts';
import type { AppliedResult } from '../catalog/api.ts';
import { type Command, type CommandResult, decodeEnvelope, decodeResult } from '../wire/command.ts';
import { decodeConfiguration } from '../wire/configuration.ts';
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
  /** Who is drained, and whether there is a pause, be it over: clocks disagree about that. */
  maintenance(): { readonly drained: readonly PeerId[]; readonly paused: boolean };
  /** Times that a (session, seq) took effect; 1 unless something is badly wrong. */
  commands(): number;
}

export const keyOf = (type: string, key: string): string => `${type}/${key}`;

export function createOracle(): Oracle {
  const sessions = new Map<string, Map<number, Uint8Array>>();
  const rows = new Map<string, Written[]>();
  let members = new Set<PeerId>();
  const drained = new Set<PeerId>();
  /** When the pause ends; null: nothing is paused. */
  let pausedUntilMs: Ms | null = null;
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
    const { session, seq, command, atMs } = decodeEnvelope(entry.data);
    if (command.type === 'session.open') {
      if (!sessions.has(session)) sessions.set(session, new Map());
      return { ok: true, index, version: null };
    }
    const known = sessions.get(session);
    if (known === undefined) return { ok: false, index, version: null };
    const before = known.get(seq);
    if (before !== undefined) return before;
    commands += 1;
    if (command.type !== 'index.put') return maintain(entry, command, atMs);
    const key = keyOf(command.index, command.key);
    const version = current(key);
    const ok = command.expectedVersion === null || command.expectedVersion === version;
    if (ok) write(key, { index, version: index });
    return { ok, index, version: ok ? index : null };
  }

  function maintain({ index }: Entry, command: Command, atMs: Ms): Answer | null {
    const yes = { ok: true, index, version: index };
    const cleared = { ok: true, index, version: null };
    const no = { ok: false, index, version: null };
    const paused = pausedUntilMs !== null && atMs < pausedUntilMs;
    switch (command.type) {
      case 'allocation.set':
        return paused ? no : null;
      case 'pin.rm':
        return paused && command.automatic ? no : null;
      case 'drain.set':
        if (!members.has(command.peer)) return no;
        drained.add(command.peer);
        return yes;
      case 'drain.clear':
        return drained.delete(command.peer) ? cleared : no;
      case 'pause.set': {
        const untilMs = command.expiresAtMs ?? Number.POSITIVE_INFINITY;
        if (atMs >= untilMs) return no;
        pausedUntilMs = untilMs;
        return yes;
      }
      case 'pause.clear': {
        const was = pausedUntilMs;
        pausedUntilMs = null;
        return was === null ? no : cleared;
      }
      default:
        return null;
    }
  }

  function configure(entry: Entry): void {
    members = new Set(decodeConfiguration(entry.data).members.map(({ peerId }) => peerId));
    for (const peer of drained) if (!members.has(peer)) drained.delete(peer);
  }

  function take(entry: Entry, answered: AppliedResult): string | null {
    if (entry.kind === 'config') configure(entry);
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
    const given: CommandResult = decodeResult(answered.result);
    if (expected === null) {
      if (given.ok || !given.detail.startsWith('automatic actions are paused')) return null;
      return `entry ${entry.index} was refused by a pause that is not in force`;
    }
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
    maintenance: () => ({
      drained: [...drained],
      paused: pausedUntilMs !== null,
    }),
    commands: () => commands,
  };
}
