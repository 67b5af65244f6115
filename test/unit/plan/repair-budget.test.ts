import { expect, test } from 'vitest';
import { createRepairBudget } from '../../../src/plan/repair-budget.ts';

test('fills with time up to the burst, may be overdrawn once and then waits', () => {
  const budget = createRepairBudget({ bytesPerSecond: 100, burstSeconds: 10 });
  expect(budget.available(0)).toBe(1000);
  budget.spend(1500, 0);
  expect(budget.available(0)).toBe(0);
  expect(budget.available(5000)).toBe(0);
  expect(budget.available(6000)).toBe(100);
  expect(budget.available(600_000)).toBe(1000);
});

test('a clock that stands still or a caller that is late gains nothing', () => {
  const budget = createRepairBudget({ bytesPerSecond: 100, burstSeconds: 1 });
  budget.spend(100, 1000);
  expect(budget.available(500)).toBe(0);
  expect(budget.available(500)).toBe(0);
});
