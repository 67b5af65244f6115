/**
 * The command line as a whole: which commands there are, how each is run, and how whatever happens
 * becomes one line and an exit code. It owns no command's work.
 */
import { Command, CommanderError } from 'commander';
import { version } from '../agent/version.ts';
import { addAgentCommand } from './agent-command.ts';
import { addAuthorityCommands } from './authority-commands.ts';
import { addBackupCommands } from './backup-commands.ts';
import type { Client } from './client.ts';
import { type ConnectionOptions, clientOf, tellError, withConnection } from './connection.ts';
import { addContentCommands } from './content-commands.ts';
import { addDaemonCommands } from './daemon-commands.ts';
import { addDemoCommand } from './demo-command.ts';
import { addDoctorCommand } from './doctor/doctor-command.ts';
import { exitCodes } from './exit-code.ts';
import { addHealthCommand } from './health-command.ts';
import { addIdentityCommands } from './identity-commands.ts';
import { addIndexCommands } from './index-commands.ts';
import type { Io } from './io.ts';
import { addJoinCommands } from './join-commands.ts';
import { addNetworkKeyCommands } from './network-key-commands.ts';
import { addOperationCommands } from './operation-commands.ts';
import { addPinCommands } from './pin-commands.ts';
import { addRecoveryCommands } from './recovery-commands.ts';
import { addSimCommand } from './sim-command.ts';
import { addStatusCommands } from './status-commands.ts';
import { addWhyCommands } from './why-commands.ts';

export interface Context {
  readonly client: Client;
  readonly io: Io;
  /** Positional arguments, in order; those not given are undefined. */
  readonly args: readonly (string | undefined)[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly json: boolean;
  /** The command's result: as one line of JSON, or as text for a person. */
  tell(value: unknown, text: () => string): void;
}

/** Makes a commander action out of a command that talks to an agent. */
export type Act = (
  run: (context: Context) => Promise<void>,
) => (...given: unknown[]) => Promise<void>;

/** What a command that needs no agent answers: its exit code. */
export type Run = (exit: number) => void;

function actFor(io: Io, exit: Run): Act {
  return (run) =>
    async (...given) => {
      const command = given.at(-1) as Command;
      const options = command.opts<ConnectionOptions & Record<string, unknown>>();
      const json = options.json === true;
      let client: Client | null = null;
      try {
        client = clientOf(options, io);
        await run({
          client,
          io,
          args: given.slice(0, -2) as (string | undefined)[],
          options,
          json,
          tell: (value, text) => io.out(json ? `${JSON.stringify(value)}\n` : text()),
        });
      } catch (thrown) {
        exit(tellError(thrown, io, json));
      } finally {
        await client?.close();
      }
    };
}

function leavesOf(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
}

const exitHelp = Object.entries(exitCodes)
  .map(([name, code]) => `${code} ${name}`)
  .join(', ');

function createProgram(io: Io, exit: Run): Command {
  const program = new Command('bellwether')
    .description('The agent that leads a flock of IPFS and Filecoin machines, and its commands.')
    .version(version)
    .addHelpText('after', `\nExit codes: ${exitHelp}`);
  const act = actFor(io, exit);
  addStatusCommands(program, act);
  addHealthCommand(program, act);
  addDoctorCommand(program, act);
  addContentCommands(program, act);
  addPinCommands(program, act);
  addIndexCommands(program, act);
  addDaemonCommands(program, act);
  addOperationCommands(program, act);
  addWhyCommands(program, act);
  addIdentityCommands(program, act);
  addNetworkKeyCommands(program, act);
  addAuthorityCommands(program, act);
  for (const leaf of leavesOf(program)) withConnection(leaf);
  addBackupCommands(program, io, exit);
  addRecoveryCommands(program, io, exit);
  addAgentCommand(program, io, exit);
  addJoinCommands(program, io, exit);
  addDemoCommand(program, io, exit);
  addSimCommand(program, io, exit);
  const settle = (command: Command): void => {
    command.exitOverride();
    command.configureOutput({ writeOut: io.out, writeErr: io.err });
    command.showHelpAfterError('(--help tells what it takes)');
    command.commands.forEach(settle);
  };
  settle(program);
  return program;
}

/** Runs one command line (without node and script) and resolves with its exit code. */
export async function runProgram(argv: readonly string[], io: Io): Promise<number> {
  let exit: number = exitCodes.ok;
  const program = createProgram(io, (code) => {
    exit = code;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) return tellError(thrown, io, false);
    // Help and version end like this too, with 0; every other one is a usage mistake, told already.
    return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  }
  return exit;
}
