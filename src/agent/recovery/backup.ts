/**
 * A backup of the cluster as this node has it, while it runs: one consistent state of the catalog
 * with the configuration, cluster and epoch that belong to it. It holds every write that was
 * acknowledged before, if a leader could be asked, and says whether one could.
 */
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Ms } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import type { PinRecord } from '../../catalog/query-pins.ts';
import { type BackupHeader, encodeBackup } from '../../store/backup-file.ts';
import type { Node } from '../node.ts';
import type { Replication } from '../replication/api.ts';
import { version } from '../version.ts';

const readTimeoutMs: Ms = 3000;
/** The log moves on while the snapshot is written; then it is tried again. */
const triesMax = 3;

export interface BackupDeps {
  /** The content side, once it is there. */
  readonly blocks: () => Pick<Replication, 'blocks'>;
  readonly node: () => Node;
  readonly clock: Clock;
  readonly onFailure: (text: string, error: unknown) => void;
}

/** Whether a leader could be asked up to where everything is acknowledged. */
async function caughtUp(deps: BackupDeps): Promise<boolean> {
  try {
    await deps.node().runtime.read(readTimeoutMs);
    return true;
  } catch (thrown) {
    const { code } = asAgentError(thrown);
    if (!['not-leader', 'no-quorum', 'timeout'].includes(code))
      deps.onFailure('the leader could not be asked before a backup', thrown);
    return false;
  }
}

async function snapshotOf(node: Node) {
  for (let tries = 1; ; tries++) {
    const snapshot = await node.stores.catalog.snapshot();
    const meta = node.runtime.snapshotMeta(snapshot.index);
    if (meta !== null) return { path: snapshot.path, meta };
    await rm(snapshot.path, { force: true });
    if (tries === triesMax)
      throw new AgentError('unavailable', 'the log moved on while the catalog was written');
  }
}

const pageLimit = 500;

/** Every pin of the cluster. */
export async function pinsOf(node: Node): Promise<PinRecord[]> {
  const pins: PinRecord[] = [];
  let after: string | null = null;
  do {
    const { value } = await node.stores.catalog.query('pins.list', { after, limit: pageLimit });
    const page = value as { pins: PinRecord[]; next: string | null };
    pins.push(...page.pins);
    after = page.next;
  } while (after !== null);
  return pins;
}

export async function openBackup(
  deps: BackupDeps,
  withBlocks: boolean,
): Promise<AsyncIterable<Uint8Array>> {
  const node = deps.node();
  const linearizable = await caughtUp(deps);
  const cids = withBlocks ? (await pinsOf(node)).map(({ cid }) => cid) : [];
  const blocks = withBlocks ? await deps.blocks().blocks(cids) : null;
  const { path, meta } = await snapshotOf(node);
  const { name, peerId } = node.certificate();
  const header: BackupHeader = {
    format: 'bellwether-backup',
    version: 1,
    createdAt: new Date(deps.clock.wallMs()).toISOString(),
    software: version,
    clusterId: node.member.clusterId,
    epoch: node.member.epoch,
    epochNumber: node.member.epochNumber,
    parentEpoch: node.member.parentEpoch,
    meta,
    node: { name, peerId },
    linearizable,
    withBlocks,
  };
  async function* whole(): AsyncGenerator<Uint8Array> {
    try {
      const catalog = createReadStream(path);
      const held = new Set(blocks?.held ?? []);
      const missing = (): string[] => cids.filter((cid) => !held.has(cid));
      yield* encodeBackup({ header, catalog, blocks: blocks?.car ?? null, missing });
    } finally {
      await rm(path, { force: true });
    }
  }
  return whole();
}
