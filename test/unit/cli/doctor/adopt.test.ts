/** What doctor --adopt finds in folders, units and processes made for it, and what it proposes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../../../src/agent/config.ts';
import { findInstalls, proposalOf, urlOf } from '../../../../src/cli/doctor/adopt.ts';

let home: string;
let units: string;
let child: ChildProcess | null = null;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'bellwether-doctor-'));
  units = join(home, 'units');
  mkdirSync(units);
});
afterEach(() => {
  child?.kill('SIGKILL');
  child = null;
  rmSync(home, { recursive: true, force: true });
});

const find = () => findInstalls({ home, env: {}, unitFolders: [units, join(home, 'absent')] });
const put = (path: string, text: string): void => {
  mkdirSync(join(home, path, '..'), { recursive: true });
  writeFileSync(join(home, path), text);
};
/** Those of this test's folder: the machine may have daemons of its own. */
const mine = async () => (await find()).filter(({ folder }) => folder?.startsWith(home));

test.each([
  ['/ip4/127.0.0.1/tcp/5001', 'http://127.0.0.1:5001'],
  ['/ip4/0.0.0.0/tcp/1234/http', 'http://127.0.0.1:1234'],
  ['/ip6/::1/tcp/9094', 'http://[::1]:9094'],
  ['/dns4/kubo/tcp/5001', 'http://kubo:5001'],
  ['/unix/tmp/api', null],
  ['', null],
])('%s is %s', (multiaddr, url) => {
  expect(urlOf(multiaddr)).toBe(url);
});

test('an empty home has nothing, and an empty folder is no install', async () => {
  mkdirSync(join(home, '.ipfs'));
  expect(await mine()).toEqual([]);
  expect(proposalOf([])).toEqual({ daemons: {}, notes: [], yaml: '' });
});

test('folders that nobody runs are proposed as managed, with their addresses read', async () => {
  put('.ipfs/config', '{"Addresses": {"API": "/ip4/127.0.0.1/tcp/5002"}}');
  put(
    '.ipfs-cluster/service.json',
    '{"api":{"restapi":{"http_listen_multiaddress":"/ip4/0.0.0.0/tcp/9194"}}}',
  );
  put('.ipfs-cluster-follow/other/service.json', '{}');
  put('.lotus/api', '/ip4/127.0.0.1/tcp/1235/http\n');
  const installs = await mine();
  expect(installs.map(({ type, url }) => [type, url])).toEqual([
    ['ipfs', 'http://127.0.0.1:5002'],
    ['ipfs_cluster_service', 'http://127.0.0.1:9194'],
    ['ipfs_cluster_follow', null],
    ['lotus', 'http://127.0.0.1:1235'],
  ]);
  const bare = installs.map((one) => ({ ...one, processes: [], units: [] }));
  expect(proposalOf(bare).daemons).toEqual({
    ipfs: { mode: 'managed', folder: join(home, '.ipfs') },
    ipfs_cluster_service: { mode: 'managed', folder: join(home, '.ipfs-cluster') },
    ipfs_cluster_follow: { mode: 'managed', folder: join(home, '.ipfs-cluster-follow') },
    lotus: { mode: 'managed', folder: join(home, '.lotus') },
  });
});

test('what a unit starts stays theirs, and the proposal is a configuration that loads', async () => {
  put('.ipfs/config', '{"Addresses": {"API": "/ip4/127.0.0.1/tcp/5001"}}');
  put('.lotus/api', '/ip4/127.0.0.1/tcp/1234/http');
  put('units/ipfs.service', '[Service]\nExecStart=/usr/local/bin/ipfs daemon --migrate\n');
  put('units/lotus.service', '[Service]\nExecStart=-/usr/bin/lotus daemon\n');
  put('units/other.service', '[Service]\nExecStart=/usr/local/bin/ipfs pin ls\n');
  const installs = await mine();
  expect(installs.map(({ units: found }) => found)).toEqual([
    [join(units, 'ipfs.service')],
    [join(units, 'lotus.service')],
  ]);
  const { yaml, daemons } = proposalOf(installs);
  expect(daemons).toEqual({
    ipfs: { mode: 'external', url: 'http://127.0.0.1:5001' },
    lotus: {
      mode: 'external',
      url: 'http://127.0.0.1:1234',
      auth: { type: 'bearer', file: join(home, '.lotus/token') },
    },
  });
  expect(parse(yaml)).toEqual({ daemons });
  const file = join(home, 'config.yaml');
  writeFileSync(file, `role: worker\n${yaml}`);
  expect(loadConfig({ file, env: {}, flags: {} }).daemons.ipfs).toMatchObject({ mode: 'external' });
});

test('a process that runs is found and only looked at', async () => {
  put('.ipfs/config', '{}');
  const before = readdirSync(home, { recursive: true });
  // Named like the daemon, and waits for its input.
  child = spawn('bash', ['-c', 'exec -a ipfs bash -c "read -r line" daemon'], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const own = child.pid;
  await vi.waitFor(async () => {
    const [found] = await mine();
    expect(found?.processes.map((one) => one.pid)).toContain(own);
  }, 20_000);
  expect(readdirSync(home, { recursive: true })).toEqual(before);
  expect(child.exitCode).toBeNull();
});
