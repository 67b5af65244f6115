/**
 * A real process, real files, kill -9 while it writes: the next start holds everything that was
 * said to be done, the catalog catches up from the log, and nothing has to be mended by hand.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { withFolder } from '../unit/store/log-fixture.ts';

interface Life {
  readonly opened: readonly number[];
  readonly done: readonly number[];
}

/** Runs the child until it has done `rounds` rounds, kills it in the midst of the next. */
function live(dir: string, rounds: number): Promise<Life> {
  const script = fileURLToPath(new URL('./store-child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, dir], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, errors] = ['', ''];
  return new Promise((resolve, reject) => {
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      if (out.split('\n').length > rounds + 1) child.kill('SIGKILL');
    });
    child.on('error', reject);
    child.on('close', () => {
      const lines = out.split('\n').slice(0, -1);
      const numbers = (line: string | undefined) => line?.split(' ').slice(1).map(Number) ?? [];
      const [first] = lines;
      if (first?.startsWith('opened') !== true) reject(new Error(errors || 'it never opened'));
      else resolve({ opened: numbers(first), done: numbers(lines.at(-1)) });
    });
  });
}

test('kill -9 in the midst of writing, again and again', { timeout: 120_000 }, () =>
  withFolder(async (dir) => {
    let [index, term] = [0, 0];
    for (let round = 0; round < 5; round++) {
      const { opened, done } = await live(dir, 4 + round * 9);
      expect(opened[0]).toBeGreaterThanOrEqual(index);
      expect(opened[1]).toBeGreaterThanOrEqual(term);
      // At most the one batch that was under way is more than what was said to be done.
      expect(opened[0]).toBeLessThanOrEqual(index + 40);
      [index = 0, term = 0] = done;
    }
  }),
);
