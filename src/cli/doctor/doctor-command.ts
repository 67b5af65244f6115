/**
 * `doctor`: what is there, what is missing, who holds which port, who reaches whom, and the remedy
 * for each problem. `--adopt` looks for earlier installs and proposes a configuration. Works with
 * and without a running agent, and changes nothing.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { asAgentError } from '../../base/error.ts';
import { listeningPorts } from '../../daemons/port-table.ts';
import type { Client } from '../client.ts';
import type { Act } from '../program.ts';
import { tableOf } from '../table.ts';
import { findInstalls, type Install, proposalOf } from './adopt.ts';
import { type Finding, lookAtMachine } from './machine.ts';

interface Page {
  readonly node: { readonly name: string };
  readonly mode: string;
  readonly degradedReason: string | null;
  readonly members: readonly {
    readonly name: string;
    readonly state: string;
    readonly alarms?: readonly string[];
  }[];
  readonly health: {
    readonly reasons: readonly {
      readonly component: string;
      readonly code: string;
      readonly detail: string;
    }[];
  };
}

interface Member {
  readonly name: string;
  readonly unreachable: readonly string[];
}

/** What the agent's pages say that somebody should do something about. */
async function lookAtCluster(client: Client): Promise<Finding[]> {
  let page: Page;
  try {
    page = await client.call<Page>('GET', '/status');
  } catch (thrown) {
    const detail = asAgentError(thrown).message;
    return [
      {
        state: 'missing',
        what: 'agent',
        detail,
        remedy: 'bellwether agent starts one; --url names the status port of another',
      },
    ];
  }
  const found: Finding[] = [
    { state: 'ok', what: 'agent', detail: `${page.node.name} answers`, remedy: null },
  ];
  if (page.mode === 'degraded')
    found.push({
      state: 'problem',
      what: 'cluster',
      detail: `nothing is decided: ${page.degradedReason}`,
      remedy: 'bring back members that are failed below; see mode in docs/status-api.md',
    });
  for (const { component, code, detail } of page.health.reasons)
    found.push({
      state: 'problem',
      what: component,
      detail,
      remedy: `see ${code} in docs/health.md`,
    });
  const members = await Promise.all(
    page.members.map(({ name }) =>
      client.call<Member>('GET', `/v1/members/${encodeURIComponent(name)}`),
    ),
  );
  for (const { name, state } of page.members)
    if (state === 'failed' || state === 'suspect')
      found.push({
        state: 'problem',
        what: `member ${name}`,
        detail: `it is ${state}`,
        remedy: 'start its agent, or forget it where it will not come back',
      });
  for (const { name, alarms = [] } of page.members)
    if (alarms.includes('identity-clash'))
      found.push({
        state: 'problem',
        what: `identity of ${name}`,
        detail: 'two machines run with its key',
        remedy:
          'stop the copy. If it votes: stop both, run repair --as-new-node on each that shall ' +
          `stay, forget ${name} on another member, and let them join with new tokens`,
      });
  for (const { name, unreachable } of members)
    for (const other of unreachable)
      found.push({
        state: 'problem',
        what: `link ${name} to ${other}`,
        detail: `${name} does not reach ${other}`,
        remedy:
          `is ${other} up; does a firewall let its mesh port through; does it announce an ` +
          'address that others can dial (announce)',
      });
  return found;
}

const findingsText = (findings: readonly Finding[]): string =>
  tableOf(
    ['STATE', 'WHAT', 'DETAIL'],
    findings.map(({ state, what, detail }) => [state, what, detail]),
  ) +
  findings
    .filter(({ remedy }) => remedy !== null)
    .map(({ what, remedy }) => `\n${what}: ${remedy}`)
    .join('') +
  '\n';

function installsText(
  installs: readonly Install[],
  { notes, yaml }: ReturnType<typeof proposalOf>,
) {
  if (installs.length === 0) return 'nothing to adopt: no folder, process or unit of a daemon\n';
  const found = tableOf(
    ['DAEMON', 'FOLDER', 'PROCESS', 'UNIT', 'API'],
    installs.map(({ type, folder, processes, units, url }) => [
      type,
      folder,
      processes.map(({ pid }) => pid).join(' ') || null,
      units.join(' ') || null,
      url,
    ]),
  );
  const told = notes.map((note) => `# ${note}\n`).join('');
  return `${found}\nNothing was changed. For the agent's configuration:\n\n${told}${yaml}`;
}

export function addDoctorCommand(program: Command, act: Act): void {
  program
    .command('doctor')
    .description('what is there, what is missing, who holds which port, and what to do about it')
    .option('--adopt', 'looks for earlier installs and proposes a configuration; changes nothing')
    .action(
      act(async ({ client, tell, options, io }) => {
        const home = io.env.HOME ?? homedir();
        if (options.adopt === true) {
          const installs = await findInstalls({
            home,
            env: io.env,
            unitFolders: [
              '/etc/systemd/system',
              '/lib/systemd/system',
              join(home, '.config/systemd/user'),
            ],
          });
          const proposal = proposalOf(installs);
          tell({ installs, ...proposal }, () => installsText(installs, proposal));
          return;
        }
        let folder = (options.data as string | undefined) ?? join(home, '.bellwether');
        while (!existsSync(folder)) folder = dirname(folder);
        const [machine, cluster] = await Promise.all([
          lookAtMachine({ env: io.env, folder, listening: listeningPorts() }),
          lookAtCluster(client),
        ]);
        const findings = [...machine, ...cluster];
        const problems = findings.filter(({ state }) => state === 'problem').length;
        tell({ problems, findings }, () => findingsText(findings));
      }),
    );
}
