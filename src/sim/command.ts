/**
 * The simulator as a command: which seeds or tables to run, what to print, which exit code. The
 * same for the script of the repository and for `bellwether sim`. Output for people goes line by
 * line; `--json` prints one object at the end.
 */
import { parseArgs } from 'node:util';
import type { Ms } from '../base/brand.ts';
import { createPrng } from '../base/prng.ts';
import { runCutTable } from './cut-table.ts';
import { asSimFailure, exitCodes, type SimFailure } from './failure.ts';
import { runSeed, type SeedReport } from './run-seed.ts';
import { runScenarios } from './scenarios.ts';

export interface SimulatorDeps {
  readonly print: (line: string) => void;
  /** Wall time for budgets and speed; a seed itself never sees it. */
  readonly nowMs: () => Ms;
}

export const simulatorUsage = `usage: npm run sim -- [what] [options]
what (default: --seeds 20):
  --seeds N            run N seeds
  --minutes M          run seeds until M minutes have passed
  --seed S             run one seed
  --cuts 3|4|5         every shape of directed links between 3, 4 or 5 nodes; --sample N of them
  --scenarios          only the directed scenarios, which every run of seeds begins with
  --list-bugs          the planted bugs; --bug NAME plants one; --check-bugs tries them all
options:
  --from S             first seed (default: 1 for --seeds, a fresh one for --minutes)
  --jobs N             processes (default 1)
  --trace N            with --seed: print the last N lines of what happened
  --keep-going         do not stop at the first failure
  --json               one JSON object at the end`;

