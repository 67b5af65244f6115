// Fills the cache of compiled code beside a bundle: an agent of its own runs until it leads, and Node
// writes what it compiled when it ends. Without the cache a start only takes longer.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const runMsMax = 60_000;

/** `folder`: that of the bundle. */
export async function fillCache(folder) {
  const data = mkdtempSync(join(tmpdir(), 'bellwether-build-'));
  mkdirSync(join(folder, 'cache'), { recursive: true });
  const asked = ['--role', 'master', '--node-id', 'build', '--start-cluster', '--data', data];
  const place = ['--http-port', '0', '--mesh-port', '0', '--mesh-host', '127.0.0.1'];
  const bundle = join(folder, 'bellwether.mjs');
  const agent = spawn(process.execPath, [bundle, 'agent', ...asked, ...place], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const late = setTimeout(() => agent.kill('SIGKILL'), runMsMax);
  const ended = once(agent, 'exit');
  const told = [];
  for await (const line of createInterface({ input: agent.stderr })) {
    told.push(line);
    if (line.includes('"acting":true')) agent.kill('SIGTERM');
  }
  const [code] = await ended;
  clearTimeout(late);
  rmSync(data, { recursive: true });
  // A slow or narrow machine is no reason to be left without a bundle.
  if (code !== 0) console.error(`no code cache, starts take longer: ${told.join('\n')}`);
}
