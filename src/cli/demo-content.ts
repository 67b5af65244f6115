/**
 * The files of a demo: what of PATH becomes which pin, when its copies are where they belong, and
 * whether what a node gives back is what was added, byte for byte.
 */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { PinReport } from '../agent/api.ts';
import { readTar } from '../http/tar-folder.ts';
import type { Client } from './client.ts';
import type { FlockNode } from './demo-flock.ts';
import { pinOf, until } from './demo-watch.ts';
import { ExitError } from './exit-code.ts';
import { bytesOf, type Tree, treeOf } from './local-tree.ts';
import { upload } from './upload.ts';

/** A folder of at most so many entries is added entry by entry, so that one sees where each is. */
const partsMax = 16;

export interface Part {
  readonly path: string;
  readonly name: string;
  readonly tree: Tree;
}

export interface PinnedPart extends Part {
  readonly cid: string;
}

/** What is to be added; refuses a PATH without a file in it. */
export async function partsOf(path: string): Promise<Part[]> {
  const tree = await treeOf(path);
  if (tree.files === 0) throw new ExitError('not found', `${path}: there is no file in it`);
  const name = basename(resolve(path));
  const skipped = new Set(tree.skipped);
  const entries = tree.isFolder ? readdirSync(path).filter((each) => !skipped.has(each)) : [];
  if (entries.length === 0 || entries.length > partsMax) return [{ path, name, tree }];
  const parts: Part[] = [];
  for (const entry of entries.sort()) {
    const below = join(path, entry);
    parts.push({ path: below, name: entry, tree: await treeOf(below) });
  }
  return parts.filter(({ tree: { files } }) => files > 0);
}

export async function addParts(
  client: Client,
  parts: readonly Part[],
  policy: { min: number; max: number },
): Promise<{ pins: PinnedPart[]; acceptedMs: number }> {
  const pins: PinnedPart[] = [];
  let acceptedMs = 0;
  for (const part of parts) {
    const { cid } = await upload(client, part.path, part.tree, { name: part.name, ...policy });
    if (pins.length === 0) acceptedMs = performance.now();
    pins.push({ ...part, cid });
  }
  return { pins, acceptedMs };
}

/** Whether every copy that the leader allocated is verified. */
const settled = (pin: PinReport): boolean =>
  pin.verified >= pin.min && pin.verified >= Math.min(pin.max, pin.allocations.length);

/** Waits until each pin has its copies, as `enough` judges (default: all that were allocated). */
export async function waitForPins(
  node: () => FlockNode,
  cids: readonly string[],
  deadlineMs: number,
  enough: (pin: PinReport) => boolean = settled,
): Promise<PinReport[]> {
  const reports: PinReport[] = [];
  for (const cid of new Set(cids))
    reports.push(
      await until(`the verified copies of ${cid}`, deadlineMs, async () => {
        const pin = await pinOf(node(), cid);
        return pin !== null && enough(pin) ? pin : null;
      }),
    );
  return reports;
}

async function hashOf(source: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of source) hash.update(chunk);
  return hash.digest('hex');
}

/** Whether what a node gives for a pin equals the files it was made of. */
export async function sameBack(client: Client, { cid, path, tree }: PinnedPart): Promise<boolean> {
  const { body } = await client.open(`/v1/content/${cid}`);
  if (!tree.isFolder)
    return (await hashOf(body)) === (await hashOf(bytesOf(path, () => undefined)));
  const got = new Map<string, string>();
  const archive = Readable.from(body, { objectMode: false });
  for await (const { path: below, content } of readTar(archive))
    if (content !== null) got.set(below, await hashOf(content));
  const files = tree.items.filter(({ type }) => type === 'file');
  for (const { path: below } of files) {
    const wanted = await hashOf(bytesOf(join(path, below), () => undefined));
    if (got.get(below) !== wanted) return false;
  }
  return got.size === files.length;
}
