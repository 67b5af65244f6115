/**
 * `agent`: composes the agent and its status port and runs them until a signal, a fatal error, or
 * the end of the parent that watches over it. The port answers before the agent has joined and
 * until it has stopped, so that the probes can tell about both.
 */
import { networkInterfaces } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { loadConfig } from '../agent/config.ts';
import type { EpochOrder } from '../agent/recovery/recovery.ts';
import { version } from '../agent/version.ts';
import { tellError } from './connection.ts';
import { exitCodes } from './exit-code.ts';
import type { Io } from './io.ts';
import type { Run } from './program.ts';
import { statusUrlOf } from './status-url.ts';

/** A stop that hangs must not keep a service manager waiting for ever. */
const stopMsMax = 15_000;

interface End {
  readonly reason: string;
  readonly exit: number;
  /** Carried out once everything is closed; then the agent starts again. */
  readonly newEpoch?: EpochOrder;
}

/** Resolves when the process shall end; a second signal ends it on the spot. */
function watchForEnd(parentPipe: boolean) {
  const { promise, resolve } = Promise.withResolvers<End>();
  let signals = 0;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => {
      signals += 1;
      if (signals > 1) process.exit(exitCodes.failure);
      resolve({ reason: signal, exit: exitCodes.ok });
    });
  if (parentPipe) {
    // Whoever started us holds the other end; the kernel closes it even after kill -9.
    process.stdin.on('close', () => resolve({ reason: 'parent ended', exit: exitCodes.ok }));
    process.stdin.on('error', () => resolve({ reason: 'parent ended', exit: exitCodes.ok }));
    process.stdin.resume();
  }
  const fatal = (error: Error): void => {
    resolve({ reason: error.message, exit: exitCodes.failure });
  };
  const recover = (newEpoch: EpochOrder): void => {
    resolve({ reason: `new epoch ${newEpoch.epochId}`, exit: exitCodes.ok, newEpoch });
  };
  const left = (): void => resolve({ reason: 'left the cluster', exit: exitCodes.ok });
  return { ended: promise, fatal, recover, left };
}

/** The folder goes over to the new epoch, then this process runs the agent anew in place. */
async function beginEpoch(data: string, order: EpochOrder, io: Io): Promise<number> {
  const { forceNewEpoch } = await import('../agent/recovery/new-epoch.ts');
  const { epochId: epoch, identity } = order;
  const archive = await forceNewEpoch(data, { epoch, identity, wallMs: Date.now() });
  io.err(`bellwether: epoch ${order.epoch} (${epoch}) begins; the old log is in ${archive}\n`);
  const { execPath, execArgv, argv } = process;
  if (process.execve) process.execve(execPath, [execPath, ...execArgv, ...argv.slice(1)]);
  io.err('bellwether: start the agent again\n');
  return exitCodes.ok;
}

export async function runAgent(
  options: Readonly<Record<string, unknown>>,
  io: Io,
): Promise<number> {
  const { config: file, parentPipe, ...flags } = options;
  const config = loadConfig({
    file: typeof file === 'string' ? file : null,
    env: io.env,
    flags,
  });
  const { ended, fatal, recover, left } = watchForEnd(parentPipe === true);
  // The agent's packages are only loaded by the command that needs them.
  const { createAgent } = await import('../agent/agent.ts');
  const { createStatusPort } = await import('../http/status-port.ts');
  const hooks = { onFatal: fatal, onNewEpoch: recover, onLeft: left };
  const agent = await createAgent(config, hooks);
  const port = createStatusPort(agent, {
    host: config.httpHost,
    port: config.httpPort,
    names: config.httpHosts,
    version,
    onBug: (error, request) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      io.err(`http: ${request}: ${text}\n`);
    },
  });
  const { port: number } = await port.listen();
  const url = statusUrlOf(config.httpHost, number, networkInterfaces());
  agent.setStatusUrl(url);
  io.err(`${config.nodeId} (${config.role}) answers on ${url}\n`);
  const started = agent.start().then(
    () => {
      setFlagsFromString('--semi-space-growth-factor=2');
      return ended;
    },
    (error: Error): End & { thrown: Error } => ({
      reason: error.message,
      exit: exitCodes.failure,
      thrown: error,
    }),
  );
  const end: End & { thrown?: Error } = await Promise.race([ended, started]);
  setTimeout(() => {
    io.err(`bellwether: the stop took more than ${stopMsMax / 1000} s; ending\n`);
    process.exit(exitCodes.failure);
  }, stopMsMax).unref();
  await agent.stop(end.reason);
  await port.close();
  if (end.thrown) return tellError(end.thrown, io, false);
  if (end.newEpoch) return beginEpoch(config.data, end.newEpoch, io);
  if (end.exit !== exitCodes.ok) io.err(`bellwether: ${end.reason}\n`);
  return end.exit;
}

/** The options that both `agent` and `join` take. */
export function withAgentOptions(command: Command): Command {
  return command
    .option('--zone <zone>', 'failure zone, used to spread copies')
    .option('--config <file>', 'YAML file with any of these and more')
    .option('--data <folder>', 'folder for everything this node keeps (default: ~/.bellwether)')
    .option('--http-host <address>', 'address of the status port (default: 127.0.0.1)')
    .option('--http-port <port>', 'its port (default: 9099)')
    .option('--mesh-host <address>', 'address the mesh listens on (default: 0.0.0.0)')
    .option('--mesh-port <port>', 'its port (default: 4101)')
    .option('--peers <addresses>', 'where others listen: multiaddrs or host:port, with commas')
    .option('--workers-may-lead <bool>', 'whether a worker leads when no master can')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent')
    .option(
      '--start-daemon [types]',
      'runs daemons of this machine: ipfs (the default), or several with commas',
    )
    .option('--parent-pipe', 'stop when standard input closes (for programs that start agents)');
}

export function addAgentCommand(program: Command, io: Io, exit: Run): void {
  const command = program
    .command('agent')
    .description('runs one agent in the foreground')
    .option('--role <role>', 'must be the role of its certificate (default: that role)')
    .option('--node-id <name>', 'name of this node (default: the one in its certificate)')
    .option('--network-key-file <file>', 'the key of the private network')
    .option(
      '--start-cluster',
      'join the mesh; as a master in an empty folder make a new cluster first, as init does',
    );
  withAgentOptions(command).action(async (options: Record<string, unknown>) => {
    const code = await runAgent(options, io).catch((thrown) => tellError(thrown, io, false));
    exit(code);
    // Threads and sockets of a library may linger; everything that had to be written is.
    setImmediate(() => process.exit(code));
  });
}
