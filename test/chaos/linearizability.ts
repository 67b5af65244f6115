/**
 * Is there one order of all operations on a key, each at an instant between its question and its
 * answer, in which every answer is right? A depth-first search after Wing and Gong with Lowe's
 * memory of configurations already tried. Pure: a history goes in, a verdict comes out.
 *
 * The state of a register is the write that made it (values are unique). A write without an answer
 * counts if some answer names its value, and then happened before that answer came; one that
 * nobody ever saw explains nothing and is left out, unless an answer names a version that belongs
 * to no known value: such a version is taken for one of those writes.
 */
import type { Invocation } from './history.ts';

export type Verdict =
  | { readonly type: 'linearizable'; readonly operations: number; readonly steps: number }
  | { readonly type: 'violation'; readonly key: string; readonly detail: string }
  /** More configurations than allowed; neither proven nor refuted. */
  | { readonly type: 'undecided'; readonly key: string; readonly steps: number };

/** An operation as it is searched: what it needs to find and what it leaves. */
interface Step {
  readonly startMs: number;
  readonly endMs: number;
  /** Version that must stand; null: one below what it makes. */
  readonly needs: number | null;
  /** Version that it makes; null: it changes nothing. */
  readonly makes: number | null;
  /** A version that must not stand. */
  readonly not: number | null;
  readonly shown: string;
}

const stepsMaxDefault = 2_000_000;

class Broken extends Error {}

function show({ client, operation, startMs, endMs, answer }: Invocation): string {
  const end = endMs === Infinity ? '?' : endMs.toFixed(1);
  const told = answer === null ? 'unknown' : JSON.stringify(answer);
  return `${client} [${startMs.toFixed(1)}..${end}] ${JSON.stringify(operation)} -> ${told}`;
}

/** What the answers say of a key: the version of each value, and when a version was first named. */
interface Named {
  readonly versions: ReadonlyMap<string, number>;
  readonly firstEndMs: ReadonlyMap<number, number>;
}

function collectNames(invocations: readonly Invocation[]): Named {
  const versions = new Map<string, number>();
  const firstEndMs = new Map<number, number>();
  const mention = (version: number, { endMs }: Invocation): void => {
    if (version > 0) firstEndMs.set(version, Math.min(endMs, firstEndMs.get(version) ?? Infinity));
  };
  const learn = (value: string, version: number, from: Invocation): void => {
    const known = versions.get(value);
    // The same write at two versions: it was done twice.
    if (known !== undefined && known !== version)
      throw new Broken(`value ${value} has version ${known} and, by ${show(from)}, another`);
    versions.set(value, version);
    mention(version, from);
  };
  for (const each of invocations) {
    const { operation, answer } = each;
    if (answer?.type === 'found') learn(answer.value, answer.version, each);
    if (answer?.type === 'conflict') mention(answer.version, each);
    if (answer?.type !== 'done' || operation.type === 'read') continue;
    learn(operation.value, answer.version, each);
    if (operation.type === 'cas') mention(operation.expected, each);
  }
  // A compare-and-set without an answer, whose value was seen, found what it expected.
  const open = invocations.flatMap((each) => {
    if (each.answer !== null || each.operation.type !== 'cas') return [];
    const version = versions.get(each.operation.value);
    return version === undefined ? [] : [{ each, version, expected: each.operation.expected }];
  });
  for (const { each, version, expected } of open.sort((a, b) => b.version - a.version))
    mention(expected, { ...each, endMs: firstEndMs.get(version) ?? Infinity });
  return { versions, firstEndMs };
}

function stepOf(each: Invocation, { versions, firstEndMs }: Named): Step | null {
  const { operation, answer, startMs } = each;
  const base = { startMs, endMs: each.endMs, needs: null, makes: null, not: null };
  const shown = show(each);
  if (answer?.type === 'nothing') return { ...base, needs: 0, shown };
  if (answer?.type === 'found') return { ...base, needs: answer.version, shown };
  if (operation.type === 'read') return null;
  if (answer?.type === 'conflict') {
    const not = operation.type === 'cas' ? operation.expected : null;
    return { ...base, needs: answer.version, not, shown };
  }
  const makes = versions.get(operation.value);
  if (makes === undefined) return null;
  const endMs = answer === null ? (firstEndMs.get(makes) ?? Infinity) : each.endMs;
  return {
    ...base,
    endMs,
    makes,
    needs: operation.type === 'cas' ? operation.expected : null,
    shown,
  };
}

/** Versions that belong to no known value, each made by one of the writes that nobody saw. */
function ghosts(invocations: readonly Invocation[], named: Named): Step[] {
  const known = new Set(named.versions.values());
  const unseen = invocations
    .filter(
      ({ operation, answer }) =>
        answer === null && operation.type !== 'read' && !named.versions.has(operation.value),
    )
    .map(({ startMs }) => startMs)
    .sort((a, b) => a - b);
  const orphans = [...named.firstEndMs].filter(([version]) => !known.has(version));
  if (orphans.length > unseen.length)
    throw new Broken(`version ${orphans.at(-1)?.[0]} belongs to no write`);
  return orphans.map(([makes, endMs]) => ({
    startMs: unseen[0] ?? 0,
    endMs,
    needs: null,
    makes,
    not: null,
    shown: `a write without an answer, version ${makes}`,
  }));
}

