// Serf agents on this machine, from the Go module proxy: go install
// github.com/hashicorp/serf/cmd/serf@latest, with the program's folder in PATH.
import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from './etcd.mjs';

export function serfVersion() {
  const { status, stdout } = spawnSync('serf', ['version'], { encoding: 'utf8' });
  return status === 0 ? (stdout.split('\n')[0]?.replace(/^Serf v?/, '') ?? 'unknown') : null;
}

/** Whether a port can be bound for UDP as well, which Serf probes over. */
async function isFreeForUdp(port) {
  const socket = createSocket('udp4');
  const bound = new Promise((resolve) => {
    socket.on('error', () => resolve(false));
    socket.bind(port, '127.0.0.1', () => resolve(true));
  });
  const free = await bound;
  if (free) await new Promise((done) => socket.close(done));
  return free;
}

export async function startSerf(count) {
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-serf-'));
  const out = openSync(join(folder, 'serf.log'), 'a');
  const ports = await freePorts(2 * count);
  for (const port of ports.slice(0, count))
    if (!(await isFreeForUdp(port))) throw new Error(`UDP port ${port} is taken`);
  const members = Array.from({ length: count }, (_, i) => ({
    name: `s${i + 1}`,
    bind: `127.0.0.1:${ports[i]}`,
    rpc: `127.0.0.1:${ports[count + i]}`,
  }));
  const start = (member) => {
    const join = member === members[0] ? [] : [`-join=${members[0].bind}`];
    const settings = [`-node=${member.name}`, `-bind=${member.bind}`, `-rpc-addr=${member.rpc}`];
    member.child = spawn('serf', ['agent', ...settings, ...join], { stdio: ['ignore', out, out] });
  };
  for (const member of members) start(member);
  return {
    members,
    start,
    /** Name to state, as one member knows it; null while it doesn't answer. */
    statesAt(member) {
      const asked = ['members', `-rpc-addr=${member.rpc}`, '-format=json'];
      const { status, stdout } = spawnSync('serf', asked, { encoding: 'utf8' });
      if (status !== 0) return null;
      return new Map(JSON.parse(stdout).members.map(({ name, status: state }) => [name, state]));
    },
    async end() {
      for (const { child } of members) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
