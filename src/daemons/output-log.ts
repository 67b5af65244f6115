/**
 * What a daemon prints, kept in at most four files. Nobody in the agent holds the pipe: a small
 * shell loop beside the daemon does (`launch-script.ts`), so output survives the agent, the daemon
 * never stalls on it, and the disk it takes has a limit while nobody watches, too. Here it is only
 * read, without the credentials that a daemon prints. A cursor names file and offset, and survives
 * that the files move on.
 */
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hideCredentials } from './credentials.ts';

/** A file is followed by the next one from this size on. */
export const fileBytesSoft = 1024 * 1024;
/** One turn of the loop adds at most this to a file. */
export const turnBlocks = 256;
export const turnBlockBytes = 4096;
export const filesKept = 4;
/** All files of one daemon together, whatever it prints. */
export const outputBytesMax = filesKept * (fileBytesSoft + turnBlocks * turnBlockBytes);

const readBytesMax = 512 * 1024;
const name = 'output.log';

export interface OutputPart {
  readonly lines: readonly string[];
  /** Where the next look goes on. */
  readonly cursor: string;
}

export interface OutputLog {
  /** The newest lines, oldest first. */
  tail(lines: number): Promise<OutputPart>;
  /** The lines after `cursor`; what has been dropped meanwhile is passed over. */
  after(cursor: string, lines: number): Promise<OutputPart>;
}

interface Part {
  readonly path: string;
  readonly inode: string;
  readonly bytes: number;
}

/** The files that are there, oldest first. */
async function partsIn(folder: string): Promise<Part[]> {
  const parts: Part[] = [];
  for (let i = filesKept - 1; i >= 0; i--) {
    const path = join(folder, i === 0 ? name : `${name}.${i}`);
    try {
      const { ino, size } = await stat(path);
      parts.push({ path, inode: String(ino), bytes: size });
    } catch (thrown) {
      const code = thrown instanceof Error && 'code' in thrown ? thrown.code : '';
      if (code !== 'ENOENT') throw thrown;
    }
  }
  return parts;
}

async function readRange(path: string, from: number, to: number): Promise<string> {
  if (to <= from) return '';
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(to - from);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
    return buffer.subarray(0, bytesRead).toString('utf8');
  } finally {
    await file.close();
  }
}

const cursorAt = (part: Part | undefined, offset: number): string =>
  part === undefined ? '0:0' : `${part.inode}:${offset}`;

/** Only whole lines; `rest` is what has no end yet. */
function wholeLines(text: string): { lines: string[]; rest: string } {
  const lines = text.split('\n');
  const rest = lines.pop() ?? '';
  return { lines, rest };
}

export function createOutputLog(folder: string): OutputLog {
  async function tail(count: number): Promise<OutputPart> {
    const parts = await partsIn(folder);
    const newest = parts.at(-1);
    let text = '';
    for (const part of [...parts].reverse()) {
      const from = Math.max(0, part.bytes - (readBytesMax - text.length));
      text = (await readRange(part.path, from, part.bytes)) + text;
      if (text.length >= readBytesMax || text.split('\n').length > count) break;
    }
    const { lines, rest } = wholeLines(text);
    const shown = rest === '' ? lines : [...lines, rest];
    const newestLines = shown.slice(-count).map(hideCredentials);
    return { lines: newestLines, cursor: cursorAt(newest, newest?.bytes ?? 0) };
  }

  async function after(cursor: string, count: number): Promise<OutputPart> {
    const [inode = '', offsetText = '0'] = cursor.split(':');
    const parts = await partsIn(folder);
    const at = parts.findIndex((part) => part.inode === inode);
    const lines: string[] = [];
    let next = cursor;
    for (const part of parts.slice(Math.max(0, at))) {
      const start = part.inode === inode ? Math.min(Number(offsetText), part.bytes) : 0;
      const end = Math.min(part.bytes, start + readBytesMax);
      const found = wholeLines(await readRange(part.path, start, end));
      const taken = found.lines.slice(0, count - lines.length);
      lines.push(...taken);
      const readBytes = Buffer.byteLength(taken.map((line) => `${line}\n`).join(''));
      next = cursorAt(part, start + readBytes);
      if (lines.length >= count || end < part.bytes) break;
    }
    return { lines: lines.map(hideCredentials), cursor: next };
  }

  return { tail, after };
}
