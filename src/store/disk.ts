/**
 * The few things the log store asks of a file system, as a port: tests put one under it that loses
 * unsynced writes at any point. Nothing is durable before `sync` (bytes) or `syncDir` (names), and
 * the store never assumes it.
 */
import { constants, promises as fs } from 'node:fs';
import { platform } from 'node:os';
import { dirname, resolve } from 'node:path';
import { AgentError } from '../base/error.ts';

export interface DiskFile {
  /** Writes all of `bytes` at `position`. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** The file's bytes and length are durable when it resolves. */
  sync(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

export interface Disk {
  /** An existing file, for writing; `through`: a write is durable when it resolves. */
  open(path: string, how?: 'through'): Promise<DiskFile>;
  /** A new or emptied file, for writing. */
  create(path: string): Promise<DiskFile>;
  /** The whole file, or null if there is none. */
  read(path: string): Promise<Buffer | null>;
  /** Gives the memory of what `read` answered back; nothing may look at it afterwards. */
  release?(bytes: Buffer): void;
  list(dir: string): Promise<string[]>;
  makeDir(dir: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** False if `to` is there already. */
  link(from: string, to: string): Promise<boolean>;
  /** False if there was no such file. */
  remove(path: string): Promise<boolean>;
  /** Creations, renames and removals in `dir` are durable when it resolves. */
  syncDir(dir: string): Promise<void>;
}

/** The error code the operating system gave, or an empty text. */
export function systemCode(thrown: unknown): string {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

/** What a failed disk operation means to the caller: a full disk has its own code. */
export function diskError(thrown: unknown, what: string): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const full = ['ENOSPC', 'EDQUOT'].includes(systemCode(thrown));
  return new AgentError(full ? 'disk-full' : 'internal', `${what}: ${message}`, { cause: thrown });
}

/** Runs `work`; an error whose system code is `code` becomes `otherwise`. */
async function unless<T>(code: string, otherwise: T, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (systemCode(thrown) === code) return otherwise;
    throw thrown;
  }
}

function fileOf(handle: fs.FileHandle): DiskFile {
  return {
    write: async (bytes, position) => {
      let done = 0;
      while (done < bytes.length) {
        const left = bytes.length - done;
        const { bytesWritten } = await handle.write(bytes, done, left, position + done);
        done += bytesWritten;
      }
    },
    sync: () => handle.datasync(),
    truncate: (bytes) => handle.truncate(bytes),
    close: () => handle.close(),
  };
}

/**
 * With the operating system's own way of writing through, where it has one that is as strong as a
 * sync: one call of a thread where a write and a sync are two.
 */
function throughOf(handle: fs.FileHandle, bySystem: boolean): DiskFile {
  const file = fileOf(handle);
  if (bySystem) return file;
  return {
    ...file,
    write: async (bytes, position) => {
      await file.write(bytes, position);
      await file.sync();
    },
  };
}

/** Into one buffer of the file's size, where `readFile` would hold it twice for a moment. */
async function readWhole(path: string): Promise<Buffer> {
  const handle = await fs.open(path, constants.O_RDONLY);
  try {
    const bytes = Buffer.allocUnsafe((await handle.stat()).size);
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await handle.read(bytes, done, bytes.length - done, done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes.subarray(0, done);
  } finally {
    await handle.close();
  }
}

/**
 * A segment is megabytes large and outside the heap, where the collector of a quiet process would
 * leave it for minutes. Small buffers share one with others and stay.
 */
function release({ buffer }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}

/** The operating system's file system. */
export function createDisk(): Disk {
  const { O_CREAT, O_TRUNC, O_RDWR, O_DSYNC } = constants;
  return {
    open: async (path, how) => {
      if (how !== 'through') return fileOf(await fs.open(path, O_RDWR));
      const bySystem = platform() === 'linux';
      return throughOf(await fs.open(path, bySystem ? O_RDWR | O_DSYNC : O_RDWR), bySystem);
    },
    create: async (path) => fileOf(await fs.open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)),
    read: (path) => unless<Buffer | null>('ENOENT', null, () => readWhole(path)),
    release,
    list: (dir) => fs.readdir(dir),
    makeDir: async (dir) => {
      const made = await fs.mkdir(dir, { recursive: true, mode: 0o700 });
      // The name of every new folder is durable, and that of `dir` in any case.
      const top = dirname(made ?? dir);
      for (let parent = dirname(resolve(dir)); ; parent = dirname(parent)) {
        await syncFolder(parent);
        if (parent === resolve(top) || parent === dirname(parent)) break;
      }
    },
    rename: (from, to) => fs.rename(from, to),
    link: (from, to) => unless('EEXIST', false, () => fs.link(from, to).then(() => true)),
    remove: (path) => unless('ENOENT', false, () => fs.unlink(path).then(() => true)),
    syncDir: syncFolder,
  };
}

async function syncFolder(dir: string): Promise<void> {
  const handle = await fs.open(dir, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
