/**
 * Directed scenarios: short stories for what chance meets too rarely. Every run of seeds begins
 * with all of them.
 */
import { asSimFailure, type SimFailure } from './failure.ts';

export interface Scenario {
  readonly name: string;
  run(): void;
}

export interface ScenarioResult {
  readonly name: string;
  readonly failure: SimFailure | null;
}

export const scenarios: readonly Scenario[] = [];

export function runScenarios(): ScenarioResult[] {
  return scenarios.map(({ name, run }) => {
    try {
      run();
      return { name, failure: null };
    } catch (thrown) {
      return { name, failure: asSimFailure(thrown, 0) };
    }
  });
}
