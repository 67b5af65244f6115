/**
 * The commands for the day when a majority is lost: `recover` against the running survivor, and
 * `rejoin` and `repair` on the data folder of a stopped node. They say what they will cost before
 * they do it.
 */
import { createInterface } from 'node:readline/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import type { ForcedEpoch, RecoveryPlan } from '../agent/recovery/api.ts';
import type { Client } from './client.ts';
import { clientOf, told, withConnection } from './connection.ts';
import { ExitError } from './exit-code.ts';
import type { Io } from './io.ts';
import type { Run } from './program.ts';

/** How long the agent may take to stop and to lead in the new epoch. */
const beginMsMax = 60_000;
const lookMs = 200;

type Options = Readonly<Record<string, unknown>> & { readonly json?: boolean };

function planText(plan: RecoveryPlan): string {
  const voters = plan.voters
    .map(({ name, answers, error }) => `  ${name}: ${answers ? 'answers' : `lost (${error})`}\n`)
    .join('');
  const { count, first } = plan.pinsOnlyOnLost;
  const pins = first.map((pin) => `  ${pin}\n`).join('') + (count > first.length ? '  ...\n' : '');
  const warnings = plan.warnings.map((text) => `- ${text}\n`).join('');
  return (
    `${plan.name} is in epoch ${plan.epoch} (${plan.epochId}); its log ends at entry ` +
    `${plan.lastIndex}, entry ${plan.commitIndex} is known to be committed.\n` +
    `Voters of this epoch:\n${voters}` +
    `Members that do not answer: ${plan.lostMembers.join(', ') || 'none'}\n` +
    `Pins with copies only on those: ${count}\n${pins}${warnings}`
  );
}

/** The old epoch's number, as it was given or as a person types it. */
async function confirmed(plan: RecoveryPlan, options: Options, io: Io): Promise<number> {
  if (typeof options.yesOldEpoch === 'string') return Number(options.yesOldEpoch);
  io.err(`Type the number of the old epoch to begin a new one: `);
  const lines = createInterface({ input: process.stdin });
  try {
    for await (const line of lines) return Number(line.trim());
  } finally {
    lines.close();
  }
  throw new ExitError('usage', `nothing was typed; --yes-old-epoch ${plan.epoch} confirms as well`);
}

/** Waits until the agent has come back and leads in the new epoch. */
async function begun(client: Client, forced: ForcedEpoch): Promise<void> {
  const endMs = performance.now() + beginMsMax;
  for (let last = 'nothing'; ; await wait(lookMs)) {
    try {
      const { cluster, election } = await client.call<{
        cluster: { epochId: string };
        election: { acting: boolean };
      }>('GET', '/status');
      if (cluster.epochId === forced.epochId && election.acting) return;
      last = `epoch ${cluster.epochId}, ${election.acting ? 'acting' : 'not acting'}`;
    } catch (thrown) {
      last = thrown instanceof Error ? thrown.message : String(thrown);
    }
    if (performance.now() > endMs)
      throw new ExitError(
        'outcome unknown',
        `the agent does not lead in epoch ${forced.epochId} yet: ${last}`,
      );
  }
}

async function recover(options: Options, io: Io) {
  if (options.forceNewEpoch !== true)
    throw new ExitError('usage', 'recover: give --force-new-epoch; there is no other way');
  const client = clientOf(options, io);
  try {
    const plan = await client.call<RecoveryPlan>('GET', '/v1/recovery');
    if (!options.json) io.err(planText(plan));
    if (plan.quorum)
      throw new ExitError(
        'refused',
        'a majority of the voters answers: they can decide, nothing is to be recovered',
      );
    const oldEpoch = await confirmed(plan, options, io);
    if (oldEpoch !== plan.epoch)
      throw new ExitError('refused', `got ${oldEpoch}; the old epoch is ${plan.epoch}`);
    const forced = await client.call<ForcedEpoch>('POST', '/v1/recovery', { json: { oldEpoch } });
    await begun(client, forced);
    const text =
      `${plan.name} leads alone in epoch ${forced.epoch} (${forced.epochId}).\n` +
      'Each of the others, once it is back: stop its agent, then on its machine\n' +
      `  bellwether rejoin --accept-epoch ${forced.epochId} --data FOLDER\n`;
    return { value: { plan, ...forced }, text };
  } finally {
    await client.close();
  }
}

async function rejoin(options: Options) {
  const { rejoinEpoch } = await import('../agent/recovery/rejoin.ts');
  const done = await rejoinEpoch({
    data: String(options.data),
    epoch: String(options.acceptEpoch),
    wallMs: Date.now(),
  });
  const text =
    `${done.name} has left epoch ${done.leftEpoch}; its log and catalog are in ${done.archive}.\n` +
    `Start its agent: it takes what epoch ${done.epoch} has. Its blocks are kept.\n`;
  return { value: done, text };
}

async function mend(options: Options) {
  const { repair } = await import('../agent/recovery/repair.ts');
  const done = await repair({
    data: String(options.data),
    from: typeof options.from === 'string' ? options.from : null,
    asNewNode: options.asNewNode === true,
    wallMs: Date.now(),
  });
  const found = done.damage === null ? 'Nothing is damaged.' : `${done.damage}.`;
  const kept = done.archive === null ? '' : `What was there is in ${done.archive}.\n`;
  return { value: done, text: `${found}\n${kept}Now: ${done.next}.\n` };
}

export function addRecoveryCommands(program: Command, io: Io, exit: Run): void {
  const recoverCommand = program
    .command('recover')
    .description('a new epoch with this node as its only voter, when a majority is lost for good')
    .option('--force-new-epoch', 'what it does; it must be said')
    .option('--yes-old-epoch <number>', 'confirms without asking: the number of the old epoch')
    .action((options: Options) =>
      told(io, exit, options.json === true, () => recover(options, io)),
    );
  withConnection(recoverCommand);
  program
    .command('rejoin')
    .description('gives up the old epoch of a stopped node: archives its log, keeps its blocks')
    .requiredOption('--accept-epoch <id>', 'id of the epoch to join, as `status` there tells it')
    .requiredOption('--data <folder>', 'data folder of the stopped agent')
    .option('--json', 'answer as JSON')
    .action((options: Options) => told(io, exit, options.json === true, () => rejoin(options)));
  program
    .command('repair')
    .description('mends the store of a stopped node as far as that is safe; keeps its blocks')
    .requiredOption('--data <folder>', 'data folder of the stopped agent')
    .option('--from <file>', 'a backup made by another member of this cluster')
    .option('--as-new-node', 'where the log is lost: give up the key, to join anew')
    .option('--json', 'answer as JSON')
    .action((options: Options) => told(io, exit, options.json === true, () => mend(options)));
}
