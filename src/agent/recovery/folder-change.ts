/**
 * Exchanges what a data folder keeps, whole or not at all: what is new lies prepared beside as
 * `NAME.new`, what was there goes to a dated folder below `archive/`, and `change.json` says so
 * until all of it is done. Whoever opens the folder finishes a change that was interrupted.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { AgentError } from '../../base/error.ts';

const changeName = 'change.json';
const newSuffix = '.new';

const changeSchema = z.strictObject({
  version: z.literal(1),
  /** What it is, in a word, for people. */
  what: z.string().min(1).max(64),
  archive: z.string().regex(/^[0-9TZ-]+-[a-z-]+$/),
  /** Files and folders that are archived; `NAME.new` takes the place where there is one. */
  moves: z.array(z.string().regex(/^[a-z0-9.-]+$/)).max(16),
  /** The next `node.json`; null: the folder belongs to no node afterwards. */
  node: z.record(z.string(), z.unknown()).nullable(),
});
export type FolderChange = z.infer<typeof changeSchema>;

function syncPath(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.tmp`, text, { mode: 0o600 });
  syncPath(`${path}.tmp`);
  renameSync(`${path}.tmp`, path);
}

/** A name for the archive of this change: when it was, and what. */
export function archiveName(what: string, wallMs: number): string {
  return `${new Date(wallMs).toISOString().replaceAll(':', '-').replace(/\..*$/, 'Z')}-${what}`;
}

/** Where something new is prepared; what an earlier attempt left there is removed. */
export function prepared(dir: string, name: string): string {
  const path = join(dir, `${name}${newSuffix}`);
  rmSync(path, { recursive: true, force: true });
  return path;
}

/** From here on the change happens, now or when the folder is opened next. */
export function beginChange(dir: string, change: FolderChange): string {
  const archive = join(dir, 'archive', change.archive);
  if (existsSync(archive)) throw new AgentError('conflict', `${archive} exists already`);
  mkdirSync(archive, { recursive: true, mode: 0o700 });
  writeWhole(join(dir, changeName), `${JSON.stringify(change)}\n`);
  syncPath(dir);
  finishChange(dir);
  return archive;
}

function readChange(path: string): FolderChange {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new AgentError('damaged', `${path} is not JSON`, { cause });
  }
  const parsed = changeSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AgentError('damaged', `${path}: ${z.prettifyError(parsed.error)}`);
}

/** Finishes a change that was begun, if there is one; each step may have been done before. */
export function finishChange(dir: string): void {
  const file = join(dir, changeName);
  if (!existsSync(file)) return;
  const change = readChange(file);
  const archive = join(dir, 'archive', change.archive);
  mkdirSync(archive, { recursive: true, mode: 0o700 });
  const nodeFile = join(dir, 'node.json');
  if (existsSync(nodeFile) && !existsSync(join(archive, 'node.json')))
    writeWhole(join(archive, 'node.json'), readFileSync(nodeFile, 'utf8'));
  for (const name of change.moves) {
    const [from, to, next] = [join(dir, name), join(archive, name), join(dir, name + newSuffix)];
    if (existsSync(from) && !existsSync(to)) renameSync(from, to);
    if (existsSync(next) && !existsSync(from)) renameSync(next, from);
  }
  for (const path of [archive, dir]) syncPath(path);
  if (change.node === null) rmSync(nodeFile, { force: true });
  else writeWhole(nodeFile, `${JSON.stringify(change.node, null, 1)}\n`);
  syncPath(dir);
  rmSync(file);
  syncPath(dir);
}
