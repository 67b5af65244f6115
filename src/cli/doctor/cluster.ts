/**
 * What the agent's pages say that somebody should do something about: the mode, this node's health,
 * members that are away, links that are missing, identities and connections that were refused.
 */
import { asAgentError } from '../../base/error.ts';
import type { Client } from '../client.ts';
import type { Finding } from './machine.ts';

/** Older ones are on the status page, and no news. */
const refusedRecentMs = 10 * 60_000;

export interface Page {
  readonly node: { readonly name: string };
  readonly mode: string;
  readonly degradedReason: string | null;
  readonly members: readonly {
    readonly name: string;
    readonly state: string;
    readonly alarms?: readonly string[];
    readonly dialable?: boolean | null;
    readonly notDialledBy?: readonly string[];
  }[];
  readonly trust?: {
    readonly connectionsRefused?: {
      readonly total: number;
      readonly last: {
        readonly at: string;
        readonly address: string;
        readonly host: string;
        readonly detail: string;
      } | null;
    };
  };
  readonly health: {
    readonly reasons: readonly {
      readonly component: string;
      readonly code: string;
      readonly detail: string;
    }[];
  };
}

export interface Member {
  readonly name: string;
  readonly unreachable: readonly string[];
}

const problem = (what: string, detail: string, remedy: string): Finding => ({
  ...{ state: 'problem', what, detail, remedy },
});

function membersFindings({ members }: Page): Finding[] {
  const away = members
    .filter(({ state }) => state === 'failed' || state === 'suspect')
    .map(({ name, state }) =>
      problem(
        `member ${name}`,
        `it is ${state}`,
        'start its agent, or forget it where it will not come back',
      ),
    );
  const twice = members
    .filter(({ alarms = [] }) => alarms.includes('identity-clash'))
    .map(({ name }) =>
      problem(
        `identity of ${name}`,
        'two machines run with its key',
        'stop the copy. If it votes: stop both, run repair --as-new-node on each that shall ' +
          `stay, forget ${name} on another member, and let them join with new tokens`,
      ),
    );
  const hidden = members
    .filter(({ dialable, notDialledBy = [] }) => dialable === false && notDialledBy.length > 0)
    .map(({ name, notDialledBy = [] }) =>
      problem(
        `address of ${name}`,
        `${notDialledBy.join(', ')} can't dial it, so it is not made a voter`,
        'does a firewall let its mesh port through; does it announce an address that others can ' +
          'dial (announce); a leecher may be dialOutOnly',
      ),
    );
  return [...away, ...twice, ...hidden];
}

function refusedFindings({ trust }: Page, wallMs: number): Finding[] {
  const { total = 0, last = null } = trust?.connectionsRefused ?? {};
  if (last === null || wallMs - Date.parse(last.at) >= refusedRecentMs) return [];
  const { at, address, host, detail } = last;
  return [
    problem(
      'connections refused',
      `${total} in all, the last at ${at} from ${address} (${host}): ${detail}`,
      'a machine of this cluster needs its network.key and a certificate (token create, join); ' +
        'anybody else has no business at this port',
    ),
  ];
}

function linksFindings(members: readonly Member[]): Finding[] {
  return members.flatMap(({ name, unreachable }) =>
    unreachable.map((other) =>
      problem(
        `link ${name} to ${other}`,
        `${name} does not reach ${other}`,
        `is ${other} up; does a firewall let its mesh port through; does it announce an ` +
          'address that others can dial (announce)',
      ),
    ),
  );
}

/** Everything that the pages tell, in the order in which it is looked at. */
export function findingsOf(
  page: Page,
  members: readonly Member[],
  wallMs: number,
): readonly Finding[] {
  const { node, mode, degradedReason, health } = page;
  const up: Finding = {
    ...{ state: 'ok', what: 'agent', detail: `${node.name} answers`, remedy: null },
  };
  const remedy = 'bring back members that are failed below; see mode in docs/status-api.md';
  const undecided = problem('cluster', `nothing is decided: ${degradedReason}`, remedy);
  return [
    ...(mode === 'degraded' ? [up, undecided] : [up]),
    ...health.reasons.map(({ component, code, detail }) =>
      problem(component, detail, `see ${code} in docs/health.md`),
    ),
    ...membersFindings(page),
    ...refusedFindings(page, wallMs),
    ...linksFindings(members),
  ];
}

export async function lookAtCluster(client: Client): Promise<readonly Finding[]> {
  let page: Page;
  try {
    page = await client.call<Page>('GET', '/status');
  } catch (thrown) {
    const { message: detail } = asAgentError(thrown);
    const remedy = 'bellwether agent starts one; --url names the status port of another';
    return [{ state: 'missing', what: 'agent', detail, remedy }];
  }
  const members = await Promise.all(
    page.members.map(({ name }) =>
      client.call<Member>('GET', `/v1/members/${encodeURIComponent(name)}`),
    ),
  );
  return findingsOf(page, members, Date.now());
}
