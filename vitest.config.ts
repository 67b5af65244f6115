import { defineConfig } from 'vitest/config';

// `fast` is what one runs all day; `e2e` starts real agent processes, one file at a time, because
// elections under test must not compete for the machine with each other. `daemons` needs the real
// kubo and ipfs-cluster (scripts/install-daemons), so `npm test` leaves it out. Time limits end what
// hangs; they leave room for a machine that is many times slower.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**', 'test/daemons/**', 'test/filecoin/**'],
          testTimeout: 180_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          // After the fast ones, not beside them.
          sequence: { groupOrder: 1 },
          testTimeout: 300_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'filecoin',
          include: ['test/filecoin/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'daemons',
          include: ['test/daemons/**/*.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
