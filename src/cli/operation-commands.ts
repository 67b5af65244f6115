/**
 * Commands that maintain a running cluster: hand the lead over, drain, pause, leave, forget, and
 * ask first whether a node may stop. Each ends with 0 only if what was asked for has come about.
 */
import { hostname, userInfo } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import type {
  Candidate,
  DrainState,
  PauseState,
  SafeToStop,
  SwitchoverAnswer,
} from '../agent/operations/api.ts';
import type { Client } from './client.ts';
import { ExitError } from './exit-code.ts';
import type { Act, Context } from './program.ts';
import { tableOf } from './table.ts';

const pollMs = 300;
const drainMsDefault = 600_000;

/** Who asks, for the log: nothing checks it. */
export function ownerOf(): string {
  const { username } = userInfo();
  return `${username}@${hostname()}`.slice(0, 128);
}

const unitMs: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `90s`, `15m`, `2h`, `1d` as milliseconds. */
export function durationMs(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(digits) * (unitMs[unit] ?? 0);
  if (ms <= 0) throw new ExitError('usage', `got '${text}'. It takes a duration such as 90s or 2h`);
  return ms;
}

const candidatesText = (candidates: readonly Candidate[]): string =>
  tableOf(
    ['CANDIDATE', 'ROLE', 'CAN LEAD NOW', 'WHY NOT'],
    candidates.map(({ name, role, electable, reason, detail }) => [
      name,
      role,
      electable ? 'yes' : 'no',
      reason === null ? '' : `${reason} (${detail})`,
    ]),
  );

async function switchover({ client, options, tell }: Context): Promise<void> {
  const { to, dryRun = false } = options as { to?: string; dryRun?: boolean };
  const json = { ...(to === undefined ? {} : { to }), dryRun };
  type Refusal = { readonly detail: string; readonly candidates?: readonly Candidate[] };
  const answer = await client.call<SwitchoverAnswer & Refusal>('POST', '/v1/leader/transfer', {
    json,
    accept: [409],
  });
  const { candidates = [], from, term } = answer;
  if (typeof answer.moved !== 'boolean')
    throw new ExitError(
      'conflict',
      `the lead did not move: ${answer.detail}\n${candidatesText(candidates)}`.trimEnd(),
    );
  if (dryRun)
    tell(answer, () => `${from} would hand over to ${answer.to}\n${candidatesText(candidates)}`);
  else tell(answer, () => `${answer.to} leads in term ${term}, after ${from}\n`);
}

const selfOf = async (client: Client): Promise<string> => {
  const page = await client.call<{ node: { name: string } }>('GET', '/status');
  return page.node.name;
};

const drainPath = (name: string): string => `/v1/drains/${encodeURIComponent(name)}`;

function drainText(state: DrainState): string {
  const { name, drained, leads, pinsAtRisk, allocated } = state;
  if (!state.draining) return `${name} is not draining\n`;
  if (drained) return `${name} is drained: it leads nothing and nothing would be missed\n`;
  const lead = leads ? 'still leads, ' : '';
  return `${name} is draining: ${lead}${pinsAtRisk} pins rely on it, ${allocated} are allocated\n`;
}

/** Asks until the node is drained; nothing else ends it but the time that was given. */
async function untilDrained(client: Client, name: string, limitMs: number): Promise<DrainState> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const state = await client.call<DrainState>('GET', drainPath(name));
    if (state.drained) return state;
    if (!state.draining) throw new ExitError('conflict', `${name} is not draining any more`);
    if (performance.now() >= endMs)
      throw new ExitError('not now', `not in time: ${drainText(state).trimEnd()}`);
    await wait(pollMs);
  }
}

async function drain({ client, args: [given], options, tell }: Context): Promise<void> {
  const name = given ?? (await selfOf(client));
  const { reason = '', wait: waits } = options as { reason?: string; wait?: boolean | string };
  const limitMs = typeof waits === 'string' ? durationMs(waits) : drainMsDefault;
  const json = { owner: ownerOf(), reason };
  const begun = await client.call<DrainState>('PUT', drainPath(name), { json });
  const state = waits === undefined ? begun : await untilDrained(client, name, limitMs);
  tell(state, () => drainText(state));
}

async function leave({ client, options, tell }: Context): Promise<void> {
  const { drain: drains = false, force = false } = options as { drain?: boolean; force?: boolean };
  const name = await selfOf(client);
  if (drains) {
    const json = { owner: ownerOf(), reason: 'leaves' };
    await client.call<DrainState>('PUT', drainPath(name), { json });
    await untilDrained(client, name, drainMsDefault);
  }
  const done = await client.call('POST', '/v1/leave', { json: { force, owner: ownerOf() } });
  tell(done, () => `${name} has left the cluster; its agent ends\n`);
}

