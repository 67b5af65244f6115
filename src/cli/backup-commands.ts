/**
 * `backup` and `restore`. A backup counts as made when it was read back from the disk: until then
 * it has another name. Verifying and restoring need no agent; their code is loaded when asked for.
 */
import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { BackupFacts } from '../agent/recovery/restore.ts';
import { clientOf, told, withConnection } from './connection.ts';
import type { Io } from './io.ts';
import type { Run } from './program.ts';

const loadRestore = () => import('../agent/recovery/restore.ts');

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function factsText(facts: BackupFacts): string {
  const { createdAt, clusterId, epochNumber, epoch, index, pins, members } = facts;
  const whole = facts.linearizable
    ? ''
    : 'No leader could be asked: writes acknowledged elsewhere may be missing.\n';
  const blocks =
    facts.blocks === null
      ? 'without blocks'
      : `${facts.blocks} blocks of ${facts.blockBytes} bytes, of ${facts.pinsWithBlocks} pins`;
  return (
    `cluster ${clusterId}, epoch ${epochNumber} (${epoch}), made ${createdAt} by ${facts.node}\n` +
    `log entry ${index}, ${members} members, ${pins} pins, catalog digest ${facts.digest}\n` +
    `${blocks}\n${whole}`
  );
}

type Options = Readonly<Record<string, unknown>> & { readonly json?: boolean };

async function makeBackup(file: string, options: Options, io: Io) {
  const path = resolve(file);
  const draft = `${path}.part`;
  const client = clientOf(options, io);
  try {
    const { body } = await client.open('/v1/backup', {
      query: { blocks: options.withBlocks === true ? 'true' : undefined },
    });
    await pipeline(body, createWriteStream(draft, { mode: 0o600 }));
    await syncFile(draft);
    const { verifyBackup } = await loadRestore();
    const facts = await verifyBackup(draft);
    await rename(draft, path);
    await syncFile(dirname(path));
    return {
      value: { file: path, ...facts },
      text: `${path} was read back whole\n${factsText(facts)}`,
    };
  } catch (thrown) {
    await rm(draft, { force: true });
    throw thrown;
  } finally {
    await client.close();
  }
}

async function verify(file: string) {
  const { verifyBackup } = await loadRestore();
  const facts = await verifyBackup(resolve(file));
  return { value: { file, ...facts }, text: `${file} is whole\n${factsText(facts)}` };
}

async function restore(file: string, options: Options) {
  const { restoreBackup } = await loadRestore();
  const made = await restoreBackup({
    file: resolve(file),
    data: String(options.data),
    name: typeof options.name === 'string' ? options.name : null,
    wallMs: Date.now(),
  });
  const text =
    `${made.data} holds the first master of a new cluster and was read back whole\n` +
    `${factsText(made)}\nnew cluster ${made.newClusterId}, epoch 1 (${made.newEpoch})\n` +
    `start it: bellwether agent --role master --node-id ${made.name} --data ${made.data}\n` +
    'The others join it anew; the old cluster is untouched and knows nothing of it.\n';
  return { value: made, text };
}

export function addBackupCommands(program: Command, io: Io, exit: Run): void {
  const backup = program
    .command('backup')
    .argument('<file>', 'where to, or `verify FILE` for one that exists')
    .argument('[other]', 'the file to verify')
    .option('--with-blocks', 'also the blocks of every pin that is whole on that agent')
    .description('a consistent backup of a running cluster, read back after it was written')
    .action(async (file: string, other: string | undefined, options: Options) => {
      const work =
        file === 'verify' && other !== undefined
          ? () => verify(other)
          : () => makeBackup(file, options, io);
      await told(io, exit, options.json === true, work);
    });
  withConnection(backup);
  program
    .command('restore')
    .argument('<file>', 'a backup')
    .requiredOption('--data <folder>', 'folder to make; it must not exist or be empty')
    .option('--name <name>', 'name of the first master (default: the node that made the backup)')
    .option('--json', 'answer as JSON')
    .description('makes the first master of a new cluster out of a backup')
    .action((file: string, options: Options) =>
      told(io, exit, options.json === true, () => restore(file, options)),
    );
}
