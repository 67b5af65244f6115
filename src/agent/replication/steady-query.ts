/**
 * Catalog queries of the periodic rounds. A catalog that hasn't moved gives the same answer again,
 * so in a quiet cluster nothing is asked twice and the reader threads, some 20 MB each, may end.
 * Only short answers are kept: memory stays bounded however large the catalog is.
 */
import type { LogIndex } from '../../base/brand.ts';
import type { CatalogStore } from '../../store/api.ts';

const answersMax = 16;
const rowsMax = 256;

interface Kept {
  readonly value: unknown;
  readonly appliedIndex: LogIndex;
}

function isShort(value: unknown): boolean {
  const parts = Object.values(value ?? {});
  return parts.every((part) => !Array.isArray(part) || part.length <= rowsMax);
}

/** Answers must be left as they are: the next one to ask may be given the same. */
export function createSteadyQuery(
  catalog: Pick<CatalogStore, 'appliedIndex' | 'query'>,
): (name: string, args: unknown) => Promise<unknown> {
  const kept = new Map<string, Kept>();
  return async (name, args) => {
    const key = `${name} ${JSON.stringify(args)}`;
    const known = kept.get(key);
    if (known?.appliedIndex === catalog.appliedIndex()) return known.value;
    kept.delete(key);
    const answer = await catalog.query(name, args);
    if (isShort(answer.value)) kept.set(key, answer);
    const [oldest] = kept.keys();
    if (kept.size > answersMax && oldest !== undefined) kept.delete(oldest);
    return answer.value;
  };
}
