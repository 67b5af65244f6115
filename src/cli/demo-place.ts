/**
 * Where a demo lives: its folder, its ports, its nodes' keys and certificates, and the lock that
 * keeps a second one away. Everything that can be wrong before an agent is started is found here.
 */
import {
  existsSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { makeFolder } from '../agent/make-folder.ts';
import type { Role } from '../wire/member.ts';
import { daemonConfig } from './demo-daemon-config.ts';
import type { NodePlan } from './demo-flock.ts';
import { ExitError } from './exit-code.ts';
import { sizeOf } from './table.ts';

const members: readonly (readonly [string, Role])[] = [
  ['master-1', 'master'],
  ['master-2', 'master'],
  ['worker-1', 'worker'],
  ['worker-2', 'worker'],
  ['leecher-1', 'leecher'],
];

/** The demo waits less than a real cluster would; everything else is as usual. */
export const demoTiming = { holdMs: 3000, voterGraceMs: 3000, repairGraceMs: 5000 };

const httpPortFirst = 9099;
const meshPortFirst = 4101;
/** Three copies of the files, and room for logs and databases beside them. */
const copiesOnDisk = 3;
const spareBytes = 256 * 1024 * 1024;

export interface Place {
  readonly folder: string;
  readonly plans: readonly NodePlan[];
  /** Who makes the cluster; null: it was made in an earlier demo. */
  readonly founder: string | null;
  /** Removes the folder unless it is kept. */
  leave(): void;
}

/** A port nobody listens on: the wished one if it is free, or any. */
async function freePort(wished: number): Promise<number | null> {
  const server = createServer();
  const { promise, resolve: settle } = Promise.withResolvers<number | null>();
  server.on('error', () => settle(null));
  server.listen({ host: '127.0.0.1', port: wished, exclusive: true }, () => {
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : null;
    server.close(() => settle(port));
  });
  return promise;
}

async function portFor(wished: number | null, taken: Set<number>): Promise<number> {
  for (const port of wished === null ? [0, 0, 0] : [wished, 0, 0, 0]) {
    const free = taken.has(port) ? null : await freePort(port);
    if (free === null || taken.has(free)) continue;
    taken.add(free);
    return free;
  }
  throw new ExitError('failure', 'there is no free port on 127.0.0.1');
}

function checkDisk(folder: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  const wanted = bytes * copiesOnDisk + spareBytes;
  if (bavail * bsize < wanted)
    throw new ExitError(
      'failure',
      `not enough room in ${folder}: ${sizeOf(wanted)} wanted, ${sizeOf(bavail * bsize)} free`,
    );
}

function folderFor(keep: string | null): string {
  try {
    if (keep === null) return mkdtempSync(join(tmpdir(), 'bellwether-demo-'));
    makeFolder(keep);
    return resolve(keep);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ExitError('failure', `no folder for the demo's data: ${why}`, { cause });
  }
}

export interface PlaceOptions {
  readonly keep: string | null;
  readonly bytes: number;
  /** Take the usual ports where they are free, for a person to remember. */
  readonly usualPorts: boolean;
  /** Real daemons on every node. */
  readonly daemons: boolean;
}

export async function preparePlace(options: PlaceOptions): Promise<Place> {
  const { keep, bytes, usualPorts, daemons } = options;
  const folder = folderFor(keep);
  const leave = (): void => {
    if (keep === null) rmSync(folder, { recursive: true, force: true });
  };
  try {
    checkDisk(folder, bytes);
    const [first] = members[0] ?? [];
    const founder = first && !existsSync(join(folder, first)) ? first : null;
    const taken = new Set<number>();
    const plans: NodePlan[] = [];
    for (const [i, [name, role]] of members.entries()) {
      const configFile = join(folder, `${name}.yaml`);
      const more = daemons ? await daemonConfig({ name, role }, () => portFor(null, taken)) : {};
      // JSON is YAML, too.
      writeFileSync(configFile, `${JSON.stringify({ timing: demoTiming, ...more }, null, 2)}\n`);
      plans.push({
        configFile,
        name,
        role,
        httpPort: await portFor(usualPorts ? httpPortFirst + i : null, taken),
        meshPort: await portFor(usualPorts ? meshPortFirst + i : null, taken),
        data: join(folder, name),
      });
    }
    // Loaded here alone: whoever talks to an agent over HTTP needs none of it.
    const { foundFlock } = await import('../agent/trust/founding.ts');
    const folders = plans.map((plan) => ({
      ...plan,
      mesh: `/ip4/127.0.0.1/tcp/${plan.meshPort}`,
    }));
    await foundFlock(folders, Date.now());
    return { folder, plans, founder, leave };
  } catch (thrown) {
    leave();
    throw thrown;
  }
}

/** When the process started, as the kernel counts it; tells a reused pid from the old process. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')')).split(' ')[20] ?? null;
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown) return null;
    throw thrown;
  }
}

/** Whether the process of a lock is still there. */
function holds(pid: number, start: string): boolean {
  if (!Number.isSafeInteger(pid) || pid < 1) return false;
  try {
    process.kill(pid, 0);
  } catch (thrown) {
    // EPERM: there is a process, of another user.
    return thrown instanceof Error && 'code' in thrown && thrown.code === 'EPERM';
  }
  return start === '' || startOf(pid) === start;
}

/**
 * One demo at a time for each user of this machine. A lock whose process is gone counts for
 * nothing. Answers the function that releases it.
 */
export function lockDemo(folder: string = tmpdir()): () => void {
  const file = join(folder, `bellwether-demo-${userInfo().uid}.lock`);
  const own = `${process.pid} ${startOf(process.pid) ?? ''}`;
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, own);
  try {
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        linkSync(draft, file);
        return () => rmSync(file, { force: true });
      } catch (cause) {
        const taken = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
        if (!taken) throw cause;
        const [pid = '0', start = ''] = readFileSync(file, 'utf8').split(' ');
        if (!holds(Number(pid), start)) rmSync(file, { force: true });
        else
          throw new ExitError('failure', `a demo runs already, as process ${pid}; stop it first`, {
            cause,
          });
      }
    }
    throw new ExitError('failure', `the lock ${file} can't be had`);
  } finally {
    rmSync(draft, { force: true });
  }
}
