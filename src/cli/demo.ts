/**
 * The demo that stays up: five agents, the given files replicated, and a page that tells who leads,
 * what is where and what to try. It ends with Ctrl-C and leaves no process and no port behind.
 */
import { relative } from 'node:path';
import type { PinReport } from '../agent/api.ts';
import type { DaemonView } from '../daemons/api.ts';
import type { DemoOptions } from './demo-command.ts';
import { addParts, partsOf, waitForPins } from './demo-content.ts';
import { allWork } from './demo-daemons.ts';
import { demoTiming, lockDemo } from './demo-place.ts';
import { nodeRows, onStage, type Stage } from './demo-stage.ts';
import { actingLeader } from './demo-watch.ts';
import { exitCodes } from './exit-code.ts';
import type { Io } from './io.ts';
import { copiesText } from './pin-commands.ts';
import { sizeOf, tableOf } from './table.ts';

const copies = { min: 2, max: 3 };
const replicatedMsMax = 120_000;

/** How the person calls this program from where they are. */
function programText(): string {
  const path = relative(process.cwd(), process.argv[1] ?? '');
  return path.endsWith('.mjs') || path.endsWith('.ts') ? `node ${path}` : 'bellwether';
}

function nodesText(stage: Stage, leader: string): string {
  return tableOf(
    ['NODE', 'ROLE', 'LEADS', 'PID', 'STATUS PORT', 'DATA'],
    stage.flock.nodes.map((node) => [
      node.name,
      node.role,
      node.name === leader ? 'yes' : '',
      node.pid(),
      node.statusUrl,
      node.data,
    ]),
  );
}

const pinsText = (pins: readonly PinReport[]): string =>
  tableOf(
    ['NAME', 'SIZE', 'COPIES', 'WHERE', 'CID'],
    pins.map((pin) => [
      pin.name,
      sizeOf(pin.bytes),
      copiesText(pin),
      pin.copies
        .filter(({ verified }) => verified)
        .map(({ node }) => node)
        .join(', '),
      pin.cid,
    ]),
  );

const daemonsText = ({ flock }: Stage, seen: readonly (readonly DaemonView[])[]): string =>
  tableOf(
    ['NODE', 'DAEMON', 'PID', 'API', 'WHAT IT SAYS'],
    flock.nodes.flatMap(({ name }, i) =>
      (seen[i] ?? []).map((one) => [name, one.type, one.pid, one.url, one.finding?.detail ?? '']),
    ),
  );

function tryText({ flock }: Stage, leaderName: string, [pin]: readonly PinReport[]): string {
  const program = programText();
  const [first] = flock.nodes;
  const usual = first?.statusUrl === 'http://127.0.0.1:9099';
  const url = usual ? '' : ` --url ${first?.statusUrl}`;
  const token = `${url} --data ${first?.data}`;
  const leader = flock.node(leaderName);
  const leecher = flock.node('leecher-1');
  return [
    'Try, in another terminal:',
    `  ${program} status${url}`,
    `  ${program} pin status ${pin?.cid ?? 'CID'}${url}`,
    `  ${program} get ${pin?.cid ?? 'CID'} -o back --url ${leecher.statusUrl}`,
    `  ${program} index put knowledge_graph hello '{"to":"world"}'${token}`,
    `  ${program} switchover --to worker-1${token}`,
    `  kill -9 ${leader.pid()}   # the leader; then: ${program} leader --url ${leecher.statusUrl}`,
    '',
    `Timing as usual, but for the sake of watching: hold ${demoTiming.holdMs / 1000} s, ` +
      `voter grace ${demoTiming.voterGraceMs / 1000} s, ` +
      `repair grace ${demoTiming.repairGraceMs / 1000} s.`,
    'Ctrl-C ends all five.',
    '',
  ].join('\n');
}

export async function runDemo(options: DemoOptions, io: Io): Promise<number> {
  const parts = await partsOf(options.files);
  const bytes = parts.reduce((sum, { tree }) => sum + tree.bytes, 0);
  const unlock = lockDemo();
  const say = (text: string): void => io.err(`${text}\n`);
  try {
    say('starting five agents on this machine ...');
    await onStage(
      { keep: options.keep, bytes, usualPorts: true, daemons: options.daemons, say },
      io,
      async (stage) => {
        const { flock } = stage;
        const leading = flock.node(stage.leader.name);
        if (options.daemons) {
          say('waiting for kubo and ipfs-cluster on every node ...');
          const seen = await Promise.all(flock.nodes.map(allWork));
          if (!options.json) io.out(`${daemonsText(stage, seen)}\n`);
        }
        const startedMs = performance.now();
        const { pins } = await addParts(leading.client(), parts, copies);
        const cids = pins.map(({ cid }) => cid);
        const reports = await waitForPins(() => leading, cids, replicatedMsMax);
        const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
        say(
          `${sizeOf(bytes)} in ${pins.length} pins have their verified copies after ${seconds} s\n`,
        );
        const leader = (await actingLeader(flock)) ?? stage.leader;
        const told = { ok: true, nodes: nodeRows(flock), leader, pins: reports };
        if (options.json) io.out(`${JSON.stringify(told)}\n`);
        else {
          const { name, role, term } = leader;
          io.out(`${name} (${role}) leads in term ${term}.\n\n${nodesText(stage, name)}\n`);
          io.out(`${pinsText(reports)}\n${tryText(stage, name, reports)}`);
        }
        const signal = await stage.untilInterrupted();
        say(`\n${signal}: ending the five agents ...`);
      },
    );
    say('all ended');
    return exitCodes.ok;
  } finally {
    unlock();
  }
}
