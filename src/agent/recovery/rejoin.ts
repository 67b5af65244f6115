/**
 * `rejoin`, on the data folder of a stopped agent: a person says that this node gives up the epoch
 * it is in for another one. Log, catalog and with them the fence are archived, blocks and identity
 * stay, and the node comes back with an empty log. It never votes twice: a key goes into an epoch
 * once, and an epoch that it has left is refused for ever.
 */
import { z } from 'zod';
import type { EpochId } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import { loadIdentity } from '../../mesh/identity.ts';
import { openLogStore } from '../../store/log-store.ts';
import { openDataFolder, pastEpochsMax } from '../data-folder.ts';
import { archiveName, beginChange, prepared } from './folder-change.ts';
import { memberOf } from './new-epoch.ts';

export interface Rejoined {
  readonly name: string;
  readonly leftEpoch: EpochId;
  readonly epoch: EpochId;
  readonly archive: string;
}

const epochIdSchema = z.string().regex(/^[0-9a-f]{32}$/);

export async function rejoinEpoch(options: {
  readonly data: string;
  readonly epoch: string;
  readonly wallMs: number;
}): Promise<Rejoined> {
  const { epoch } = options;
  if (!epochIdSchema.safeParse(epoch).success)
    throw new AgentError(
      'bad-request',
      `--accept-epoch: got '${epoch}'. It takes the 32 hex digits of an epoch id; ` +
        '`status` of a member of that epoch tells it',
    );
  const folder = openDataFolder(options.data);
  try {
    const member = memberOf(folder);
    if (member.epoch === epoch)
      throw new AgentError('conflict', `${member.name} is in epoch ${epoch} already`);
    if (member.pastEpochs.includes(epoch))
      throw new AgentError(
        'epoch-mismatch',
        `${member.name} has been in epoch ${epoch} and may have voted there; it can come back ` +
          'only as a new node: see `repair --as-new-node`',
      );
    if (member.pastEpochs.length >= pastEpochsMax)
      throw new AgentError('conflict', `${member.name} has been in ${pastEpochsMax} epochs`);
    const { peerId } = await loadIdentity(folder.path, { create: false });
    const log = await openLogStore({
      dir: prepared(folder.path, 'log'),
      clusterId: member.clusterId,
      epoch,
      identity: peerId,
    });
    await log.close();
    const what = 'rejoin';
    const archive = beginChange(folder.path, {
      version: 1,
      what,
      archive: archiveName(what, options.wallMs),
      moves: ['log', 'catalog', 'incoming'],
      node: {
        ...member,
        epoch,
        epochNumber: 0,
        parentEpoch: null,
        pastEpochs: [...member.pastEpochs, member.epoch],
        bootstrap: false,
      },
    });
    return { name: member.name, leftEpoch: member.epoch, epoch, archive };
  } finally {
    folder.release();
  }
}
