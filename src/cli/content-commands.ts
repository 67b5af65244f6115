/**
 * `add` and `get`: files and folders in and out by streaming, with a progress bar on a terminal.
 */
import { existsSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { ExitError } from './exit-code.ts';
import { treeOf, writeFileWhole, writeFolderWhole } from './local-tree.ts';
import type { Act, Context } from './program.ts';
import { createProgress } from './progress.ts';
import { clean, sizeOf } from './table.ts';
import { upload, waitForCopies } from './upload.ts';

async function add({ client, io, args: [path = ''], options, tell }: Context): Promise<void> {
  const tree = await treeOf(path);
  for (const each of tree.skipped)
    io.err(`bellwether: left out ${clean(each)}: neither a file nor a folder\n`);
  const progress = createProgress(io, path, tree.bytes);
  const { name, min, max } = options as { name?: string; min?: number; max?: number };
  const added = await upload(client, path, tree, { name, min, max, onBytes: progress.add }).finally(
    progress.end,
  );
  const seconds = options.wait === true ? 3600 : Number(options.wait ?? 0);
  const pin = seconds > 0 ? await waitForCopies(client, added.cid, seconds * 1000) : null;
  tell({ ...added, verified: pin?.verified ?? null }, () => {
    const wanted = `${added.min} to ${added.max} copies`;
    const copies = pin ? `${pin.verified} copies verified` : `pinned for ${wanted}`;
    const what = `${added.files} files, ${sizeOf(added.bytes)}, ${copies}`;
    return `${added.cid}  ${clean(added.name)}  ${what}\n`;
  });
}

/** `CID/path/in/it` as the path of the content route. */
function contentPath(what: string): { path: string; last: string } {
  const [cid = '', ...below] = what
    .replace(/^\/?(ipfs\/)?/, '')
    .split('/')
    .filter(Boolean);
  const path = ['/v1/content', cid, ...below].map((part, i) =>
    i ? encodeURIComponent(part) : part,
  );
  return { path: path.join('/'), last: below.at(-1) ?? cid };
}

async function get({ client, io, args: [what = ''], options, tell }: Context): Promise<void> {
  const { path, last } = contentPath(what);
  const target = (options.output as string | undefined) ?? last;
  if (target !== '-' && existsSync(target))
    throw new ExitError('failure', `${target} is there already; give another name with --output`);
  const { headers, body } = await client.open(path);
  if (target === '-') {
    await pipeline(body, process.stdout, { end: false });
    return;
  }
  const length = Number(headers['content-length']);
  const progress = createProgress(io, target, Number.isFinite(length) ? length : null);
  let bytes = 0;
  const onBytes = (count: number): void => {
    bytes += count;
    progress.add(count);
  };
  const isFolder = headers['content-type'] === 'application/x-tar' && !Number.isFinite(length);
  const writing = isFolder
    ? writeFolderWhole(target, Readable.from(body, { objectMode: false }), onBytes)
    : writeFileWhole(target, body, onBytes);
  await writing.finally(progress.end);
  tell({ path: target, folder: isFolder, bytes }, () => `${target}  ${sizeOf(bytes)}\n`);
}

export function addContentCommands(program: Command, act: Act): void {
  program
    .command('add')
    .description('stores a file or a folder and pins it')
    .argument('<path>')
    .option('--name <name>', 'name of the pin (default: the name of the file or folder)')
    .option('--min <copies>', 'repair below this many (default: 2)', Number)
    .option('--max <copies>', 'copies to make (default: 3)', Number)
    .option('--wait [seconds]', 'wait until the minimum of copies is verified')
    .action(act(add));
  program
    .command('get')
    .description('gets a file or a folder back')
    .argument('<cid>', 'CID, or CID/path')
    .option('-o, --output <path>', 'where to; - writes to standard output (a folder as tar)')
    .action(act(get));
}