function stepsOf(invocations: readonly Invocation[]): Step[] {
  const named = collectNames(invocations);
  const written = new Set(
    invocations.map(({ operation }) => (operation.type === 'read' ? null : operation.value)),
  );
  for (const value of named.versions.keys())
    if (!written.has(value)) throw new Broken(`nobody wrote ${value}, which was read`);
  const steps = invocations.map((each) => stepOf(each, named));
  return [...steps.filter((step) => step !== null), ...ghosts(invocations, named)].sort(
    (a, b) => a.startMs - b.startMs,
  );
}

/** Steps done so far: all below `low`, and those in `above`; the version that stands. */
interface Place {
  readonly low: number;
  readonly above: readonly number[];
  readonly version: number;
}

/** The version after the step; null: its answer is wrong here. */
function after({ needs, makes, not }: Step, version: number): number | null {
  if ((needs !== null && needs !== version) || not === version) return null;
  if (makes === null) return version;
  return makes > version ? makes : null;
}

function withDone(place: Place, i: number, version: number): Place {
  if (i !== place.low) {
    const above = [...place.above, i].sort((a, b) => a - b);
    return { low: place.low, above, version };
  }
  let low = i + 1;
  let skip = 0;
  while (place.above[skip] === low) {
    low += 1;
    skip += 1;
  }
  return { low, above: place.above.slice(skip), version };
}

/** What may come next: steps not done that began before the first of those has ended. */
function candidates(steps: readonly Step[], { low, above }: Place): number[] {
  const found: number[] = [];
  let firstEndMs = Infinity;
  for (let i = low; i < steps.length; i++) {
    if (above.includes(i)) continue;
    const { startMs, endMs } = steps[i] as Step;
    if (startMs > firstEndMs) break;
    firstEndMs = Math.min(firstEndMs, endMs);
    found.push(i);
  }
  return found.filter((i) => (steps[i] as Step).startMs <= firstEndMs);
}

/**
 * Where to go from here. What fits and changes nothing may be placed at once: nothing is lost. And
 * versions only grow, so a write that leaves a lower one behind leads nowhere.
 */
function choices(steps: readonly Step[], place: Place): { i: number; version: number }[] {
  const open = candidates(steps, place);
  const lowest = Math.min(...open.map((i) => steps[i]?.makes ?? Infinity));
  const fitting = open.flatMap((i) => {
    const version = after(steps[i] as Step, place.version);
    return version === null || version > lowest ? [] : [{ i, version }];
  });
  const idle = fitting.find(({ version }) => version === place.version);
  return idle === undefined ? fitting : [idle];
}

function search(key: string, steps: readonly Step[], stepsMax: number): Verdict {
  const start: Place = { low: 0, above: [], version: 0 };
  const seen = new Set<string>();
  const stack: Place[] = [start];
  let deepest = start;
  for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
    if (place.low === steps.length)
      return { type: 'linearizable', operations: steps.length, steps: seen.size };
    if (place.low > deepest.low) deepest = place;
    for (const { i, version } of choices(steps, place).reverse()) {
      const next = withDone(place, i, version);
      const name = `${next.low}:${next.above.join(',')}:${next.version}`;
      if (seen.has(name)) continue;
      seen.add(name);
      if (seen.size > stepsMax) return { type: 'undecided', key, steps: seen.size };
      stack.push(next);
    }
  }
  const stuck = candidates(steps, deepest).map((i) => steps[i]?.shown);
  const detail = `after ${deepest.low} operations version ${deepest.version} stood, and no order of these goes on: ${stuck.slice(0, 8).join('; ')}`;
  return { type: 'violation', key, detail };
}

/** One verdict for all keys: the first violation, else the first undecided, else linearizable. */
export function judgeHistory(
  invocations: readonly Invocation[],
  stepsMax: number = stepsMaxDefault,
): Verdict {
  let [operations, steps] = [0, 0];
  let undecided: Verdict | null = null;
  for (const [key, ofKey] of Map.groupBy(invocations, (each) => each.key)) {
    try {
      const verdict = search(key, stepsOf(ofKey), stepsMax);
      if (verdict.type === 'violation') return verdict;
      if (verdict.type === 'undecided') undecided ??= verdict;
      else {
        operations += verdict.operations;
        steps += verdict.steps;
      }
    } catch (thrown) {
      if (!(thrown instanceof Broken)) throw thrown;
      return { type: 'violation', key, detail: thrown.message };
    }
  }
  return undecided ?? { type: 'linearizable', operations, steps };
}