const optionTypes = {
  seeds: { type: 'string' },
  minutes: { type: 'string' },
  seed: { type: 'string' },
  from: { type: 'string' },
  cuts: { type: 'string' },
  sample: { type: 'string' },
  scenarios: { type: 'boolean' },
  trace: { type: 'string' },
  stride: { type: 'string' },
  part: { type: 'string' },
  bug: { type: 'string' },
  faults: { type: 'string' },
  'keep-going': { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

type Values = { [K in keyof typeof optionTypes]?: string | boolean };

class UsageError extends Error {
  override readonly name = 'UsageError';
}

function numberOf(values: Values, name: keyof Values): number | null {
  const text = values[name];
  if (text === undefined) return null;
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new UsageError(`--${name} ${text}: not a number`);
  return value;
}

interface Totals {
  seeds: number;
  simulatedMs: number;
  proposals: number;
  acknowledged: number;
  reads: number;
  episodes: number;
  terms: number;
  handOvers: number;
  orders: number;
  snapshots: number;
  jointChanges: number;
  damaged: number;
  newEpochs: number;
}

function add(totals: Totals, report: SeedReport): void {
  totals.seeds += 1;
  totals.simulatedMs += report.simulatedMs;
  totals.proposals += report.proposals;
  totals.acknowledged += report.acknowledged;
  totals.reads += report.reads;
  totals.episodes += report.episodes;
  totals.terms += report.terms;
  totals.handOvers += report.handOvers;
  totals.orders += report.ordersExecuted;
  totals.snapshots += report.snapshots;
  totals.jointChanges += report.jointChanges;
  totals.damaged += report.damaged;
  totals.newEpochs += report.newEpochs;
}

export function describeFailure(what: string, failure: SimFailure, repeat: string): string {
  const at = `${failure.kind} at ${failure.atMs.toFixed(1)} ms`;
  return `${what} failed (${at})\n  ${failure.message}\n  repeat: ${repeat}`;
}

function runOne(seed: number, values: Values, { print }: SimulatorDeps): number {
  const lines = numberOf(values, 'trace') ?? 0;
  const faults = typeof values.faults === 'string' ? values.faults.split(',') : [];
  const report = runSeed(seed, { keepTrace: lines > 0, faults });
  if (lines > 0) for (const line of report.trace.slice(-lines)) print(line);
  const { trace: _, failure, ...rest } = report;
  if (values.json) {
    const shown = failure && { kind: failure.kind, check: failure.check, detail: failure.message };
    print(JSON.stringify({ ...rest, failure: shown }));
  } else if (failure !== null) {
    print(describeFailure(`seed ${seed}`, failure, repeatOf(seed, values)));
  } else print(`seed ${seed}: fine, ${JSON.stringify(rest)}`);
  return failure === null ? exitCodes.fine : exitCodes[failure.kind];
}

function repeatOf(seed: number, values: Values): string {
  const bug = values.bug === undefined ? '' : ` --bug ${values.bug}`;
  return `npm run sim -- --seed ${seed}${bug}`;
}

interface Failed {
  readonly seed: number | null;
  readonly scenario: string | null;
  readonly failure: SimFailure;
}

function runMany(values: Values, deps: SimulatorDeps): number {
  const { print, nowMs } = deps;
  const minutes = numberOf(values, 'minutes');
  const count = numberOf(values, 'seeds') ?? (minutes === null ? 20 : Number.POSITIVE_INFINITY);
  const fresh = minutes === null ? 1 : 1_000_000 + (Math.floor(nowMs()) % 1_000_000_000);
  const from = numberOf(values, 'from') ?? fresh;
  const stride = numberOf(values, 'stride') ?? 1;
  const startMs = nowMs();
  const untilMs = minutes === null ? Number.POSITIVE_INFINITY : startMs + minutes * 60_000;
  const totals: Totals = {
    ...{ seeds: 0, simulatedMs: 0, proposals: 0, acknowledged: 0, reads: 0, episodes: 0 },
    ...{ terms: 0, handOvers: 0, orders: 0, snapshots: 0, jointChanges: 0, damaged: 0 },
    newEpochs: 0,
  };
  const failed: Failed[] = [];
  const keepGoing = values['keep-going'] === true;
  for (const { name, failure } of runScenarios()) {
    if (failure === null) continue;
    failed.push({ seed: null, scenario: name, failure });
    if (!values.json)
      print(describeFailure(`scenario ${name}`, failure, 'npm run sim -- --scenarios'));
  }
  let seed = from;
  for (let i = 0; i < count && (i === 0 || nowMs() < untilMs); i++, seed += stride) {
    if (failed.length > 0 && !keepGoing) break;
    const report = runSeed(seed);
    add(totals, report);
    if (!values.json && totals.seeds % 250 === 0) print(`  ${totals.seeds} seeds, at ${seed}`);
    if (report.failure === null) continue;
    failed.push({ seed, scenario: null, failure: report.failure });
    if (!values.json)
      print(describeFailure(`seed ${seed}`, report.failure, repeatOf(seed, values)));
  }
  const elapsedMs = nowMs() - startMs;
  summarise({ from, to: seed - stride, stride, totals, failed, elapsedMs }, values, print);
  const worst = failed[0];
  return worst === undefined ? exitCodes.fine : exitCodes[worst.failure.kind];
}

interface Summary {
  readonly from: number;
  readonly to: number;
  readonly stride: number;
  readonly totals: Totals;
  readonly failed: readonly Failed[];
  readonly elapsedMs: Ms;
}

function summarise(summary: Summary, values: Values, print: SimulatorDeps['print']): void {
  const { from, to, stride, totals, failed, elapsedMs } = summary;
  if (values.json) {
    const shown = failed.map(({ seed, scenario, failure }) => ({
      ...{ seed, scenario, kind: failure.kind, check: failure.check, detail: failure.message },
    }));
    print(
      JSON.stringify({
        ok: failed.length === 0,
        from,
        to,
        stride,
        elapsedMs,
        totals,
        failed: shown,
      }),
    );
    return;
  }
  const each = totals.seeds === 0 ? 0 : elapsedMs / totals.seeds;
  const step = stride === 1 ? '' : ` step ${stride}`;
  print(
    `seeds ${from}..${to}${step}: ${totals.seeds} run, ${failed.length} failed, ` +
      `${(elapsedMs / 1000).toFixed(1)} s (${each.toFixed(0)} ms each); ` +
      `${Math.round(totals.simulatedMs / 1000)} simulated s, ${totals.proposals} proposals, ` +
      `${totals.acknowledged} acknowledged, ${totals.reads} reads, ${totals.episodes} episodes, ` +
      `${totals.terms} terms, ${totals.handOvers} hand-overs, ${totals.orders} orders, ` +
      `${totals.snapshots} snapshots, ${totals.jointChanges} joint changes, ` +
      `${totals.damaged} damaged disks, ${totals.newEpochs} new epochs`,
  );
}

function runOnlyScenarios(values: Values, { print }: SimulatorDeps): number {
  let code: number = exitCodes.fine;
  const results = runScenarios();
  for (const { name, failure } of results) {
    if (failure !== null && code === exitCodes.fine) code = exitCodes[failure.kind];
    if (!values.json)
      print(
        failure === null
          ? `scenario ${name}: fine`
          : describeFailure(`scenario ${name}`, failure, 'npm run sim -- --scenarios'),
      );
  }
  if (values.json) {
    const shown = results.map(({ name, failure }) => ({ name, failed: failure?.message ?? null }));
    print(JSON.stringify({ ok: code === exitCodes.fine, scenarios: shown }));
  }
  return code;
}

/** Runs what the arguments ask for; the exit code. */
export function runSimulator(args: readonly string[], deps: SimulatorDeps): number {
  let values: Values;
  try {
    values = parseArgs({ args: [...args], options: optionTypes, allowPositionals: false }).values;
    if (values.help) {
      deps.print(simulatorUsage);
      return exitCodes.fine;
    }
    const seed = numberOf(values, 'seed');
    const cuts = numberOf(values, 'cuts');
    if (cuts !== null) return runCutCommand(cuts, numberOf(values, 'sample'), values, deps);
    if (values.scenarios) return runOnlyScenarios(values, deps);
    if (seed !== null) return runOne(seed, values, deps);
    return runMany(values, deps);
  } catch (thrown) {
    if (thrown instanceof UsageError || (thrown instanceof TypeError && 'code' in thrown)) {
      deps.print(`${thrown.message}\n${simulatorUsage}`);
      return exitCodes.usage;
    }
    deps.print(asSimFailure(thrown, 0).message);
    return exitCodes.crash;
  }
}

function runCutCommand(
  nodes: number,
  sample: number | null,
  values: Values,
  deps: SimulatorDeps,
): number {
  if (nodes !== 3 && nodes !== 4 && nodes !== 5)
    throw new UsageError(`--cuts ${nodes}: 3, 4 and 5 nodes are built`);
  const seed = numberOf(values, 'from') ?? 1;
  const stride = numberOf(values, 'stride') ?? 1;
  const part = numberOf(values, 'part') ?? 0;
  const startMs = deps.nowMs();
  const report = runCutTable({ nodes, sample, prng: createPrng(seed), stride, part });
  const elapsedMs = deps.nowMs() - startMs;
  const { cases, due, failures, plainRaft } = report;
  if (values.json) deps.print(JSON.stringify({ nodes, ...report, elapsedMs }));
  else {
    for (const failure of failures.slice(0, 20)) deps.print(`  ${failure}`);
    deps.print(
      `cuts ${nodes}: ${cases} cases, ${due} with an electable node that reaches a majority both ` +
        `ways, ${failures.length} without a lasting leader; plain Raft would fail ${plainRaft}; ` +
        `${(elapsedMs / 1000).toFixed(1)} s`,
    );
  }
  return failures.length === 0 ? exitCodes.fine : exitCodes.liveness;
}
