/**
 * `npm run chaos`: rounds of real agents under faults until the time is over, each from a seed that
 * is printed. Ends with 0 when nothing was found, 1 with what was found and the command that tries
 * it again, 2 for a wrong option. Needs Linux, root, iproute2, iptables, e2fsprogs and libfaketime.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Plant } from './clients.ts';
import { type ProductBug, productBugs } from './product-bugs.ts';
import type { Round, RoundResult } from './round.ts';

/** A planted bug has so many rounds to be found in. */
const bugRoundsMax = 3;
/** A round that hangs is ended; the kernel takes its namespaces and processes away. */
const hangSeconds = 420;

const profiles: Readonly<Record<string, Round['lossy']>> = {
  fire: null,
  // What a bad radio link does: five in a hundred lost, 50 ms late, give or take 50.
  lossy: { loss: 0.05, ms: 50, jitterMs: 50 },
  awful: { loss: 0.2, ms: 200, jitterMs: 100 },
};
/** Elections that a profile may have after the first minute. */
const electionsMax: Readonly<Record<string, number>> = { lossy: 0, awful: 1 };

function usage(text: string): never {
  process.stderr.write(
    `chaos: ${text}\nnpm run chaos -- [--seed N] [--minutes M] [--rounds N] [--seconds N] ` +
      `[--profile ${Object.keys(profiles).join('|')}] [--plant stale-read|lost-write] ` +
      `[--bug ${productBugs.map(({ name }) => name).join('|')}] [--keep]\n`,
  );
  process.exit(2);
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: 'string' },
        minutes: { type: 'string', default: '5' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        profile: { type: 'string', default: 'fire' },
        plant: { type: 'string' },
        bug: { type: 'string' },
        keep: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (thrown) {
    return usage((thrown as Error).message);
  }
}

function numberOf(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  return value >= 0 && text !== '' ? value : usage(`--${name} takes a number, not ${text}`);
}

const isPlant = (text: string | undefined): text is NonNullable<Plant> | undefined =>
  text === undefined || text === 'stale-read' || text === 'lost-write';

function bugOf(name: string | undefined): ProductBug | null {
  if (name === undefined) return null;
  return productBugs.find((bug) => bug.name === name) ?? usage(`no bug is called ${name}`);
}

