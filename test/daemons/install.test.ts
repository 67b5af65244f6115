/** What scripts/install-daemons put here answers with the versions that the modules name. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { daemonBinary } from './binaries.ts';

const repository = new URL('../../', import.meta.url);

/** The version that a module under daemons/ requires. */
function required(module: string, path: string): string {
  const text = readFileSync(new URL(`daemons/${module}/go.mod`, repository), 'utf8');
  const version = new RegExp(`${path} v([0-9.]+)`).exec(text)?.[1];
  if (version === undefined) throw new Error(`daemons/${module}/go.mod does not require ${path}`);
  return version;
}

test('every daemon runs and has the version that its module names', () => {
  const cluster = required('ipfs-cluster', 'github.com/ipfs-cluster/ipfs-cluster');
  for (const name of ['ipfs-cluster-service', 'ipfs-cluster-follow']) {
    const said = execFileSync(daemonBinary(name), ['--version'], { encoding: 'utf8' });
    expect(said.trim()).toBe(`${name} version ${cluster}`);
  }
  const said = execFileSync(daemonBinary('ipfs'), ['version', '--number'], { encoding: 'utf8' });
  expect(said.trim()).toBe(required('kubo', 'github.com/ipfs/kubo'));
});

test('a second run of the installer builds nothing and names every binary', () => {
  const script = new URL('scripts/install-daemons', repository).pathname;
  const run = execFileSync('bash', ['-c', `'${script}' 2>&1`], { encoding: 'utf8' });
  for (const name of ['ipfs', 'ipfs-cluster-service', 'ipfs-cluster-follow'])
    expect(run).toMatch(new RegExp(`install-daemons: ${name} \\d+\\.\\d+\\.\\d+: /`));
  expect(run).not.toContain('building');
});

test('an unknown argument is refused with the usage', () => {
  const script = new URL('scripts/install-daemons', repository).pathname;
  expect(() => execFileSync(script, ['--everything'], { stdio: 'pipe' })).toThrow(/usage:/);
});
