/**
 * Lock files and API files that a killed daemon leaves in its folder. They go only when nobody has
 * the lock open any more; while somebody has, that process is named and left alone.
 */
import { existsSync, realpathSync, rmSync } from 'node:fs';
import { CauseError } from './cause.ts';
import { openersOf } from './proc.ts';

/** `lock` is what a living owner keeps open; `others` have no meaning without it. */
export async function removeStale(lock: string, others: readonly string[]): Promise<void> {
  if (existsSync(lock)) {
    const [owner] = await openersOf(realpathSync(lock));
    if (owner !== undefined)
      throw new CauseError(
        'repo-locked',
        `${lock} is held by pid ${owner.pid} (${owner.argv.join(' ').slice(0, 200)})`,
      );
  }
  for (const path of [lock, ...others]) rmSync(path, { force: true });
}