/** The program with a bug in it, in a folder of its own; its path. */
function build(bug: ProductBug, dir: string): string {
  const script = join(import.meta.dirname, '../../scripts/build.mjs');
  const args = [script, '--outdir', dir, '--bug', JSON.stringify(bug)];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${bug.name} could not be planted: ${stderr}`);
  return join(dir, 'bellwether.mjs');
}

let child: ReturnType<typeof spawn> | null = null;

/** Runs a round in namespaces of its own; null if it did not come to its end. */
async function play(round: Round, program: string | null): Promise<RoundResult | null> {
  const started = spawn(
    'unshare',
    [
      ...['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
      ...[process.execPath, join(import.meta.dirname, 'round.ts'), JSON.stringify(round)],
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: program === null ? process.env : { ...process.env, BELLWETHER_PROGRAM: program },
    },
  );
  child = started;
  const hang = setTimeout(() => started.kill('SIGKILL'), (round.seconds + hangSeconds) * 1000);
  let text = '';
  for await (const data of started.stdout) text += data;
  clearTimeout(hang);
  child = null;
  const last = text.trim().split('\n').at(-1) ?? '';
  return last.startsWith('{') ? (JSON.parse(last) as RoundResult) : null;
}

/** Of a round that found nothing nothing is kept; of another one all but the disks. */
function tidyUp(dir: string, keep: boolean): void {
  const kept = keep ? readdirSync(dir).filter((name) => /\.(log|json)$/.test(name)) : [];
  for (const name of readdirSync(dir))
    if (!kept.includes(name)) rmSync(join(dir, name), { recursive: true, force: true });
  if (kept.length === 0) rmSync(dir, { recursive: true, force: true });
}

type Kind = Pick<Round, 'plant' | 'directed' | 'lossy'>;

interface Wanted {
  readonly seed: number;
  readonly rounds: number;
  readonly endMs: number;
  readonly fireSeconds: number;
  readonly profile: string;
  readonly keep: boolean;
  readonly kind: Kind;
  /** Runs instead of the one in this checkout. */
  readonly program: string | null;
  /** What must be found; nothing else is a reason to go on. */
  readonly wanted: RegExp | null;
}

interface Tally {
  rounds: number;
  operations: number;
  acknowledged: number;
  elections: number;
  intervals: number;
  orders: number;
  readonly faults: Map<string, number>;
  /** Commands that try the failed rounds again. */
  readonly failed: string[];
  /** The finding that was wanted. */
  caught: string | null;
}

function count(tally: Tally, result: RoundResult | null): void {
  tally.rounds += 1;
  if (result === null) return;
  tally.operations += result.operations;
  tally.acknowledged += result.acknowledged;
  tally.elections += result.elections;
  tally.intervals += result.actingIntervals;
  tally.orders += result.orders;
  for (const [name, times] of Object.entries(result.faults))
    tally.faults.set(name, (tally.faults.get(name) ?? 0) + times);
}

/** Rounds until the time is over, or until what is wanted was found. */
async function playAll(options: Wanted): Promise<Tally> {
  const { seed, endMs, kind, profile, wanted } = options;
  const none = { rounds: 0, operations: 0, acknowledged: 0, elections: 0, intervals: 0, orders: 0 };
  const tally: Tally = { ...none, faults: new Map(), failed: [], caught: null };
  const goOn = (): boolean =>
    tally.caught === null &&
    tally.rounds < options.rounds &&
    (tally.rounds === 0 || performance.now() < endMs - 30_000);
  while (goOn()) {
    const dir = mkdtempSync(join(tmpdir(), 'bellwether-chaos-'));
    const leftSeconds = Math.ceil((endMs - performance.now()) / 1000);
    const seconds = kind.lossy === null ? options.fireSeconds : leftSeconds;
    const round = { dir, seed: seed + tally.rounds, seconds, ...kind };
    const result = await play(round, options.program);
    const findings = [...(result?.findings ?? ['the round did not come to its end'])];
    const late = result?.electionsLate ?? 0;
    if (kind.lossy !== null && late > (electionsMax[profile] ?? 0))
      findings.push(`${late} elections after the first minute`);
    count(tally, result);
    const failed = findings.length > 0;
    tally.caught = findings.find((text) => wanted?.test(text)) ?? null;
    tidyUp(dir, (failed && tally.caught === null) || options.keep);
    const kept = existsSync(dir) ? `; logs in ${dir}` : '';
    const { findings: _all, ...told } = result ?? { findings: [] };
    process.stdout.write(`${failed ? 'FAILED' : 'ok'} ${JSON.stringify(told)}${kept}\n`);
    for (const text of findings) process.stdout.write(`  ${text}\n`);
    const again = `npm run chaos -- --seed ${round.seed} --rounds 1 --profile ${profile}`;
    if (failed) tally.failed.push(again);
  }
  return tally;
}

/** A bug must be found in a few rounds, and the same faults without it must find nothing. */
async function checkBug(bug: ProductBug, options: Wanted): Promise<number> {
  const bundle = mkdtempSync(join(tmpdir(), 'bellwether-bug-'));
  const kind: Kind = { plant: null, lossy: null, directed: { faults: bug.faults, at: bug.at } };
  const asked = { ...options, kind, rounds: Math.min(options.rounds, bugRoundsMax) };
  try {
    const program = build(bug, bundle);
    const { caught, rounds } = await playAll({ ...asked, program, wanted: bug.finding });
    const sound = await playAll({ ...asked, rounds: 1 });
    const alone = sound.failed.length > 0;
    const how = caught === null ? 'NOT CAUGHT' : `caught, ${caught.slice(0, 160)}`;
    process.stdout.write(
      `bug ${bug.name}: ${how}; ${rounds} round${rounds === 1 ? '' : 's'} from seed ` +
        `${options.seed}${alone ? '; but the program without it fails, too' : ''}\n`,
    );
    return caught !== null && !alone ? 0 : 1;
  } finally {
    rmSync(bundle, { recursive: true });
  }
}

async function main(): Promise<number> {
  const given = options();
  const { profile, plant } = given;
  const lossy = profiles[profile];
  if (lossy === undefined) return usage(`no profile ${profile}`);
  if (!isPlant(plant)) return usage(`nothing called ${plant} can be planted`);
  const bug = bugOf(given.bug);
  if (process.getuid?.() !== 0) return usage('network namespaces need root');
  const seed = numberOf('seed', given.seed, Date.now() % 1_000_000_000);
  const wanted: Wanted = {
    seed,
    profile,
    rounds: numberOf('rounds', given.rounds, Infinity),
    endMs: performance.now() + numberOf('minutes', given.minutes, 5) * 60_000,
    fireSeconds: numberOf('seconds', given.seconds, 45),
    keep: given.keep,
    kind: { plant: plant ?? null, directed: null, lossy },
    program: null,
    wanted: null,
  };
  process.stdout.write(`chaos from seed ${seed}\n`);
  if (bug !== null) return checkBug(bug, wanted);
  const { faults, failed, ...total } = await playAll(wanted);
  process.stdout.write(
    `chaos ${total.rounds} rounds from seed ${seed}, ${failed.length} failed; ` +
      `${[...faults.values()].reduce((a, b) => a + b, 0)} faults of ${faults.size} kinds, ` +
      `${total.operations} operations judged, ${total.acknowledged} writes counted, ` +
      `${total.elections} elections, ${total.intervals} acting intervals, ${total.orders} orders\n`,
  );
  for (const command of failed) process.stdout.write(`again: ${command}\n`);
  return failed.length > 0 ? 1 : 0;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    child?.kill('SIGKILL');
    process.exit(1);
  });
process.exitCode = await main();
