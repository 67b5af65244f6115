/**
 * Files and folders of this machine, for adding and getting: a tree is listed in one fixed order,
 * read by streaming, and written under names that can't leave their folder.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readTar, type TarItem } from '../http/tar-folder.ts';
import { ExitError } from './exit-code.ts';

export interface Tree {
  readonly isFolder: boolean;
  readonly items: readonly TarItem[];
  readonly files: number;
  readonly bytes: number;
  /** Links and devices, which are not added. */
  readonly skipped: readonly string[];
}

/** Everything below `path`; throws with exit `not found` if it isn't there. */
export async function treeOf(path: string): Promise<Tree> {
  const top = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'ENOENT' ? 'no such file or folder' : cause.message;
    throw new ExitError('not found', `${path}: ${why}`, { cause });
  });
  const items: TarItem[] = [];
  const skipped: string[] = [];
  if (top.isFile()) items.push({ path: '', type: 'file', bytes: top.size });
  else if (top.isDirectory()) await walk(path, '', items, skipped);
  else throw new ExitError('usage', `${path} is neither a file nor a folder`);
  const files = items.filter(({ type }) => type === 'file');
  return {
    isFolder: top.isDirectory(),
    items,
    files: files.length,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    skipped,
  };
}

async function walk(top: string, below: string, items: TarItem[], skipped: string[]) {
  for (const name of (await readdir(join(top, below))).sort()) {
    const path = below === '' ? name : `${below}/${name}`;
    const info = await lstat(join(top, path));
    if (info.isDirectory()) {
      items.push({ path, type: 'directory', bytes: 0 });
      await walk(top, path, items, skipped);
    } else if (info.isFile()) items.push({ path, type: 'file', bytes: info.size });
    else skipped.push(path);
  }
}

/** The bytes of one file, told to `onBytes` as they pass. */
export async function* bytesOf(
  path: string,
  onBytes: (count: number) => void,
): AsyncIterable<Uint8Array> {
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) {
    onBytes((chunk as Uint8Array).length);
    yield chunk as Uint8Array;
  }
}

async function* counted(source: AsyncIterable<Uint8Array>, onBytes: (count: number) => void) {
  for await (const chunk of source) {
    onBytes(chunk.length);
    yield chunk;
  }
}

/** Writes a file under its name only when it is whole. */
export async function writeFileWhole(
  path: string,
  source: AsyncIterable<Uint8Array>,
  onBytes: (count: number) => void,
): Promise<void> {
  const part = `${path}.part`;
  try {
    await pipeline(counted(source, onBytes), createWriteStream(part, { flags: 'wx' }));
    await rename(part, path);
  } catch (thrown) {
    const taken = thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST';
    if (!taken) await rm(part, { force: true });
    throw thrown;
  }
}

/** Unpacks a folder that comes as tar into a new folder; it appears only when it is whole. */
export async function writeFolderWhole(
  path: string,
  source: Readable,
  onBytes: (count: number) => void,
): Promise<void> {
  const part = `${path}.part`;
  await mkdir(part);
  try {
    for await (const { path: below, content } of readTar(source)) {
      const target = join(part, below);
      await mkdir(content === null ? target : dirname(target), { recursive: true });
      if (content !== null)
        await pipeline(counted(content, onBytes), createWriteStream(target, { flags: 'wx' }));
    }
    await rename(part, path);
  } catch (thrown) {
    await rm(part, { recursive: true, force: true });
    throw thrown;
  }
}
