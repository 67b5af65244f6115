/**
 * The key of a kubo's private network, in its repo. The agent writes the flock's key there, takes
 * it away again when that is no longer wanted, and touches no other key.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CauseError } from '../cause.ts';
import { writeWhole } from '../process.ts';

/** `flock`: text of the flock's key file; `wanted`: this kubo shall be private. */
export function setSwarmKey(folder: string, flock: string, wanted: boolean): void {
  const file = join(folder, 'swarm.key');
  const there = existsSync(file) ? readFileSync(file, 'utf8') : null;
  const ours = there?.trim() === flock.trim();
  if (!wanted) {
    if (ours) rmSync(file);
    return;
  }
  if (there !== null && !ours)
    throw new CauseError(
      'bad-config',
      `${file} holds another key than the flock's; take it away, or set privateNetwork to false`,
    );
  if (there === null) writeWhole(file, flock);
}
