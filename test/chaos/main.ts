/**
 * `npm run chaos`: rounds of real agents under faults until the time is over, each from a seed that
 * is printed. Ends with 0 when nothing was found, 1 with what was found and the command that tries
 * it again, 2 for a wrong option. Needs Linux, root, iproute2, iptables, e2fsprogs and libfaketime.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Plant } from './clients.ts';
import type { Round, RoundResult } from './round.ts';

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
      `[--profile ${Object.keys(profiles).join('|')}] [--plant stale-read|lost-write] [--keep]\n`,
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

let child: ReturnType<typeof spawn> | null = null;

/** Runs a round in namespaces of its own; null if it did not come to its end. */
async function play(round: Round): Promise<RoundResult | null> {
  const started = spawn(
    'unshare',
    [
      ...['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
      ...[process.execPath, join(import.meta.dirname, 'round.ts'), JSON.stringify(round)],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
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

async function main(): Promise<number> {
  const given = options();
  const { profile, plant } = given;
  const lossy = profiles[profile];
  if (lossy === undefined) return usage(`no profile ${profile}`);
  if (!isPlant(plant)) return usage(`nothing called ${plant} can be planted`);
  if (process.getuid?.() !== 0) return usage('network namespaces need root');
  const seed = numberOf('seed', given.seed, Date.now() % 1_000_000_000);
  const endMs = performance.now() + numberOf('minutes', given.minutes, 5) * 60_000;
  const rounds = numberOf('rounds', given.rounds, Infinity);
  const fireSeconds = numberOf('seconds', given.seconds, 45);
  const found: string[] = [];
  const faults = new Map<string, number>();
  const total = {
    rounds: 0,
    operations: 0,
    acknowledged: 0,
    elections: 0,
    intervals: 0,
    orders: 0,
  };
  process.stdout.write(`chaos from seed ${seed}\n`);
  while (total.rounds < rounds && (total.rounds === 0 || performance.now() < endMs - 30_000)) {
    const dir = mkdtempSync(join(tmpdir(), 'bellwether-chaos-'));
    const leftSeconds = Math.ceil((endMs - performance.now()) / 1000);
    const seconds = lossy === null ? fireSeconds : leftSeconds;
    const round = { dir, seed: seed + total.rounds, seconds, plant: plant ?? null, lossy };
    const result = await play(round);
    const findings = [...(result?.findings ?? ['the round did not come to its end'])];
    const late = result?.electionsLate ?? 0;
    if (lossy !== null && late > (electionsMax[profile] ?? 0))
      findings.push(`${late} elections after the first minute`);
    total.rounds += 1;
    total.operations += result?.operations ?? 0;
    total.acknowledged += result?.acknowledged ?? 0;
    total.elections += result?.elections ?? 0;
    total.intervals += result?.actingIntervals ?? 0;
    total.orders += result?.orders ?? 0;
    for (const [name, count] of Object.entries(result?.faults ?? {}))
      faults.set(name, (faults.get(name) ?? 0) + count);
    const failed = findings.length > 0;
    tidyUp(dir, failed || given.keep);
    const kept = existsSync(dir) ? `; logs in ${dir}` : '';
    const { findings: _all, ...told } = result ?? { findings: [] };
    process.stdout.write(`${failed ? 'FAILED' : 'ok'} ${JSON.stringify(told)}${kept}\n`);
    for (const text of findings) process.stdout.write(`  ${text}\n`);
    if (failed) found.push(`npm run chaos -- --seed ${round.seed} --rounds 1 --profile ${profile}`);
  }
  process.stdout.write(
    `chaos ${total.rounds} rounds from seed ${seed}, ${found.length} failed; ` +
      `${[...faults.values()].reduce((a, b) => a + b, 0)} faults of ${faults.size} kinds, ` +
      `${total.operations} operations judged, ${total.acknowledged} writes counted, ` +
      `${total.elections} elections, ${total.intervals} acting intervals, ${total.orders} orders\n`,
  );
  for (const command of found) process.stdout.write(`again: ${command}\n`);
  return found.length > 0 ? 1 : 0;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    child?.kill('SIGKILL');
    process.exit(1);
  });
process.exitCode = await main();
