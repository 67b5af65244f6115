/**
 * A small disk of its own for a node: an ext4 image on a loop device, which can be filled, frozen
 * (fsync stands until it thaws), made slow (frozen most of the time) and made read-only the way a
 * dying disk is: the file system aborts, and only a check and a new mount bring it back.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { line, sh } from './shell.ts';

const megabytes = 384;
/** Slow: frozen for the first, then thawed for the second. */
const [frozenMs, thawedMs] = [60, 15];

export interface Disk {
  readonly dir: string;
  fill(): Promise<void>;
  free(): void;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Every fsync waits for a while, until `ms` have passed. */
  slow(ms: number): Promise<void>;
  abort(): Promise<void>;
  /** Checks and mounts anew; nothing may have files open on it. */
  repair(): Promise<void>;
}

export async function createDisk(place: string, name: string): Promise<Disk> {
  const dir = join(place, name);
  const image = join(place, `${name}.img`);
  const ballast = join(dir, 'ballast');
  mkdirSync(dir, { recursive: true });
  await line(`truncate -s ${megabytes}M ${image}`);
  await sh('mkfs.ext4', '-q', '-F', '-m', '0', image);
  const mount = (): Promise<string> => line(`mount -o loop ${image} ${dir}`);
  await mount();
  const freeze = async (): Promise<void> => void (await line(`fsfreeze -f ${dir}`));
  const thaw = async (): Promise<void> => void (await line(`fsfreeze -u ${dir}`));
  return {
    dir,
    fill: async () => {
      // Ends with an error when nothing is left, which is what it is for.
      await sh('sh', '-c', `dd if=/dev/zero of=${ballast} bs=64k 2>/dev/null; test -s ${ballast}`);
    },
    free: () => rmSync(ballast, { force: true }),
    freeze,
    thaw,
    slow: async (ms) => {
      const endMs = performance.now() + ms;
      while (performance.now() < endMs) {
        await freeze();
        await wait(frozenMs);
        await thaw();
        await wait(thawedMs);
      }
    },
    abort: async () => void (await line(`mount -o remount,abort ${dir}`)),
    repair: async () => {
      await line(`umount ${dir}`);
      // 1: mended.
      await sh('sh', '-c', `e2fsck -fy ${image} >/dev/null 2>&1; test $? -le 1`);
      await mount();
      if (!existsSync(join(dir, 'lost+found'))) throw new Error(`${dir}: not mounted`);
    },
  };
}
