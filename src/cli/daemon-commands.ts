/**
 * Commands about the daemons of the agent's machine: how they stand, start, stop, restart, their
 * output, and whether they are healed. A start that did not come about ends with 1 and the reason.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import type { DaemonView } from '../daemons/api.ts';
import type { Client } from './client.ts';
import { ExitError } from './exit-code.ts';
import type { Act, Context } from './program.ts';
import { tableOf } from './table.ts';

const followEveryMs = 500;
const typeHelp = 'ipfs, ipfs_cluster_service, ipfs_cluster_follow or lotus';

interface Output {
  readonly lines: readonly string[];
  readonly cursor: string;
}

const pathOf = (type: string | undefined, rest = ''): string =>
  `/v1/daemons/${encodeURIComponent(type ?? '')}${rest}`;

const portsOf = ({ ports }: DaemonView): string =>
  Object.entries(ports)
    .map(([name, port]) => `${name} ${port}`)
    .join(', ');

function waitsOf({ cooldownMsRemaining, held }: DaemonView): string {
  if (held !== null) return `not healed: ${held}`;
  return cooldownMsRemaining > 0 ? `next start in ${Math.ceil(cooldownMsRemaining / 1000)} s` : '';
}

const daemonTable = (daemons: readonly DaemonView[]): string =>
  tableOf(
    ['DAEMON', 'MODE', 'STATE', 'WANTED', 'PID', 'RESTARTS', 'HEAL', 'DETAIL'],
    daemons.map((each) => [
      each.type,
      each.mode,
      each.state,
      each.mode === 'off' ? '' : each.desired,
      each.pid === null ? '' : String(each.pid),
      each.mode === 'managed' ? String(each.restarts) : '',
      each.mode === 'managed' ? (each.autoHeal ? 'on' : 'off') : '',
      each.finding?.detail ?? (waitsOf(each) || (each.checkError ?? '')),
    ]),
  );

function daemonText(view: DaemonView): string {
  const { lastFailure, finding } = view;
  const lines: [string, string | null][] = [
    ['daemon', `${view.type} (${view.title}), ${view.mode}`],
    ['state', `${view.state}, wanted: ${view.desired}${view.adopted ? ', adopted' : ''}`],
    ['waits', waitsOf(view) || null],
    ['process', view.pid === null ? null : `pid ${view.pid}, restarts ${view.restarts}`],
    ['api', view.url],
    ['ports', portsOf(view) || null],
    ['says', finding === null ? null : `${finding.detail} (${view.findingAt})`],
    ['check', view.checkError],
    ['heal', view.mode === 'managed' ? (view.autoHeal ? 'on' : 'off') : null],
    ['failed', lastFailure && `${lastFailure.cause} at ${lastFailure.at}: ${lastFailure.detail}`],
    ['alert', view.alertSince && `since ${view.alertSince}`],
    ['folder', view.folder],
    ['binary', view.binary],
    ...view.notes.map((note): [string, string] => ['note', note]),
    ...view.unenforced.map((text): [string, string] => ['limit', text]),
    ...(finding?.problems ?? []).map(({ text }): [string, string] => ['problem', text]),
  ];
  return lines
    .filter(([, text]) => text !== null)
    .map(([name, text]) => `${name.padEnd(8)} ${text}\n`)
    .join('');
}

async function followOutput({ client, io, args, json }: Context, from: Output): Promise<void> {
  const show = ({ lines }: Output): void => {
    for (const line of lines) io.out(json ? `${JSON.stringify({ line })}\n` : `${line}\n`);
  };
  show(from);
  for (let { cursor } = from; ; ) {
    await wait(followEveryMs);
    const query = { after: cursor, lines: 1000 };
    const next = await client.call<Output>('GET', pathOf(args[0], '/logs'), { query });
    show(next);
    cursor = next.cursor;
  }
}

const wishedFor = { start: 'running', restart: 'running', stop: 'stopped' } as const;

function addAct(daemon: Command, act: Act, what: keyof typeof wishedFor, text: string): void {
  const command = daemon
    .command(what)
    .description(text)
    .argument('<daemon>', typeHelp)
    .option('--timeout <seconds>', 'how long to wait until it came about', '60');
  if (what !== 'stop') command.option('--force', 'does not wait for a cool-down');
  command.action(
    act(async ({ client, tell, args, options }) => {
      const json = {
        force: options.force === true,
        timeoutMs: Math.round(Number(options.timeout) * 1000),
      };
      const view = await client.call<DaemonView>('POST', pathOf(args[0], `/${what}`), { json });
      if (view.state !== wishedFor[what]) {
        const why = view.lastFailure
          ? `: ${view.lastFailure.cause}, ${view.lastFailure.detail}`
          : '';
        throw new ExitError('failure', `${view.title} is ${view.state}${why}`);
      }
      tell(view, () => daemonText(view));
    }),
  );
}

const list = (client: Client): Promise<{ daemons: DaemonView[] }> =>
  client.call('GET', '/v1/daemons');

export function addDaemonCommands(program: Command, act: Act): void {
  const daemon = program.command('daemon').description("the daemons on the agent's machine");
  daemon
    .command('ls')
    .description('every kind of daemon and how it stands')
    .action(
      act(async ({ client, tell }) => {
        const { daemons } = await list(client);
        tell(daemons, () => daemonTable(daemons));
      }),
    );
  daemon
    .command('status')
    .description('one daemon in detail, looked at now')
    .argument('<daemon>', typeHelp)
    .action(
      act(async ({ client, tell, args }) => {
        const query = { timeoutMs: 5000 };
        const view = await client.call<DaemonView>('GET', pathOf(args[0]), { query });
        tell(view, () => daemonText(view));
      }),
    );
  addAct(daemon, act, 'start', 'starts it, and waits until it is ready');
  addAct(daemon, act, 'stop', 'stops it; it stays stopped until it is started again');
  addAct(daemon, act, 'restart', 'stops it and starts it again');
  daemon
    .command('logs')
    .description('what it printed last')
    .argument('<daemon>', typeHelp)
    .option('-n, --lines <count>', 'how many lines', '100')
    .option('-f, --follow', 'goes on with what it prints from now on')
    .action(
      act(async (context) => {
        const { client, tell, args, options } = context;
        const query = { lines: Number(options.lines) };
        const found = await client.call<Output>('GET', pathOf(args[0], '/logs'), { query });
        if (options.follow === true) await followOutput(context, found);
        else tell(found, () => found.lines.map((line) => `${line}\n`).join(''));
      }),
    );
  daemon
    .command('heal')
    .description('switches healing on or off; kept over restarts of the agent')
    .argument('<daemon>', typeHelp)
    .argument('<on|off>', 'on: it is restarted when it fails')
    .action(
      act(async ({ client, tell, args }) => {
        const [type, word] = args;
        if (word !== 'on' && word !== 'off')
          throw new ExitError('usage', `heal: got '${word}'. It takes on or off`);
        const json = { auto_heal: word === 'on' };
        const view = await client.call<DaemonView>('PUT', pathOf(type), { json });
        tell(view, () => `${view.title}: healing is ${view.autoHeal ? 'on' : 'off'}\n`);
      }),
    );
}
