/**
 * The options that every command against a running agent takes, and the client they make. The token
 * is looked for where it was named, then in the environment, then in the data folder of an agent on
 * this machine; reads go on without one.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { asAgentError } from '../base/error.ts';
import { type Client, createClient } from './client.ts';
import { ExitError, exitCodeOf, exitCodes } from './exit-code.ts';
import type { Io } from './io.ts';
import { clean } from './table.ts';

export const urlDefault = 'http://127.0.0.1:9099';
export const tokenFileName = 'http.token';

export interface ConnectionOptions {
  readonly json?: boolean;
  readonly url?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly data?: string;
}

export function withConnection(command: Command): Command {
  return command
    .option('--json', 'answer as JSON')
    .option('--url <url>', `the agent's status port (default: $BELLWETHER_URL or ${urlDefault})`)
    .option('--token <token>', 'its token, for whatever changes something ($BELLWETHER_TOKEN)')
    .option('--token-file <file>', 'file that holds the token')
    .option('--data <folder>', `data folder of the agent; its ${tokenFileName} holds the token`);
}

/** The text of a token file; null if a file that nobody named is not there. */
function tokenIn(file: string, named: boolean): string | null {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    if (!named && cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ExitError('usage', `the token can't be read: ${why}`, { cause });
  }
}

export function tokenOf(options: ConnectionOptions, env: Io['env']): string | null {
  if (options.token !== undefined) return options.token;
  if (options.tokenFile !== undefined) return tokenIn(options.tokenFile, true);
  if (options.data !== undefined) return tokenIn(join(options.data, tokenFileName), true);
  if (env.BELLWETHER_TOKEN) return env.BELLWETHER_TOKEN;
  const folder = env.BELLWETHER_DATA ?? join(homedir(), '.bellwether');
  return tokenIn(join(folder, tokenFileName), false);
}

function urlOf(options: ConnectionOptions, env: Io['env']): string {
  const text = options.url ?? env.BELLWETHER_URL ?? urlDefault;
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new ExitError('usage', `--url: got '${text}'. It takes an URL such as ${urlDefault}`);
  return url.href.replace(/\/$/, '');
}

export function clientOf(options: ConnectionOptions, io: Io): Client {
  return createClient(urlOf(options, io.env), tokenOf(options, io.env));
}

/** Tells an error in one line and answers with the exit code for it. */
export function tellError(thrown: unknown, io: Io, json: boolean): number {
  const isExit = thrown instanceof ExitError;
  const error = isExit ? thrown : asAgentError(thrown);
  const exit = isExit ? exitCodes[thrown.exit] : exitCodeOf(asAgentError(thrown).code);
  const code = isExit ? thrown.exit.replaceAll(' ', '-') : asAgentError(thrown).code;
  if (json) io.out(`${JSON.stringify({ ok: false, code, detail: error.message, exit })}\n`);
  io.err(`bellwether: ${error.message.split('\n').map(clean).join('\n')}\n`);
  return exit;
}

/** Runs a command of its own kind and tells its result, or its error, as all commands do. */
export async function told(
  io: Io,
  exit: (code: number) => void,
  json: boolean,
  work: () => Promise<{ readonly value: object; readonly text: string }>,
): Promise<void> {
  try {
    const { value, text } = await work();
    io.out(json ? `${JSON.stringify({ ok: true, ...value })}\n` : text);
    exit(exitCodes.ok);
  } catch (thrown) {
    exit(tellError(thrown, io, json));
  }
}
