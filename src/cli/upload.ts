/**
 * Adding a file or folder of this machine through an agent's port, by streaming; shared by `add`
 * and the demo.
 */
import { basename, join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { PinReport } from '../agent/api.ts';
import { writeTar } from '../http/tar-folder.ts';
import type { Client } from './client.ts';
import { ExitError } from './exit-code.ts';
import { bytesOf, type Tree } from './local-tree.ts';

export interface Added {
  readonly cid: string;
  readonly name: string;
  readonly bytes: number;
  readonly blocks: number;
  readonly files: number;
  readonly min: number;
  readonly max: number;
  readonly version: number | null;
  readonly index: number;
}

export interface UploadOptions {
  readonly name?: string | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly onBytes?: (count: number) => void;
}

const pollMs = 100;

export function upload(client: Client, path: string, tree: Tree, options: UploadOptions) {
  const { name = basename(resolve(path)), min, max, onBytes = () => undefined } = options;
  const body = tree.isFolder
    ? writeTar(tree.items, (below) => bytesOf(join(path, below), onBytes))
    : bytesOf(path, onBytes);
  const type = tree.isFolder ? 'application/x-tar' : 'application/octet-stream';
  return client.call<Added>('POST', '/v1/content', {
    query: { name, min, max, bytes: tree.bytes },
    stream: { type, body },
  });
}

/** Waits until a pin has its minimum of verified copies, or throws after the deadline. */
export async function waitForCopies(
  client: Client,
  cid: string,
  deadlineMs: number,
): Promise<PinReport> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const pin = await client.call<PinReport>('GET', `/v1/pins/${cid}`);
    if (pin.verified >= pin.min) return pin;
    if (performance.now() > endMs)
      throw new ExitError(
        'not now',
        `${cid} has ${pin.verified} verified copies after ${deadlineMs / 1000} s, ` +
          `${pin.min} wanted; it goes on`,
      );
    await wait(pollMs);
  }
}
