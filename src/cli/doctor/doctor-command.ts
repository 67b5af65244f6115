/**
 * `doctor`: what is there, what is missing, who holds which port, who reaches whom, and the remedy
 * for each problem. `--adopt` looks for earlier installs and proposes a configuration. Works with
 * and without a running agent, and changes nothing.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { listeningPorts } from '../../daemons/port-table.ts';
import type { Act } from '../program.ts';
import { tableOf } from '../table.ts';
import { findInstalls, type Install, proposalOf } from './adopt.ts';
import { lookAtCluster } from './cluster.ts';
import { type Finding, lookAtMachine } from './machine.ts';

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
          lookAtMachine({
            ...{ env: io.env, folder },
            listening: { tcp: listeningPorts(), udp: listeningPorts('udp') },
          }),
          lookAtCluster(client),
        ]);
        const findings = [...machine, ...cluster];
        const problems = findings.filter(({ state }) => state === 'problem').length;
        tell({ problems, findings }, () => findingsText(findings));
      }),
    );
}
