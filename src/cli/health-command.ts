/** `health [NODE]`: how every member is, or one of them with its reasons, machine and daemons. */
import type { Command } from 'commander';
import { ExitError } from './exit-code.ts';
import type { Act } from './program.ts';
import { ageOf, sizeOf, tableOf } from './table.ts';

interface Row {
  readonly name: string;
  readonly role: string;
  readonly state: string;
  readonly health: string;
  readonly score: number | null;
  readonly lastSeenMs: number | null;
}

interface Member extends Row {
  readonly healthReasons: readonly {
    readonly component: string;
    readonly code: string;
    readonly deduction: number;
    readonly detail: string;
  }[];
  readonly components: readonly { readonly name: string; readonly score: number }[];
  readonly healthAgeMs: number | null;
  readonly daemons: Readonly<
    Record<string, { mode: string; state: string; score: number | null; version: string | null }>
  >;
  readonly resources: {
    readonly cpuPercent: number | null;
    readonly memoryPercent: number;
    readonly diskPercent: number | null;
    readonly diskFreeBytes: number | null;
    readonly load: readonly number[];
    readonly gpu: { readonly gpu_count: number } | null;
  } | null;
}

const allText = (members: readonly Row[]): string =>
  tableOf(
    ['NAME', 'ROLE', 'STATE', 'HEALTH', 'SCORE', 'LAST SEEN'],
    members.map((each) => [
      each.name,
      each.role,
      each.state,
      each.health,
      each.score,
      ageOf(each.lastSeenMs),
    ]),
  );

function machineText(resources: NonNullable<Member['resources']>): string {
  const { cpuPercent, memoryPercent, diskPercent, diskFreeBytes, load, gpu } = resources;
  return [
    `cpu ${cpuPercent ?? '-'} %`,
    `memory ${memoryPercent} %`,
    `disk ${diskPercent ?? '-'} %, ${sizeOf(diskFreeBytes)} free`,
    `load ${load.map((one) => one.toFixed(2)).join(' ')}`,
    ...(gpu === null ? [] : [`${gpu.gpu_count} GPUs`]),
  ].join('; ');
}

function oneText(member: Member): string {
  const { name, role, state, health, score, healthAgeMs, resources } = member;
  const lines = [
    `${name}, ${role}: ${health}${score === null ? '' : ` ${score}`}, ${state}; ` +
      `told ${ageOf(healthAgeMs)} ago`,
  ];
  if (resources !== null) lines.push(machineText(resources));
  const tables: string[] = [];
  if (member.components.length > 0)
    tables.push(
      tableOf(
        ['COMPONENT', 'SCORE'],
        member.components.map((one) => [one.name, one.score]),
      ),
    );
  if (member.healthReasons.length > 0)
    tables.push(
      tableOf(
        ['COSTS', 'COMPONENT', 'REASON', 'DETAIL'],
        member.healthReasons.map((one) => [one.deduction, one.component, one.code, one.detail]),
      ),
    );
  const daemons = Object.entries(member.daemons);
  if (daemons.length > 0)
    tables.push(
      tableOf(
        ['DAEMON', 'MODE', 'STATE', 'SCORE', 'VERSION'],
        daemons.map(([type, one]) => [type, one.mode, one.state, one.score, one.version]),
      ),
    );
  return `${lines.join('\n')}\n${tables.map((table) => `\n${table}`).join('')}`;
}

export function addHealthCommand(program: Command, act: Act): void {
  program
    .command('health [node]')
    .description('how every member is; with a name, that one with its reasons and its machine')
    .action(
      act(async ({ client, tell, args: [node] }) => {
        if (node === undefined) {
          const { members } = await client.call<{ members: Row[] }>('GET', '/v1/members');
          const rows = members.map(({ name, role, state, health, score, lastSeenMs }) => ({
            ...{ name, role, state, health, score, lastSeenMs },
          }));
          tell(rows, () => allText(rows));
          return;
        }
        const path = `/v1/members/${encodeURIComponent(node)}`;
        const member = await client.call<Member>('GET', path);
        if (member.name !== node) throw new ExitError('failure', 'another member answered');
        tell(member, () => oneText(member));
      }),
    );
}
