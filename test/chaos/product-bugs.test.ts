/** The bugs that are planted into the agent still fit its sources, and their faults exist. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { plant } from '../../src/sim/bugs.ts';
import { faults } from './faults.ts';
import { productBugs } from './product-bugs.ts';

const source = (file: string): string =>
  readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8');

test.each(productBugs.map((bug) => [bug.name, bug] as const))('%s applies', (_, bug) => {
  const files = new Set(bug.edits.map(({ file }) => file));
  for (const file of files) expect(plant(bug, file, source(file))).not.toBe(source(file));
  expect(faults.map(({ name }) => name)).toEqual(expect.arrayContaining([...bug.faults]));
});
