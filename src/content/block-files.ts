/**
 * Block files on disk, laid out as blockstore-fs does (last two letters of the name as folder). A
 * write goes to a file in `tmp/`, is fdatasynced and renamed; the folder entry is durable after
 * `syncFolders`. All waiting for the disk happens on few lanes (see lanes.ts). Leftovers of crashed
 * writes are removed at the start.
 */
import {
  closeSync,
  constants,
  existsSync,
  fdatasync as fdatasyncCallback,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { type FileHandle, open, opendir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { AgentError } from '../base/error.ts';
import type { BlockKey } from './cid-text.ts';
import type { Lanes } from './lanes.ts';

const fdatasync = promisify(fdatasyncCallback);
const extension = '.data';

export interface BlockFiles {
  /** Writes and fdatasyncs; the name is durable only after `syncFolders`. */
  write(key: BlockKey, bytes: Uint8Array): Promise<void>;
  /** The bytes; throws `not-found` when there is no such file. */
  read(key: BlockKey, bytes: number): Promise<Uint8Array>;
  remove(key: BlockKey): Promise<void>;
  /** fsyncs every folder that got a new name since the last call. */
  syncFolders(): Promise<void>;
  /** Keys of all block files, in no order. */
  keys(): AsyncIterable<BlockKey>;
  readonly folder: string;
}

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readWhole(handle: FileHandle, bytes: number): Promise<Uint8Array> {
  // One byte more than expected: a file that grew is told from a whole one.
  const buffer = Buffer.allocUnsafeSlow(bytes + 1);
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return new Uint8Array(buffer.buffer, 0, filled);
}

function writeTemporary(path: string, bytes: Uint8Array): number {
  const fd = openSync(path, 'wx', 0o600);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    return fd;
  } catch (thrown) {
    closeSync(fd);
    rmSync(path, { force: true });
    throw thrown;
  }
}

export function createBlockFiles(deps: { lanes: Lanes }, options: { dir: string }): BlockFiles {
  const folder = join(options.dir, 'blocks');
  const temporary = join(options.dir, 'tmp');
  const unsynced = new Set<string>();
  let serial = 0;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true, mode: 0o700 });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  unsynced.add(options.dir);

  const fileOf = (key: BlockKey): string => join(folder, key.slice(-2), `${key}${extension}`);

  async function write(key: BlockKey, bytes: Uint8Array): Promise<void> {
    await deps.lanes.run(async () => {
      serial += 1;
      const from = join(temporary, String(serial));
      const fd = writeTemporary(from, bytes);
      try {
        await fdatasync(fd);
      } catch (thrown) {
        rmSync(from, { force: true });
        throw thrown;
      } finally {
        closeSync(fd);
      }
      const to = fileOf(key);
      const parent = dirname(to);
      if (!existsSync(parent)) {
        mkdirSync(parent, { recursive: true, mode: 0o700 });
        unsynced.add(folder);
      }
      renameSync(from, to);
      unsynced.add(parent);
    });
  }

  async function read(key: BlockKey, bytes: number): Promise<Uint8Array> {
    return deps.lanes.run(async () => {
      const handle = await open(fileOf(key), 'r').catch((thrown: unknown) => {
        if (codeOf(thrown) === 'ENOENT')
          throw new AgentError('not-found', `block ${key} has no file`, { cause: thrown });
        throw thrown;
      });
      try {
        return await readWhole(handle, bytes);
      } finally {
        await handle.close();
      }
    });
  }

  async function remove(key: BlockKey): Promise<void> {
    await deps.lanes.run(() =>
      unlink(fileOf(key)).catch((thrown: unknown) => {
        if (codeOf(thrown) !== 'ENOENT') throw thrown; // gone already: what we wanted
      }),
    );
  }

  async function syncFolders(): Promise<void> {
    const paths = [...unsynced];
    unsynced.clear();
    try {
      await Promise.all(paths.map((path) => deps.lanes.run(() => syncFolder(path))));
    } catch (thrown) {
      for (const path of paths) unsynced.add(path);
      throw thrown;
    }
  }

  async function* keys(): AsyncIterable<BlockKey> {
    for await (const shard of await opendir(folder)) {
      if (!shard.isDirectory()) continue;
      for await (const file of await opendir(join(folder, shard.name)))
        if (file.name.endsWith(extension)) yield file.name.slice(0, -extension.length);
    }
  }

  return { write, read, remove, syncFolders, keys, folder };
}
