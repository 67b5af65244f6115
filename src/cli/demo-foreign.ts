/**
 * Somebody else's ipfs-cluster-service on this machine, untouched: made by its own `init`, with its
 * pinning API on the port where a follower usually answers. The demo starts it and ends it.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findBinary } from '../daemons/binaries.ts';
import { asked, until } from './demo-watch.ts';
import { ExitError } from './exit-code.ts';

/** Of its pinning API, as its own configuration says. */
export const foreignPort = 9097;
const startMsMax = 60_000;

export interface Foreign {
  alive(): boolean;
  end(): Promise<void>;
}

async function pinningAnswers(): Promise<true | null> {
  const answer = await asked(() =>
    fetch(`http://127.0.0.1:${foreignPort}/health`, { signal: AbortSignal.timeout(2000) }).catch(
      (cause: unknown) => {
        throw new ExitError('failure', 'nobody answers yet', { cause });
      },
    ),
  );
  return answer?.status === 204 ? true : null;
}

export async function createForeign(): Promise<Foreign> {
  const binary = findBinary(['ipfs-cluster-service'], undefined, process.env);
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-foreign-'));
  const env = { ...process.env, IPFS_CLUSTER_PATH: folder };
  await promisify(execFile)(binary, ['init'], { env });
  const child = spawn(binary, ['daemon'], { env, stdio: 'ignore', detached: true });
  const alive = (): boolean => child.exitCode === null && child.signalCode === null;
  const end = async (): Promise<void> => {
    if (alive()) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await until(`a foreign ipfs-cluster-service on port ${foreignPort}`, startMsMax, async () => {
      if (!alive())
        throw new ExitError('failure', `the foreign service ended: is a port of it taken?`);
      return pinningAnswers();
    });
    return { alive, end };
  } catch (thrown) {
    await end();
    throw thrown;
  }
}
