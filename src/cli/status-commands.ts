/**
 * Commands that look: status, members, leader.
 */
import type { Command } from 'commander';
import type { LeaderAnswer } from '../agent/api.ts';
import type { Client, Verb } from './client.ts';
import { ExitError } from './exit-code.ts';
import type { Act } from './program.ts';
import { ageOf, sizeOf, tableOf } from './table.ts';

interface MemberRow {
  readonly name: string;
  readonly role: string;
  readonly state: string;
  readonly health: string;
  readonly score: number | null;
  readonly statusUrl: string | null;
  readonly zone: string;
  readonly lastSeenMs: number | null;
  readonly draining?: boolean;
  /** No member any more. */
  readonly departed?: true;
  readonly alarms?: readonly string[];
}

/** The parts of the status page that a person sees; the page itself is in docs/status-api.md. */
interface Page {
  readonly mode: 'normal' | 'degraded';
  readonly degradedReason: string | null;
  readonly cluster: { readonly id: string; readonly name: string; readonly epoch: unknown };
  readonly node: {
    readonly name: string;
    readonly role: string;
    readonly version: string;
    readonly canLead: boolean;
    readonly cannotLeadReason: string | null;
  };
  readonly election: {
    readonly state: string;
    readonly acting: boolean;
    readonly leader: { readonly name: string; readonly role: string } | null;
    readonly term: number;
    readonly voters: readonly { readonly name: string }[];
    readonly quorum: number;
    readonly failureTolerance: number;
  };
  readonly members: readonly MemberRow[];
  /** Left or forgotten: no members any more. */
  readonly departed?: readonly MemberRow[];
  readonly paused?: {
    readonly by: string;
    readonly reason: string;
    readonly until: string | null;
  } | null;
  readonly log: { readonly commitIndex: number; readonly appliedIndex: number };
  readonly replication: {
    readonly pins: number;
    readonly underReplicated: number;
    readonly fetching: number;
    readonly failed: number;
    readonly bytesStored: number;
    readonly bytesFree: number;
  } | null;
}

/** The page calls a member that stopped on purpose `left`; here that word is for who is none. */
const stateText = ({ state, departed, draining, alarms = [] }: MemberRow): string =>
  [
    state === 'left' && !departed ? 'stopped' : state,
    ...(draining ? ['draining'] : []),
    ...alarms,
  ].join(', ');

const membersTable = (members: readonly MemberRow[], leader: string | null): string =>
  tableOf(
    ['NAME', 'ROLE', 'STATE', 'HEALTH', 'SCORE', 'LEADS', 'ZONE', 'LAST SEEN', 'STATUS URL'],
    members.map((each) => [
      each.name,
      each.role,
      stateText(each),
      each.health,
      each.score,
      each.name === leader ? 'yes' : '',
      each.zone,
      ageOf(each.lastSeenMs),
      each.statusUrl,
    ]),
  );

function statusText(page: Page): string {
  const { cluster, node, election, log, replication } = page;
  const leads = election.leader
    ? `${election.leader.name} (${election.leader.role})`
    : 'nobody, no leader is known';
  const voters = election.voters.map(({ name }) => name).join(', ');
  const lines: [string, string][] = [
    ['node', `${node.name}, ${node.role}, ${election.state}, version ${node.version}`],
    ['can lead', node.canLead ? 'yes' : `no: ${node.cannotLeadReason ?? 'no reason told'}`],
    ['cluster', `${cluster.name} ${cluster.id}`],
    ['leader', `${leads}, term ${election.term}`],
    ['mode', page.mode === 'normal' ? 'normal' : `degraded: ${page.degradedReason}`],
    [
      'voters',
      `${voters}; quorum ${election.quorum}, may lose ${election.failureTolerance} of them`,
    ],
    ['log', `committed ${log.commitIndex}, applied here ${log.appliedIndex}`],
  ];
  if (page.paused) {
    const { by, reason, until } = page.paused;
    lines.push(['paused', `by ${by}: ${reason || 'no reason told'}; until ${until ?? 'resumed'}`]);
  }
  if (replication) {
    const { pins, underReplicated, fetching, failed, bytesStored, bytesFree } = replication;
    const short = `under-replicated ${underReplicated}`;
    lines.push(['pins', `${pins}, ${short}, fetching ${fetching}, failed ${failed}`]);
    lines.push(['store', `${sizeOf(bytesStored)}, free ${sizeOf(bytesFree)}`]);
  }
  const told = lines.map(([name, text]) => `${name.padEnd(9)} ${text}\n`).join('');
  return `${told}\n${membersTable(page.members, election.leader?.name ?? null)}`;
}

/** Asks `/leader`, whose 503 is an answer too: who leads instead. */
export const leaderNow = (client: Client): Promise<LeaderAnswer> =>
  client.call('GET' satisfies Verb, '/leader', { accept: [503] });

const leaderText = ({ leader, term, acting }: LeaderAnswer): string =>
  `${leader?.name} (${leader?.role}) leads in term ${term}${acting ? ', and is this node' : ''}` +
  `${leader?.statusUrl ? `; its status port: ${leader.statusUrl}` : ''}\n`;

export function addStatusCommands(program: Command, act: Act): void {
  program
    .command('status')
    .description('what this agent knows: who leads, members, log, pins')
    .action(
      act(async ({ client, tell }) => {
        const page = await client.call<Page>('GET', '/status');
        tell(page, () => statusText(page));
      }),
    );
  program
    .command('members')
    .description('every member with role, state and status port')
    .action(
      act(async ({ client, tell }) => {
        const page = await client.call<Page>('GET', '/status');
        const { members, departed = [], election } = page;
        const more = { departed: true, lastSeenMs: null, statusUrl: null } as const;
        const gone = departed.map((each) => ({ ...each, ...more }));
        const all = [...members, ...gone];
        tell(all, () => membersTable(all, election.leader?.name ?? null));
      }),
    );
  program
    .command('leader')
    .description('who leads; ends with 5 if nobody does')
    .action(
      act(async ({ client, tell }) => {
        const answer = await leaderNow(client);
        if (answer.leader === null)
          throw new ExitError('no leader', `nobody leads: ${answer.reason ?? 'no reason told'}`);
        tell(answer, () => leaderText(answer));
      }),
    );
}
