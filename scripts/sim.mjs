// The simulator from the command line: bundles src/sim/main.ts (with a planted bug, if asked), runs
// it in as many processes as asked and adds up what they found. `--help` lists the options.
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { plantedBugs } from '../src/sim/bugs.ts';
import { planting } from './planting.mjs';

const root = join(fileURLToPath(new URL('.', import.meta.url)), '..');
const cache = join(root, 'node_modules/.cache/bellwether-sim');
const seedsPerBug = 500;
const fine = 0;
const usage = 2;

/** Bundles the simulator; a planted bug changes sources on their way into the bundle. */
async function bundle(bug) {
  const outfile = join(cache, `${bug === null ? 'main' : `bug-${bug.name}`}-${process.pid}.mjs`);
  const planted = bug === null ? null : planting(bug);
  mkdirSync(cache, { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: ['src/sim/main.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    logLevel: 'error',
    plugins: planted === null ? [] : [planted.plugin],
  });
  planted?.check();
  return outfile;
}

/** Runs the bundle; its output is ours unless it is captured. */
function run(outfile, args, capture) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [outfile, ...args], {
      stdio: ['ignore', capture ? 'pipe' : 'inherit', 'inherit'],
    });
    let text = '';
    child.stdout?.on('data', (data) => {
      text += data;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, text }));
  });
}

function takeValue(args, name) {
  const at = args.indexOf(name);
  if (at < 0) return null;
  const value = args[at + 1];
  args.splice(at, 2);
  return value ?? '';
}

function flag(args, name) {
  const at = args.indexOf(name);
  if (at >= 0) args.splice(at, 1);
  return at >= 0;
}

const lastJson = (text) => JSON.parse(text.trim().split('\n').at(-1) || 'null');

/**
 * Every bug alone: caught, by what, after how many seeds. What catches it must pass without it, or
 * the sources are broken anyway and nothing is proven.
 */
