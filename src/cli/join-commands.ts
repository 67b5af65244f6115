/**
 * `init` and `join`: a data folder with a certificate, as the first master of a new cluster or by a
 * token; `join` then runs the agent, in the foreground or as a service.
 */
import { homedir, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { nodeNameOf } from '../agent/config.ts';
import { runAgent, withAgentOptions } from './agent-command.ts';
import { tellError } from './connection.ts';
import { exitCodes } from './exit-code.ts';
import type { Io } from './io.ts';
import type { Run } from './program.ts';
import { installService } from './service-unit.ts';

interface FolderOptions {
  readonly data?: string;
  readonly name?: string;
  readonly zone?: string;
  readonly rank?: string;
  readonly json?: boolean;
}

const folderOf = (options: FolderOptions, env: Io['env']): string =>
  resolve(options.data ?? env.BELLWETHER_DATA ?? join(homedir(), '.bellwether'));

const nameOf = (options: FolderOptions): string => options.name ?? nodeNameOf(hostname());

async function init(options: FolderOptions, io: Io): Promise<number> {
  const data = folderOf(options, io.env);
  const { openDataFolder } = await import('../agent/data-folder.ts');
  const { foundCluster } = await import('../agent/trust/founding.ts');
  const folder = openDataFolder(data);
  try {
    const name = nameOf(options);
    const first = { name, zone: options.zone ?? 'default', rank: 0, workersMayLead: true };
    const { clusterId, peerId } = await foundCluster(folder, first, Date.now());
    if (options.json)
      io.out(`${JSON.stringify({ ok: true, name, role: 'master', clusterId, peerId, data })}\n`);
    else
      io.out(
        `${name} is the first master of cluster ${clusterId}; everything is in ${data}\n` +
          `start it: bellwether agent --data ${data}\n`,
      );
    return exitCodes.ok;
  } finally {
    folder.release();
  }
}

interface JoinOptions extends FolderOptions {
  readonly start: boolean;
  readonly service?: boolean;
}

async function joinBy(token: string, options: JoinOptions, io: Io): Promise<string> {
  const data = folderOf(options, io.env);
  const { openDataFolder } = await import('../agent/data-folder.ts');
  const { joinCluster } = await import('../agent/trust/joining.ts');
  const { createSystemClock } = await import('../agent/system-clock.ts');
  const folder = openDataFolder(data);
  try {
    const wish = { name: nameOf(options), zone: options.zone ?? null, rank: 0 };
    const joined = await joinCluster(folder, token, wish, createSystemClock());
    const { name, role, zone, clusterId } = joined;
    if (options.json) io.out(`${JSON.stringify({ ok: true, ...joined, data })}\n`);
    else io.out(`${name} is certified as ${role} of cluster ${clusterId}, zone ${zone}\n`);
    return name;
  } finally {
    folder.release();
  }
}

async function joinAndStart(
  token: string,
  options: JoinOptions & Readonly<Record<string, unknown>>,
  io: Io,
): Promise<number> {
  const { start, service, json, name: _, data: __, ...rest } = options;
  const name = await joinBy(token, options, io);
  const data = folderOf(options, io.env);
  if (service === true) {
    installService({ name, data, options: rest }, io);
    return exitCodes.ok;
  }
  if (start) return runAgent({ ...rest, data }, io);
  if (json !== true) io.out(`start it: bellwether agent --data ${data}\n`);
  return exitCodes.ok;
}

export function addJoinCommands(program: Command, io: Io, exit: Run): void {
  const ended = (run: Promise<number>, json: boolean): Promise<void> =>
    run
      .catch((thrown: unknown) => tellError(thrown, io, json))
      .then((code) => {
        exit(code);
        setImmediate(() => process.exit(code));
      });
  program
    .command('init')
    .description('makes a new cluster: its keys, and the folder of its first master')
    .option('--name <name>', 'name of this node (default: the host name)')
    .option('--zone <zone>', 'failure zone (default: default)')
    .option('--data <folder>', 'folder for everything this node keeps (default: ~/.bellwether)')
    .option('--json', 'answer as JSON')
    .action((options: FolderOptions) => ended(init(options, io), options.json === true));
  const command = program
    .command('join <token>')
    .description('joins a cluster by a token of `token create`, then runs the agent')
    .option('--name <name>', 'name of this node, if the token leaves it open')
    .option('--no-start', 'only join; start later with: bellwether agent')
    .option('--service', 'install and start a systemd service instead of running here')
    .option('--json', 'answer as JSON');
  withAgentOptions(command).action(
    (token: string, options: JoinOptions & Readonly<Record<string, unknown>>) =>
      ended(joinAndStart(token, options, io), options.json === true),
  );
}
