/**
 * Commands about who may be what: join tokens, roles and revocations. They ask a running master.
 */
import { type Command, InvalidArgumentError } from 'commander';
import { roles } from '../wire/member.ts';
import type { Act } from './program.ts';
import { tableOf } from './table.ts';

interface TokenRow {
  readonly id: string;
  readonly role: string;
  readonly name: string | null;
  readonly zone: string | null;
  readonly state: string;
  readonly usedBy: string | null;
  readonly expiresAt: string;
}

interface RoleSet {
  readonly name: string;
  readonly role: string;
  readonly was: string;
  readonly changed: boolean;
  readonly handedOver: boolean;
}

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90s`, `15m`, `1h`, `2d` in seconds. */
export function secondsOf(text: string): number {
  const [, number, unit] = /^(\d{1,6}(?:\.\d{1,3})?)([smhd])$/.exec(text) ?? [];
  const seconds = Number(number) * (unitSeconds[unit ?? ''] ?? Number.NaN);
  if (!(seconds >= 1))
    throw new InvalidArgumentError('It takes a time such as 90s, 15m, 1h or 2d.');
  return seconds;
}

function roleOf(text: string): string {
  if ((roles as readonly string[]).includes(text)) return text;
  throw new InvalidArgumentError(`It takes one of ${roles.join(', ')}.`);
}

export function addIdentityCommands(program: Command, act: Act): void {
  const token = program.command('token').description('one-time tokens that let a machine join');
  token
    .command('create')
    .description('makes a token; the machine runs: bellwether join TOKEN')
    .requiredOption('--role <role>', roles.join(', '), roleOf)
    .option('--name <name>', 'the only name it may take (default: the machine chooses)')
    .option('--zone <zone>', 'the failure zone it gets (default: the machine chooses)')
    .option('--ttl <time>', 'how long it may be used, such as 15m, 1h or 2d', secondsOf, 3600)
    .action(
      act(async ({ client, io, options, tell }) => {
        const { role, name, zone, ttl } = options;
        const json = { role, name, zone, ttlSeconds: ttl };
        const made = await client.call<TokenRow & { token: string }>('POST', '/v1/tokens', {
          json,
        });
        // The text alone on standard output, so that a script can take it as it is.
        io.err(`for one ${made.role}, once, until ${made.expiresAt}; on that machine:\n`);
        io.err('  bellwether join TOKEN\n');
        tell(made, () => `${made.token}\n`);
      }),
    );
  token
    .command('ls')
    .description('the tokens that were made, and which are used')
    .action(
      act(async ({ client, tell }) => {
        const { tokens } = await client.call<{ tokens: TokenRow[] }>('GET', '/v1/tokens');
        const rows = tokens.map((row) => [
          ...[row.id, row.role, row.name ?? '', row.zone ?? '', row.state],
          ...[row.expiresAt, row.usedBy ?? ''],
        ]);
        const head = ['ID', 'ROLE', 'NAME', 'ZONE', 'STATE', 'EXPIRES', 'USED BY'];
        tell(tokens, () => tableOf(head, rows));
      }),
    );
  program
    .command('role')
    .description('roles of members')
    .command('set')
    .description('certifies a member in another role, in place')
    .argument('<name>', 'the member')
    .argument('<role>', roles.join(', '), roleOf)
    .action(
      act(async ({ client, args: [name = '', role = ''], tell }) => {
        const path = `/v1/members/${encodeURIComponent(name)}/role`;
        const done = await client.call<RoleSet>('POST', path, { json: { role } });
        const led = done.handedOver ? ', and gave the lead away first' : '';
        const now = done.changed ? `now, it was a ${done.was}${led}` : 'already';
        tell(done, () => `${done.name} is a ${done.role} ${now}\n`);
      }),
    );
  program
    .command('revoke <name>')
    .description('forgets a member and refuses its key for good')
    .option('--reason <text>', 'kept with it')
    .action(
      act(async ({ client, args: [name = ''], options, tell }) => {
        const path = `/v1/members/${encodeURIComponent(name)}/revoke`;
        const done = await client.call<{ revoked: string; peerId: string }>('POST', path, {
          json: { reason: options.reason },
        });
        tell(done, () => `${done.revoked} (${done.peerId}) is out, and its key is refused\n`);
      }),
    );
}