async function checkBugs(jobs, json) {
  const waiting = [...plantedBugs];
  const results = [];
  const sound = await bundle(null);
  const passesAlone = async ({ seed }) => {
    const args = seed === null ? ['--scenarios'] : ['--seed', String(seed)];
    return (await run(sound, [...args, '--json'], true)).code === fine;
  };
  const work = async () => {
    for (let bug = waiting.shift(); bug !== undefined; bug = waiting.shift()) {
      const outfile = await bundle(bug);
      const { text } = await run(outfile, ['--seeds', String(seedsPerBug), '--json'], true);
      rmSync(outfile);
      const { failed, totals } = lastJson(text);
      const first = failed[0] ?? null;
      const caught = first !== null && (await passesAlone(first));
      const by = first === null ? 'nothing' : (first.scenario ?? `seed ${first.seed}`);
      const { seeds } = totals;
      results.push({ name: bug.name, caught, by, seeds, check: first?.check ?? null });
      if (!json) console.log(bugLine(results.at(-1)));
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  rmSync(sound);
  const missed = results.filter((result) => !result.caught).length;
  if (json) console.log(JSON.stringify({ ok: missed === 0, bugs: results }));
  else console.log(`bugs ${results.length}: ${results.length - missed} caught, ${missed} not`);
  return missed === 0 ? fine : 1;
}

function bugLine({ name, caught, by, seeds, check }) {
  if (by === 'nothing') return `  ${name}: NOT CAUGHT in ${seeds} seeds`;
  if (!caught) return `  ${name}: ${by} fails without it, too (${check})`;
  return `  ${name}: caught by ${by} (${check}), seeds needed: ${seeds}`;
}

/** Seeds or cuts split among processes: each takes every n-th. */
async function runParallel(outfile, args, jobs) {
  const asked = [...args];
  const json = flag(asked, '--json');
  const seeds = takeValue(asked, '--seeds');
  const cuts = asked.includes('--cuts');
  const from = Number(
    takeValue(asked, '--from') ?? (asked.includes('--minutes') ? freshSeed() : 1),
  );
  const parts = await Promise.all(
    Array.from({ length: jobs }, (_, i) => {
      const share =
        seeds === null ? [] : ['--seeds', String(Math.ceil((Number(seeds) - i) / jobs))];
      const place = cuts
        ? ['--from', String(from), '--part', String(i)]
        : ['--from', String(from + i)];
      const part = [...asked, ...share, ...place, '--stride', String(jobs), '--json'];
      return run(outfile, part, true);
    }),
  );
  const found = parts.map(({ text }) => lastJson(text));
  if (json)
    console.log(JSON.stringify({ ok: parts.every(({ code }) => code === 0), parts: found }));
  else for (const line of cuts ? cutLines(found) : seedLines(found)) console.log(line);
  return parts.find(({ code }) => code !== 0)?.code ?? fine;
}

const freshSeed = () => 1_000_000 + (Date.now() % 1_000_000_000);
const sumOf = (found, pick) => found.reduce((sum, part) => sum + pick(part), 0);

function seedLines(found) {
  const lines = [];
  for (const { scenario, seed, kind, detail } of found.flatMap((part) => part.failed)) {
    lines.push(`${scenario === null ? `seed ${seed}` : `scenario ${scenario}`} failed (${kind})`);
    lines.push(`  ${detail}`);
    lines.push(`  repeat: npm run sim -- ${seed === null ? '--scenarios' : `--seed ${seed}`}`);
  }
  const ms = Math.max(...found.map((part) => part.elapsedMs));
  const seeds = sumOf(found, ({ totals }) => totals.seeds);
  const failed = sumOf(found, (part) => part.failed.length);
  const from = Math.min(...found.map((part) => part.from));
  const to = Math.max(...found.map((part) => part.to));
  lines.push(
    `seeds ${from}..${to}: ${seeds} run, ${failed} failed, ${(ms / 1000).toFixed(1)} s in ` +
      `${found.length} processes; ${sumOf(found, ({ totals }) => totals.proposals)} proposals, ` +
      `${sumOf(found, ({ totals }) => totals.acknowledged)} acknowledged, ` +
      `${sumOf(found, ({ totals }) => totals.episodes)} episodes`,
  );
  return lines;
}

function cutLines(found) {
  const total = (key) => sumOf(found, (part) => part[key]);
  const failures = found.flatMap((part) => part.failures);
  const ms = Math.max(...found.map((part) => part.elapsedMs));
  return [
    ...failures.slice(0, 20).map((failure) => `  ${failure}`),
    `cuts ${found[0].nodes}: ${total('cases')} cases, ${total('due')} with an electable node that ` +
      `reaches a majority both ways, ${failures.length} without a lasting leader; ` +
      `plain Raft would fail ${total('plainRaft')}; ${(ms / 1000).toFixed(1)} s`,
  ];
}

async function main(args) {
  const jobs = Math.max(1, Number(takeValue(args, '--jobs') ?? 1));
  if (flag(args, '--list-bugs')) {
    const json = args.includes('--json');
    if (json) console.log(JSON.stringify(plantedBugs.map(({ name, what }) => ({ name, what }))));
    else for (const { name, what } of plantedBugs) console.log(`${name.padEnd(32)} ${what}`);
    return fine;
  }
  if (flag(args, '--check-bugs')) return checkBugs(jobs, args.includes('--json'));
  const at = args.indexOf('--bug');
  const name = at < 0 ? null : args[at + 1];
  const bug = name === null ? null : plantedBugs.find((known) => known.name === name);
  if (bug === undefined) {
    console.error(`no planted bug is called ${name}; see --list-bugs`);
    return usage;
  }
  const outfile = await bundle(bug);
  try {
    const one = jobs === 1 || args.includes('--seed') || args.includes('--scenarios');
    return one ? (await run(outfile, args, false)).code : await runParallel(outfile, args, jobs);
  } finally {
    rmSync(outfile);
  }
}

process.exitCode = await main(process.argv.slice(2));
