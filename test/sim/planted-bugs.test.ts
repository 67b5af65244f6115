/** The planted bugs still fit the sources they break. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { plant, plantedBugs } from '../../src/sim/bugs.ts';
import { scenarios } from '../../src/sim/scenarios.ts';

const source = (file: string): string =>
  readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8');

describe('planted bugs', () => {
  test.each(plantedBugs.map((bug) => [bug.name, bug] as const))('%s applies', (_, bug) => {
    const files = new Set(bug.edits.map((edit) => edit.file));
    for (const file of files) expect(plant(bug, file, source(file))).not.toBe(source(file));
  });

  test('every bug has its own name, and those that chance misses have a scenario', () => {
    const names = plantedBugs.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThanOrEqual(16);
    const told = new Set(scenarios.map(({ name }) => name));
    for (const { directed } of plantedBugs)
      if (directed !== undefined) expect(told).toContain(directed);
  });

  test('a change of the source that makes a bug meaningless is noticed', () => {
    const bug = { name: 'x', what: '', edits: [{ file: 'a.ts', find: 'one', replace: 'two' }] };
    expect(plant(bug, 'a.ts', 'only one here')).toBe('only two here');
    expect(() => plant(bug, 'a.ts', 'nothing here')).toThrow(/0 places/);
    expect(() => plant(bug, 'a.ts', 'one and one')).toThrow(/2 places/);
    expect(plant(bug, 'b.ts', 'only one here')).toBe('only one here');
  });
});
