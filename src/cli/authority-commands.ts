/** Commands about the authority's key: which ones count, another one, the end of former ones. */
import type { Command } from 'commander';
import type { Act } from './program.ts';
import { tableOf } from './table.ts';

interface Report {
  readonly authorities: readonly { readonly fingerprint: string; readonly state: string }[];
  readonly members: readonly {
    readonly name: string;
    readonly role: string;
    readonly authority: string | null;
    readonly followed: boolean;
  }[];
  readonly statementsIgnored: number;
}

interface Rotated {
  readonly fingerprint: string;
  readonly was: string;
  readonly heldBy: readonly string[];
  readonly waiting: readonly string[];
}

interface Retired {
  readonly fingerprint: string;
  readonly retired: readonly string[];
  readonly behind: readonly string[];
  readonly tokensEnded: number;
}

function page({ authorities, members, statementsIgnored }: Report): string {
  const keys = authorities.map(({ fingerprint, state }) => [fingerprint, state]);
  const rows = members.map(({ name, role, authority, followed }) => [
    ...[name, role, authority ?? 'not seen', followed ? 'yes' : 'no'],
  ]);
  const ignored =
    statementsIgnored === 0
      ? ''
      : `\n${statementsIgnored} statements in the log are not signed by it and count for nothing\n`;
  return (
    `${tableOf(['AUTHORITY', 'STATE'], keys)}\n` +
    `${tableOf(['MEMBER', 'ROLE', 'CERTIFIED BY', 'FOLLOWED'], rows)}${ignored}`
  );
}

export function addAuthorityCommands(program: Command, act: Act): void {
  const authority = program.command('authority').description('the key that certifies members');
  authority
    .command('ls')
    .description('which keys count, and by which one each member is certified')
    .action(
      act(async ({ client, tell }) => {
        const report = await client.call<Report>('GET', '/v1/authority');
        tell(report, () => page(report));
      }),
    );
  authority
    .command('rotate')
    .description('makes a new key that signs from here on; former ones count until: retire')
    .action(
      act(async ({ client, tell }) => {
        const done = await client.call<Rotated>('POST', '/v1/authority/rotate');
        const { fingerprint, was, heldBy, waiting } = done;
        const later = waiting.length === 0 ? '' : `; not linked: ${waiting.join(', ')}`;
        tell(
          done,
          () =>
            `${fingerprint} follows ${was} and is held by ${heldBy.join(', ')}${later}\n` +
            'who has followed: authority ls; when all have: authority retire\n',
        );
      }),
    );
  authority
    .command('retire')
    .description('former keys count no more: nor do certificates and tokens signed by them')
    .option('--force', 'also where members have no certificate of the new one yet')
    .action(
      act(async ({ client, options, tell }) => {
        const json = { force: options.force === true };
        const done = await client.call<Retired>('POST', '/v1/authority/retire', { json });
        const { fingerprint, retired, behind, tokensEnded } = done;
        const late = behind.length === 0 ? '' : `to ask for a certificate: ${behind.join(', ')}\n`;
        const tokens = tokensEnded === 0 ? '' : `${tokensEnded} open join tokens ended with it\n`;
        tell(
          done,
          () => `${retired.join(', ')} counts no more, ${fingerprint} does\n${late}${tokens}`,
        );
      }),
    );
}
