// The demo's fail-over script (src/cli/demo-failover.ts) on the containers of scripts/testbed: the
// same acts and the same claims, with `docker kill` and `docker start` for processes. One line of
// JSON on standard output; ends with 1 if a claim does not hold.
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createClient } from '../src/cli/client.ts';
import { partsOf } from '../src/cli/demo-content.ts';
import { failoverHolds, performFailover } from '../src/cli/demo-failover.ts';
import { actingLeader, settleVoters, until } from '../src/cli/demo-watch.ts';

const run = promisify(execFile);
const root = join(fileURLToPath(new URL('.', import.meta.url)), '..');
const project = 'bellwether-testbed';
const names = ['master-1', 'master-2', 'worker-1', 'worker-2', 'leecher-1'];
const firstPort = 19099;

const docker = async (...args) => (await run('docker', args)).stdout.trim();

async function nodeOf(name, i) {
  const id = await docker(
    ...['ps', '-aq', '--filter', `label=com.docker.compose.project=${project}`],
    ...['--filter', `label=com.docker.compose.service=${name}`],
  );
  const token = await docker('exec', id, 'cat', '/data/http.token');
  const statusUrl = `http://127.0.0.1:${firstPort + i}`;
  const client = createClient(statusUrl, token);
  const pidOf = async () => Number(await docker('inspect', '-f', '{{.State.Pid}}', id));
  let pid = await pidOf();
  let alive = true;
  const node = {
    name,
    role: name.replace(/-\d+$/, ''),
    httpPort: firstPort + i,
    meshPort: 4101,
    data: '/data',
    statusUrl,
    client: () => client,
    pid: () => pid,
    alive: () => alive,
    lastWords: () => `docker logs ${id}`,
  };
  return {
    node,
    start() {
      alive = true;
      const child = spawn('docker', ['start', id], { stdio: 'ignore' });
      child.on('exit', async () => {
        pid = await pidOf();
      });
    },
    async kill() {
      const atMs = performance.now();
      await docker('kill', '--signal', 'KILL', id);
      alive = false;
      return atMs;
    },
    close: () => client.close(),
  };
}

const handles = await Promise.all(names.map(nodeOf));
const at = (name) => handles.find(({ node }) => node.name === name);
const nodes = handles.map(({ node }) => node);
const flock = {
  nodes,
  node: (name) => at(name).node,
  living: () => nodes.filter((node) => node.alive()),
  start: (name) => at(name).start(),
  kill: (name) => at(name).kill(),
  stop: async () => undefined,
};
const leader = await until('a leader', 30_000, () => actingLeader(flock));
await settleVoters(flock, flock.node(leader.name));
const parts = await partsOf(join(root, 'docs'));
const say = (text) => void process.stderr.write(`${text}\n`);
const stage = {
  flock,
  folder: root,
  electionMs: 0,
  leader,
  untilInterrupted: () => new Promise(() => {}),
};
const told = await performFailover(stage, parts, say);
const ok = failoverHolds(told);
process.stdout.write(`${JSON.stringify({ ok, ...told })}\n`);
await Promise.all(handles.map((handle) => handle.close()));
process.exitCode = ok ? 0 : 1;
