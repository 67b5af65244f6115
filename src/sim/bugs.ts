/**
 * Planted bugs: small changes of the source that break one rule each. They are applied while the
 * simulator is bundled and never exist in the product. Each must be caught within 500 seeds or by
 * a directed scenario; that is how we know that the simulator sees. Every `find` must be there
 * exactly once, so that a change of the source which makes a bug meaningless is noticed.
 */
import { atomicityBugs } from './bugs-durability.ts';
import { leadershipBugs } from './bugs-leadership.ts';
import { operationBugs } from './bugs-operations.ts';

export interface Edit {
  /** Below `src/`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface PlantedBug {
  readonly name: string;
  /** The rule that it breaks. */
  readonly what: string;
  readonly edits: readonly Edit[];
  /** Scenario that catches it where chance is too rare. */
  readonly directed?: string;
}

export const plantedBugs: readonly PlantedBug[] = [
  ...leadershipBugs,
  ...atomicityBugs,
  ...operationBugs,
];

/** `text` with the edits of `bug` for `file`; throws when one does not match exactly once. */
export function plant(bug: PlantedBug, file: string, text: string): string {
  let changed = text;
  for (const edit of bug.edits) {
    if (edit.file !== file) continue;
    const matches = changed.split(edit.find).length - 1;
    if (matches !== 1)
      throw new Error(
        `planted bug ${bug.name}: ${matches} places in src/${file} match, not one:\n${edit.find}`,
      );
    changed = changed.replace(edit.find, () => edit.replace);
  }
  return changed;
}
