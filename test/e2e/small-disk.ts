/**
 * A small disk for one agent: a memory file system over its data folder, in a mount namespace that
 * its process takes with it when it ends, however it ends. Linux; who is not root becomes so inside a
 * user namespace of its own.
 */
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const blockBytes = 256 * 1024;

/** The folder is what it was when the process began; what it becomes is gone with the process. */
const script = `
set -eu
folder=$1 megabytes=$2
shift 2
mkdir -p "$folder.disk"
mount -t tmpfs -o "size=\${megabytes}m,mode=700" small "$folder.disk"
cp -a "$folder/." "$folder.disk/"
mount --bind "$folder.disk" "$folder"
exec "$@"
`;

/** The command line that runs `command` with its folder on a disk of so many megabytes. */
export function onSmallDisk(
  folder: string,
  megabytes: number,
  command: readonly string[],
): readonly string[] {
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const inside = [
    'unshare',
    ...asRoot,
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-c',
    script,
    'small-disk',
  ];
  return [...inside, folder, String(megabytes), ...command];
}

/** A path as the process with that id sees it. */
export const pathInside = (pid: number, path: string): string => join(`/proc/${pid}/root`, path);

const ballastOf = (folder: string): string => join(folder, 'ballast');

export function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Fills the disk until no more than `leftBytes` are free. */
export function fill(folder: string, leftBytes: number): void {
  const file = openSync(ballastOf(folder), 'a');
  const block = Buffer.alloc(blockBytes, 0xff);
  try {
    for (let free = freeBytes(folder); free > leftBytes; free = freeBytes(folder))
      writeSync(file, block.subarray(0, Math.min(blockBytes, free - leftBytes)));
  } catch (thrown) {
    // The agent was faster with the last bytes.
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOSPC')) throw thrown;
  } finally {
    closeSync(file);
  }
}

export function makeRoom(folder: string): void {
  rmSync(ballastOf(folder), { force: true });
}
