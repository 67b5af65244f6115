/** `why leader`, `why election N`, `why-not NAME`: the stored ballots, counted again. */
import type { Command } from 'commander';
import type {
  ElectionAccount,
  LeaderAccount,
  TermAccount,
  WhyNot,
} from '../agent/operations/api.ts';
import type { Client } from './client.ts';
import type { Act } from './program.ts';
import { tableOf } from './table.ts';

type NameOf = (peer: string) => string;

async function namesOf(client: Client): Promise<NameOf> {
  type Row = { readonly peerId: string; readonly name: string };
  const page = await client.call<{ members: Row[]; departed?: Row[] }>('GET', '/status');
  const names = new Map(
    [...(page.departed ?? []), ...page.members].map((row) => [row.peerId, row.name]),
  );
  return (peer) => names.get(peer) ?? peer;
}

function electionText(account: ElectionAccount, nameOf: NameOf): string {
  const { ballot, recount, agrees, granted, refused, others } = account;
  const list = (peers: readonly string[]): string => peers.map(nameOf).join(', ') || 'nobody';
  const how = ballot.transfer ? 'by hand-over' : 'by election';
  const outcome = ballot.won ? `won ${how}` : 'did not win';
  const no = refused.map(({ peer, code }) => `${nameOf(peer)} (${code})`);
  const lines = [
    `${nameOf(ballot.candidate)} ${outcome} in term ${ballot.term}`,
    `voters   ${list(ballot.voters)}${ballot.outgoing ? ` and ${list(ballot.outgoing)}` : ''}`,
    `granted  ${list(granted)}`,
    `refused  ${no.join(', ') || 'nobody'}`,
    `recount  ${recount}${agrees ? '' : ', WHICH IS NOT WHAT HAPPENED'}`,
  ];
  const rows = others.map(({ peer, code }) => [nameOf(peer), code]);
  return `${lines.join('\n')}\n\n${tableOf(['OTHER VOTER', 'WHY NOT'], rows)}`;
}

function attemptText(
  { ballot, recount, agrees, refused }: ElectionAccount,
  nameOf: NameOf,
): string {
  const what = ballot.kind === 'vote' ? 'asked for votes' : 'asked whether it could win';
  const no = refused.map(({ peer, code }) => `${nameOf(peer)} (${code})`).join(', ');
  const outcome = ballot.heldBack ? 'held back' : ballot.won ? 'it could' : 'in vain';
  const doubt = agrees ? '' : `, COUNTED AGAIN: ${recount}`;
  const by = no === '' ? '' : `; refused by ${no}`;
  return `${nameOf(ballot.candidate)} ${what}: ${outcome}${by}${doubt}`;
}

function termText({ term, election, attempts, unheard }: TermAccount, nameOf: NameOf): string {
  const parts = [
    election === null
      ? `nobody is known to have won term ${term}\n`
      : electionText(election, nameOf).trimEnd(),
  ];
  if (attempts.length > 0)
    parts.push(`\n${attempts.map((one) => attemptText(one, nameOf)).join('\n')}`);
  if (unheard.length > 0) parts.push(`\nnot heard: ${unheard.map(nameOf).join(', ')}`);
  return `${parts.join('\n')}\n`;
}

export function addWhyCommands(program: Command, act: Act): void {
  const why = program.command('why').description('why somebody leads, from the stored ballots');
  why
    .command('leader')
    .description('how the leader of now was elected')
    .action(
      act(async ({ client, tell }) => {
        const account = await client.call<LeaderAccount>('GET', '/v1/why/leader');
        const nameOf = await namesOf(client);
        const { leader, term, election } = account;
        tell(account, () =>
          election === null
            ? `${nameOf(leader)} leads in term ${term}; its ballot is not here (yet)\n`
            : electionText(election, nameOf),
        );
      }),
    );
  why
    .command('election')
    .description('how the election of a term went')
    .argument('<term>')
    .action(
      act(async ({ client, args: [term = ''], tell }) => {
        const path = `/v1/why/elections/${encodeURIComponent(term)}`;
        const account = await client.call<TermAccount>('GET', path);
        const nameOf = await namesOf(client);
        tell(account, () => termText(account, nameOf));
      }),
    );
  program
    .command('why-not')
    .description('why a member does not lead: one code')
    .argument('<name>')
    .action(
      act(async ({ client, args: [name = ''], tell }) => {
        const answer = await client.call<WhyNot>(
          'GET',
          `/v1/why/members/${encodeURIComponent(name)}`,
        );
        const nameOf = await namesOf(client);
        const { term, winner, code } = answer;
        tell(answer, () => `${name}: ${code} (term ${term}, ${nameOf(winner)} leads)\n`);
      }),
    );
}
