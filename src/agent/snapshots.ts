/**
 * Catalog snapshots between nodes: the file goes out on a stream of its own behind a header with
 * the consensus meta, its length and its SHA-256; the receiver writes it to a folder of incoming
 * files, checks length and hash, and only then tells the step machine. One is sent at a time, and
 * at most `incomingMax` received files are kept, so a lagging peer costs bounded disk.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { LogIndex, PeerId } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { Event, Ready, SnapshotMeta } from '../consensus/api.ts';
import type { Mesh } from '../mesh/api.ts';
import type { CatalogStore } from '../store/api.ts';
import { decode as decodeCbor, encode as encodeCbor } from '../wire/cbor.ts';
import { firstIssues } from '../wire/checked.ts';
import { configurationSchema } from '../wire/configuration.ts';
import type { AgentMetrics } from './metrics.ts';

export const snapshotStream = 'snapshot';
const incomingMax = 2;
const snapshotBytesMax = 64 * 1024 ** 3;
const wantedMax = 64;

const hex32 = z.string().regex(/^[0-9a-f]{32}$/);
const hex64 = z.string().regex(/^[0-9a-f]{64}$/);
const headerSchema = z.object({
  meta: z.object({
    clusterId: hex32,
    epoch: hex32,
    index: z.int().min(1),
    term: z.int().min(0),
    hash: hex64,
    configuration: configurationSchema,
    configurationIndex: z.int().min(0),
  }),
  requestId: z.int().min(0),
  bytes: z.int().min(0).max(snapshotBytesMax),
  sha256: hex64,
});

export type SnapshotWant = Ready['sendSnapshots'][number];

export interface Snapshots {
  send(want: SnapshotWant): void;
  receive(from: PeerId, header: Uint8Array, source: AsyncIterable<Uint8Array>): Promise<void>;
  /** The file of an installed snapshot is no longer needed. */
  installed(ref: string): void;
  /** Removes what an earlier process left. */
  clear(): Promise<void>;
  idle(): Promise<void>;
}

export interface SnapshotDeps {
  readonly dir: string;
  readonly mesh: Mesh;
  readonly catalog: CatalogStore;
  readonly metrics: AgentMetrics;
  readonly metaAt: (index: LogIndex) => SnapshotMeta | null;
  readonly post: (event: Event) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

async function* withHash(
  source: AsyncIterable<Uint8Array>,
  expected: { bytes: number; sha256: string },
): AsyncIterable<Uint8Array> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > expected.bytes)
      throw new AgentError('damaged', `snapshot is longer than the ${expected.bytes} announced`);
    hash.update(chunk);
    yield chunk;
  }
  const sha256 = hash.digest('hex');
  if (bytes !== expected.bytes || sha256 !== expected.sha256)
    throw new AgentError(
      'damaged',
      `snapshot of ${bytes} bytes with SHA-256 ${sha256}; ` +
        `${expected.bytes} and ${expected.sha256} were announced`,
    );
}

export function createSnapshots(deps: SnapshotDeps): Snapshots {
  const { dir, mesh, catalog, metrics } = deps;
  const wanted: SnapshotWant[] = [];
  let sending: Promise<void> | null = null;
  const received: string[] = [];

  async function sendOne({ to, requestId, atLeast }: SnapshotWant): Promise<void> {
    const { path, index, bytes, sha256 } = await catalog.snapshot();
    try {
      const meta = deps.metaAt(index);
      if (index < atLeast || meta === null)
        throw new AgentError('unavailable', `snapshot of ${index} where ${atLeast} is wanted`);
      const header = encodeCbor({ meta, requestId, bytes, sha256 });
      await mesh.sendStream(to, snapshotStream, header, createReadStream(path));
    } finally {
      await rm(path, { force: true });
    }
  }

  async function run(): Promise<void> {
    for (let want = wanted.shift(); want !== undefined; want = wanted.shift()) {
      const { to, requestId } = want;
      let ok = true;
      try {
        await sendOne(want);
        metrics.count('snapshots_sent');
      } catch (error) {
        ok = false;
        metrics.count('snapshots_failed');
        deps.onFailure(`snapshot for ${to} was not sent`, error);
      }
      deps.post({ type: 'snapshot-sent', to, requestId, ok });
    }
    sending = null;
  }

  const forget = (path: string): void => {
    rm(path, { force: true }).catch((error: unknown) =>
      deps.onFailure(`${path} could not be removed`, error),
    );
  };

  async function receive(
    from: PeerId,
    bytes: Uint8Array,
    source: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const parsed = headerSchema.safeParse(decodeCbor(bytes));
    if (!parsed.success)
      throw new AgentError('bad-request', `snapshot header: ${firstIssues(parsed.error)}`);
    const header = parsed.data;
    await mkdir(dir, { recursive: true });
    const path = join(dir, `${header.meta.index}-${randomBytes(8).toString('hex')}.snapshot`);
    try {
      const file = await open(path, 'wx', 0o600);
      try {
        for await (const chunk of withHash(source, header)) await file.writeFile(chunk);
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (error) {
      metrics.count('snapshots_failed');
      await rm(path, { force: true });
      throw error;
    }
    metrics.count('snapshots_received');
    received.push(path);
    while (received.length > incomingMax) forget(received.shift() ?? '');
    const { meta, requestId } = header;
    deps.post({ type: 'snapshot-received', from, meta, ref: path, requestId });
  }

  return {
    send: (want) => {
      if (wanted.length >= wantedMax) {
        const { to, requestId } = want;
        deps.post({ type: 'snapshot-sent', to, requestId, ok: false });
        return;
      }
      wanted.push(want);
      sending ??= run();
    },
    receive,
    installed: (ref) => {
      const at = received.indexOf(ref);
      if (at >= 0) received.splice(at, 1);
      forget(ref);
    },
    clear: async () => {
      await mkdir(dir, { recursive: true });
      for (const name of await readdir(dir))
        if (name.endsWith('.snapshot')) await rm(join(dir, name), { force: true });
    },
    idle: async () => {
      await sending;
    },
  };
}