async function pause({ client, options, tell }: Context): Promise<void> {
  const { reason = '', for: lasts } = options as { reason?: string; for?: string };
  const forMs = lasts === undefined ? null : durationMs(lasts);
  const json = { owner: ownerOf(), reason, forMs };
  const state = await client.call<PauseState>('PUT', '/v1/pause', { json });
  const until = state.until === null ? 'until somebody resumes' : `until ${state.until}`;
  tell(state, () => `automatic actions are paused ${until}, by ${state.by}\n`);
}

const turnMsDefault = 60_000;
const waitMsDefault = 600_000;

interface StopOptions {
  readonly reserve?: true | string;
  readonly wait?: true | string;
  readonly release?: true;
}

const durationOf = (given: true | string | undefined, otherwiseMs: number): number =>
  typeof given === 'string' ? durationMs(given) : otherwiseMs;

async function safeToStop({ client, options, tell }: Context): Promise<void> {
  const { reserve, wait: waits, release } = options as StopOptions;
  if (release) {
    const done = await client.call('DELETE', '/v1/safe-to-stop');
    tell(done, () => 'the turn is given back: this node stays\n');
    return;
  }
  const json = { forMs: durationOf(reserve, turnMsDefault) };
  const ask = (): Promise<SafeToStop> =>
    reserve === undefined
      ? client.call('GET', '/safe-to-stop', { accept: [503] })
      : client.call('POST', '/v1/safe-to-stop', { json, accept: [503] });
  const endMs = performance.now() + (waits === undefined ? 0 : durationOf(waits, waitMsDefault));
  let answer = await ask();
  while (!answer.safe && performance.now() < endMs) {
    await wait(pollMs);
    answer = await ask();
  }
  if (!answer.safe)
    throw new ExitError(
      'not now',
      answer.reasons.map(({ code, detail }) => `${code}: ${detail}`).join('\n'),
    );
  const turn = `, and nobody else for ${json.forMs / 1000} s or until it is back`;
  tell(answer, () => `this node may stop${reserve === undefined ? '' : turn}\n`);
}

function addMemberCommands(program: Command, act: Act): void {
  program
    .command('drain')
    .description('empties a node: no lead, no new copies, its copies are made elsewhere')
    .argument('[name]', 'default: this node')
    .option('--reason <text>')
    .option('--wait [duration]', 'until nothing relies on it (default: at most 10m)')
    .action(act(drain));
  program
    .command('undrain')
    .description('ends a drain')
    .argument('[name]', 'default: this node')
    .action(
      act(async ({ client, args: [given], tell }) => {
        const name = given ?? (await selfOf(client));
        const state = await client.call<DrainState>('DELETE', drainPath(name));
        tell(state, () => drainText(state));
      }),
    );
  program
    .command('leave')
    .description('this node stops being a member, and its agent ends')
    .option('--drain', 'drain it first, and wait for that')
    .option('--force', 'even where it would be missed')
    .action(act(leave));
  program
    .command('forget')
    .description('removes a member that is gone for good; it stays gone until it joins anew')
    .argument('<name>')
    .option('--force', 'even though it is alive')
    .action(
      act(async ({ client, args: [name = ''], options, tell }) => {
        const query = { owner: ownerOf(), force: options.force === true ? 'true' : 'false' };
        const path = `/v1/members/${encodeURIComponent(name)}`;
        const done = await client.call('DELETE', path, { query });
        tell(done, () => `${name} is forgotten\n`);
      }),
    );
}

export function addOperationCommands(program: Command, act: Act): void {
  program
    .command('switchover')
    .description('hands the lead over; ends with 0 only when the new leader confirms it')
    .option('--to <name>', 'the member that shall lead (default: the best candidate)')
    .option('--dry-run', 'only asks every candidate whether it could lead now')
    .action(act(switchover));
  addMemberCommands(program, act);
  program
    .command('pause')
    .description('pauses every automatic action of the cluster; elections go on')
    .option('--reason <text>')
    .option('--for <duration>', 'such as 30m (default: until somebody resumes)')
    .action(act(pause));
  program
    .command('resume')
    .description('ends a pause')
    .action(
      act(async ({ client, tell }) => {
        const done = await client.call('DELETE', '/v1/pause');
        tell(done, () => 'automatic actions go on\n');
      }),
    );
  program
    .command('safe-to-stop')
    .description('whether this node may stop now; ends with 9 and the reasons if not')
    .option('--reserve [duration]', 'and nobody else until this node is back (default: 1m)')
    .option('--wait [duration]', 'asks again until it may (default: at most 10m)')
    .option('--release', 'gives the turn back')
    .action(act(safeToStop));
}
