/**
 * What the records of the log add up to: entries after a base, each chained to the one before.
 * Cuts and installed snapshots are replayed in their order. A record that passed its checksum but
 * doesn't follow from those before it is damage, named by file and offset.
 */
import { join } from 'node:path';
import type { EpochId, LogIndex } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { SnapshotMeta } from '../consensus/api.ts';
import { chained, type Entry } from '../wire/entry.ts';
import type { LogRecord } from './record.ts';

export interface Replay {
  /** `where` names file and offset for the error text. */
  apply(record: LogRecord, where: string): void;
  lastIndex(): LogIndex;
  /** Null when it is not known: after a cut to below what is still stored. */
  lastHash(): string | null;
  /** Meta of the last snapshot that was installed by a record, if any. */
  installed(): SnapshotMeta | null;
  /** The entries after `start` (index and hash), checked against it. */
  entriesAfter(start: SnapshotMeta | null, dir: string): Entry[];
}

export function createReplay(
  epoch: EpochId,
  from: { readonly index: LogIndex; readonly hash: string | null },
): Replay {
  let base: { index: LogIndex; hash: string | null } = from;
  let entries: Entry[] = [];
  let installed: SnapshotMeta | null = null;

  const lastIndex = () => base.index + entries.length;
  const lastHash = () => entries.at(-1)?.hash ?? base.hash;

  const append = (entry: Entry, where: string) => {
    const previous = lastHash();
    const lastTerm = entries.at(-1)?.term ?? 0;
    const wrong =
      entry.index !== lastIndex() + 1
        ? `entry ${entry.index} does not follow entry ${lastIndex()}`
        : entry.term < lastTerm
          ? `entry ${entry.index} has term ${entry.term} after term ${lastTerm}`
          : previous !== null && !chained(entry, previous, epoch)
            ? `the chain hash of entry ${entry.index} is wrong`
            : null;
    if (wrong !== null) throw new AgentError('damaged', `${where}: ${wrong}`);
    entries.push(entry);
  };

  const cut = (backTo: LogIndex, where: string) => {
    if (backTo > lastIndex())
      throw new AgentError('damaged', `${where}: cut back to ${backTo} of ${lastIndex()} entries`);
    if (backTo >= base.index) entries.length = backTo - base.index;
    else [base, entries] = [{ index: backTo, hash: null }, []];
  };

  return {
    apply: (record, where) => {
      if (record.type === 'entry') append(record.entry, where);
      else if (record.type === 'cut') cut(record.backTo, where);
      else {
        installed = record.meta;
        [base, entries] = [{ index: record.meta.index, hash: record.meta.hash }, []];
      }
    },
    lastIndex,
    lastHash,
    installed: () => installed,
    entriesAfter: (start, dir) => {
      const at = start?.index ?? 0;
      if (base.index > at || lastIndex() < at)
        throw new AgentError(
          'damaged',
          `the log in ${dir} holds entries ${base.index + 1} to ${lastIndex()}, but its recorded ` +
            `start is ${at}: ${join(dir, 'start.a')} or segments are missing`,
        );
      const hash = at === base.index ? base.hash : entries[at - base.index - 1]?.hash;
      if (start !== null && hash !== null && hash !== start.hash)
        throw new AgentError('damaged', `${dir}: entry ${at} is not the one its start was made of`);
      return entries.slice(at - base.index);
    },
  };
}
