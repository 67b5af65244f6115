// npm run bench -- NAME [--rounds N] [--json] [--keep]: runs one comparison on this machine. The
// last line on standard output is one JSON object with --json: {name, machine, rows:[{what, unit,
// ours, peer, peerName, ratio}], ...}; without it a table. --keep writes bench/results/NAME.md.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const benches = {
  writes: () => import('./writes.mjs'),
  failover: () => import('./failover.mjs'),
  idle: () => import('./idle.mjs'),
  replication: () => import('./replication.mjs'),
  detection: () => import('./detection.mjs'),
  'hand-over': () => import('./hand-over.mjs'),
  scale: () => import('./scale.mjs'),
};

function machine() {
  const [cpu] = cpus();
  return {
    cpu: `${cpus().length} x ${cpu?.model.trim() ?? 'unknown'}`,
    memoryGB: Math.round(totalmem() / 1e9),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    loadBefore: readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).map(Number),
  };
}

function tableOf(rows) {
  const text = (value) => (value === null ? '-' : String(value));
  const lines = [
    '| what | unit | ours | peer | ours / peer |',
    '|---|---|---|---|---|',
    ...rows.map(({ what, unit, ours, peer, peerName, ratio }) => {
      const named = peer === null ? '-' : `${peer} (${peerName})`;
      return `| ${what} | ${unit} | ${text(ours)} | ${named} | ${text(ratio)} |`;
    }),
  ];
  return lines.join('\n');
}

/** The table of the last full run, for people who read the repository. */
function keep(table, { cpu, memoryGB, system, node, loadBefore }) {
  const folder = join(dirname(fileURLToPath(import.meta.url)), 'results');
  mkdirSync(folder, { recursive: true });
  const where = `${cpu}, ${memoryGB} GB, ${system}, Node ${node}`;
  const how = `\`npm run bench -- ${process.argv.slice(2).join(' ')}\``;
  const text =
    `# ${name}\n\n${how} on ${where}; load before it ${loadBefore.join(' ')}.\n` +
    `Everything runs on this one machine, alternating in one run.\n\n${table}\n`;
  writeFileSync(join(folder, `${name}.md`), text);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string' },
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const [name = ''] = positionals;
const bench = Object.hasOwn(benches, name) ? benches[name] : null;
const rounds = Number(values.rounds);
const { run, secondsUsual = 5 } = (await bench?.()) ?? {};
const seconds = Number(values.seconds ?? secondsUsual);
if (!run || !Number.isInteger(rounds) || rounds < 1 || !(seconds > 0)) {
  const names = Object.keys(benches).join(', ');
  console.error(
    `usage: npm run bench -- NAME [--rounds N] [--seconds S] [--json] [--keep]; NAME: ${names}`,
  );
  process.exit(2);
}
const before = machine();
const result = await run({ rounds, seconds, say: (text) => console.error(text) });
const table = `${tableOf(result.rows)}\n\n${result.profileText}`;
if (values.keep) keep(table, before);
if (values.json) console.log(JSON.stringify({ name, machine: before, ...result }));
else console.log(table);
