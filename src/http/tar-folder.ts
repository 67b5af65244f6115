/**
 * Folders as tar streams, both ways: entries of an uploaded archive become what the content engine
 * adds, and a stored tree becomes an archive. One entry at a time with backpressure, so memory does
 * not grow with the folder; names that would leave the folder, and links, are refused.
 */
import { PassThrough, type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { AgentError } from '../base/error.ts';
import type { AddEntry } from '../content/api.ts';

const pathCharactersMax = 4096;

/** A relative path with `/`, or null for the folder itself; throws on anything that leaves it. */
export function pathInside(name: string): string | null {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  const wrong =
    name.startsWith('/') || name.includes('\0') || name.includes('\\') || parts.includes('..');
  if (wrong || name.length > pathCharactersMax)
    throw new AgentError(
      'bad-request',
      `tar entry '${name.slice(0, 200)}': it takes a relative path of at most ` +
        `${pathCharactersMax} characters without '..' and '\\'`,
    );
  return parts.length === 0 ? null : parts.join('/');
}

function brokenOff(thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new AgentError('bad-request', `the tar stream broke off: ${why}`, { cause: thrown });
}

const endMarkBytes = 1024;

/**
 * An archive ends with 1024 zero bytes. The parser takes one that was cut between two entries for
 * whole; this doesn't.
 */
function endMarkCheck(): Transform {
  let zeros = 0;
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      const last = chunk.findLastIndex((byte) => byte !== 0);
      zeros = last < 0 ? Math.min(endMarkBytes, zeros + chunk.length) : chunk.length - 1 - last;
      done(null, chunk);
    },
    flush(done) {
      done(zeros >= endMarkBytes ? null : new Error('its end mark is missing'));
    },
  });
}

/** One entry's bytes; whatever the consumer left unread is skipped, so that the archive goes on. */
function contentOf(entry: AsyncIterable<Uint8Array>) {
  let taken = false;
  async function* content(): AsyncIterable<Uint8Array> {
    taken = true;
    try {
      yield* entry;
    } catch (thrown) {
      throw brokenOff(thrown);
    }
  }
  return {
    content: content(),
    async skip(): Promise<void> {
      if (taken) return;
      for await (const _ of entry);
    },
  };
}

/**
 * The entries of an archive in its order. A folder is told only if nothing in the archive lies in
 * it (an archive names a folder before its files).
 */
export async function* readTar(source: Readable): AsyncIterable<AddEntry> {
  const extract = tar.extract();
  // Its types name the streams it is made of; it works with those of Node.
  const feeding = pipeline(source, endMarkCheck(), extract as unknown as NodeJS.WritableStream);
  // The loop below throws the same error; this keeps it from being "unhandled" meanwhile.
  const fed = feeding.then(
    () => null,
    (error: unknown) => error,
  );
  let folder: string | null = null;
  try {
    for await (const entry of extract) {
      const path = pathInside(entry.header.name);
      const { type } = entry.header;
      if (folder !== null && !path?.startsWith(`${folder}/`)) yield { path: folder, content: null };
      folder = type === 'directory' ? path : null;
      const { content, skip } = contentOf(entry as AsyncIterable<Uint8Array>);
      if (path !== null && (type === 'file' || type === 'contiguous-file')) yield { path, content };
      else if (type !== 'directory')
        throw new AgentError(
          'bad-request',
          `tar entry '${entry.header.name}' is a ${type}: only files and folders can be added`,
        );
      await skip();
    }
  } catch (thrown) {
    throw brokenOff(thrown);
  } finally {
    extract.destroy();
  }
  const broken = await fed;
  if (broken !== null) throw brokenOff(broken);
  if (folder !== null) yield { path: folder, content: null };
}

export interface TarItem {
  readonly path: string;
  readonly type: 'file' | 'directory';
  readonly bytes: number;
}

async function packInto(
  pack: tar.Pack,
  items: readonly TarItem[],
  read: (path: string) => AsyncIterable<Uint8Array>,
): Promise<void> {
  for (const { path, type, bytes } of items) {
    if (type === 'directory') {
      pack.entry({ name: `${path}/`, type: 'directory', mode: 0o755 });
      continue;
    }
    const entry = pack.entry({ name: path, type: 'file', size: bytes, mode: 0o644 });
    await pipeline(read(path), entry as unknown as NodeJS.WritableStream);
  }
  pack.finalize();
}

/** The tree as an archive; `read` is called for one file after the other as the reader takes it. */
export function writeTar(
  items: readonly TarItem[],
  read: (path: string) => AsyncIterable<Uint8Array>,
): Readable {
  const pack = tar.pack();
  const out = new PassThrough();
  pipeline(pack as unknown as NodeJS.ReadableStream, out).catch((error: Error) =>
    out.destroy(error),
  );
  packInto(pack, items, read).catch((error: Error) => pack.destroy(error));
  return out;
}
