/** The directed scenarios of the simulator. */
import { expect, test } from 'vitest';
import { runScenarios, scenarios } from '../../src/sim/scenarios.ts';

test('every directed scenario passes', { timeout: 60_000 }, () => {
  const results = runScenarios();
  expect(results.filter(({ failure }) => failure !== null)).toEqual([]);
  expect(results).toHaveLength(scenarios.length);
});
