/**
 * `index put|get|ls|rm|cas`: the entries of the shared index.
 */
import { readFileSync } from 'node:fs';
import { text as readText } from 'node:stream/consumers';
import type { Command } from 'commander';
import { indexTypes } from '../wire/command.ts';
import { ExitError } from './exit-code.ts';
import type { Act, Context } from './program.ts';
import { ageOf, tableOf } from './table.ts';

interface Written {
  readonly key: string;
  readonly version: number | null;
  readonly index: number;
}

interface Entry {
  readonly key: string;
  readonly value: unknown;
  readonly version: number;
}

interface Page {
  readonly entries: readonly Entry[];
  readonly next: string | null;
}

interface Fresh {
  readonly appliedIndex: number;
  readonly staleMs: number | null;
}

const typeHelp = `one of ${indexTypes.join(', ')}`;
const valueHelp = 'a JSON object, @FILE, or - for standard input';
const valueCharactersShown = 80;

const entryPath = (type: string | undefined, key: string | undefined): string =>
  `/v1/index/${encodeURIComponent(type ?? '')}/${encodeURIComponent(key ?? '')}`;

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ExitError('usage', `the value can't be read: ${(cause as Error).message}`, { cause });
  }
}

async function valueFrom(given: string | undefined): Promise<unknown> {
  const text =
    given === '-'
      ? await readText(process.stdin)
      : given?.startsWith('@') === true
        ? contentOf(given.slice(1))
        : (given ?? '');
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ExitError('usage', `the value is not JSON: ${why}. It takes ${valueHelp}`, { cause });
  }
}

async function put({ client, args, tell }: Context, given: string | undefined, version?: string) {
  const [type, key] = args;
  if (version !== undefined && !/^\d+$/.test(version))
    throw new ExitError('usage', `VERSION: got '${version}'. It takes a whole number from 0`);
  const done = await client.write<Written>('PUT', entryPath(type, key), {
    json: await valueFrom(given),
    query: { expectedVersion: version },
  });
  tell(done, () => `${done.key} is at version ${done.version}\n`);
}

const freshText = ({ appliedIndex, staleMs }: Fresh): string =>
  `(this node's copy at log index ${appliedIndex}, last word of a leader ${ageOf(staleMs)} ago)`;

const consistencyOf = (options: Context['options']): string | undefined =>
  options.linearizable === true ? 'linearizable' : undefined;

async function list({ client, args: [type = ''], options, tell }: Context): Promise<void> {
  const { prefix, limit, after } = options as Record<string, string | undefined>;
  const query = { prefix, limit, after, consistency: consistencyOf(options) };
  const path = `/v1/index/${encodeURIComponent(type)}`;
  const page = await client.call<Page & Fresh>('GET', path, { query });
  tell(page, () => {
    const rows = page.entries.map((entry) => [
      entry.key,
      entry.version,
      JSON.stringify(entry.value).slice(0, valueCharactersShown),
    ]);
    const more = page.next === null ? '' : `more: --after '${page.next}'\n`;
    return `${tableOf(['KEY', 'VERSION', 'VALUE'], rows)}${more}${freshText(page)}\n`;
  });
}

export function addIndexCommands(program: Command, act: Act): void {
  const index = program.command('index').description('the entries of the shared index');
  index
    .command('put')
    .description('writes one entry')
    .argument('<type>', typeHelp)
    .argument('<key>')
    .argument('<value>', valueHelp)
    .action(act((context) => put(context, context.args[2])));
  index
    .command('cas')
    .description(
      'writes one entry if it is at VERSION (0: if it does not exist); ends with 4 if not',
    )
    .argument('<type>', typeHelp)
    .argument('<key>')
    .argument('<version>')
    .argument('<value>', valueHelp)
    .action(act((context) => put(context, context.args[3], context.args[2])));
  index
    .command('get')
    .description('reads one entry; ends with 3 if it does not exist')
    .argument('<type>', typeHelp)
    .argument('<key>')
    .option('--linearizable', 'see every write acknowledged before: asks the leader')
    .action(
      act(async ({ client, args: [type, key], options, tell }) => {
        const query = { consistency: consistencyOf(options) };
        const entry = await client.call<Entry & Fresh>('GET', entryPath(type, key), { query });
        const value = () => JSON.stringify(entry.value, null, 2);
        tell(entry, () => `${value()}\nversion ${entry.version} ${freshText(entry)}\n`);
      }),
    );
  index
    .command('ls')
    .description('entries in the order of their keys')
    .argument('<type>', typeHelp)
    .option('--prefix <text>', 'only keys that start with it')
    .option('--limit <count>', 'at most so many', Number, 100)
    .option('--after <key>', 'go on after this key')
    .option('--linearizable', 'see every write acknowledged before: asks the leader')
    .action(act(list));
  index
    .command('rm')
    .description('removes one entry; ends with 3 if it does not exist')
    .argument('<type>', typeHelp)
    .argument('<key>')
    .option('--if-version <version>', 'only if it is at this version')
    .action(
      act(async ({ client, args: [type, key], options, tell }) => {
        const query = { expectedVersion: options.ifVersion as string | undefined };
        const done = await client.write<Written>('DELETE', entryPath(type, key), { query });
        tell(done, () => `removed ${done.key}\n`);
      }),
    );
}
