/**
 * The Filecoin adapter against a node that speaks the recorded contract over real HTTP with a
 * token: synced, syncing, downloading, stalled, failed, methods that are missing or refused, and
 * what a real Forest answered offline.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { createDaemonJudge } from '../../../../src/agent/health/daemon-health.ts';
import type { Finding } from '../../../../src/daemons/api.ts';
import { createDaemonClient, type DaemonClient } from '../../../../src/daemons/daemon-client.ts';
import { createLotus } from '../../../../src/daemons/lotus/lotus.ts';
import { offView } from '../../../../src/daemons/off-daemon.ts';
import { daemonComponent } from '../../../../src/health/daemon-score.ts';
import {
  type Answering,
  forestMethods,
  lotusMethods,
  missing,
  type RpcServer,
  refused,
  rpcToken,
  startRpcServer,
} from './rpc-server.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

interface Node {
  readonly server: RpcServer;
  readonly client: DaemonClient;
  look(): Promise<Finding>;
}

async function startNode(
  methods = lotusMethods(),
  changes: Record<string, Answering> = {},
  token: string | null = rpcToken,
): Promise<Node> {
  for (const [method, answer] of Object.entries(changes)) methods.set(method, answer);
  const server = await startRpcServer(methods);
  const authorization = token === null ? null : `Bearer ${token}`;
  const client = createDaemonClient({ url: server.url, authorization, tls: null });
  open.push(client, server);
  const adapter = createLotus();
  return { server, client, look: () => adapter.check(client, AbortSignal.timeout(20_000), null) };
}

const nowS = (): number => Math.floor(Date.now() / 1000);
const headAt = (height: number, ageS: number): Answering => ({
  result: { Height: height, Cids: [], Blocks: [{ Timestamp: nowS() - ageS }] },
});
const syncs = (...list: [stage: number, height: number, target: number][]): Answering => ({
  result: {
    ActiveSyncs: list.map(([Stage, Height, target]) => ({
      ...{ Stage, Height, WorkerID: 1, Base: null },
      Target: { Height: target, Cids: [], Blocks: [] },
    })),
    VMApplied: 1,
  },
});
const wallet = (balances: Record<string, string>, chosen: string): Record<string, Answering> => ({
  'Filecoin.WalletList': { result: Object.keys(balances) },
  'Filecoin.WalletDefaultAddress': { result: chosen },
  'Filecoin.WalletBalance': ([address]) => ({ result: balances[address as string] ?? '0' }),
});
const synced = {
  'Filecoin.ChainHead': headAt(2850123, 20),
  'Filecoin.SyncState': syncs([4, 2850123, 2850123]),
  'Filecoin.NodeStatus': { result: { SyncStatus: { Epoch: 2850123, Behind: 0 } } },
};
const scoreAfter = (findings: [Finding, atMs: number][]): number => {
  const judge = createDaemonJudge();
  let score = 0;
  for (const [finding, atMs] of findings) {
    const view = { ...offView('lotus'), mode: 'managed', desired: 'started', state: 'running' };
    const [health] = judge.judge([{ ...view, finding } as never], 'master', atMs);
    if (health) score = daemonComponent(health.facts, atMs).score;
  }
  return score;
};

test('a synced node tells every field', async () => {
  const node = await startNode(lotusMethods(), {
    ...synced,
    ...wallet({ f01: '2500000000000000000', f02: '1500000000000000000', f03: '1' }, 'f02'),
  });
  const finding = await node.look();
  expect(finding).toMatchObject({ ready: true, version: '1.33.0+mainnet+git.7bdccad3d' });
  expect(finding.problems).toEqual([]);
  expect(finding.facts).toEqual({
    version: '1.33.0+mainnet+git.7bdccad3d',
    commit: '7bdccad3d',
    node_type: 'lotus',
    network: 'lotus',
    peer_id: '12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf',
    api_address: `${node.server.url}/rpc/v1`,
    sync_status: 'synced',
    phase: 'following',
    chain_height: 2850123,
    head_age_s: expect.any(Number),
    epochs_behind: expect.any(Number),
    peers_count: 1,
    wallet_balance: '1.5 FIL',
    wallets: JSON.stringify([
      { address: 'f01', balance: '2.5 FIL', default: false },
      { address: 'f02', balance: '1.5 FIL', default: true },
      { address: 'f03', balance: '0.000000000000000001 FIL', default: false },
    ]),
    bandwidth_in_bytes: 9,
    bandwidth_out_bytes: 9,
  });
  expect(scoreAfter([[finding, 0]])).toBe(100);
});

describe('how far it has come', () => {
  test.each([
    [
      'the next block is being fetched',
      synced['Filecoin.ChainHead'],
      syncs([3, 9, 2850124]),
      'synced',
    ],
    ['its head is old and nothing is under way', headAt(100, 3600), syncs(), 'syncing'],
    ['headers of a far target come', headAt(100, 3600), syncs([1, 90, 5000]), 'syncing'],
    ['its sync failed and its head is old', headAt(100, 3600), syncs([5, 90, 5000]), 'error'],
    ['an old failure, and the head is there', headAt(100, 20), syncs([5, 90, 95]), 'synced'],
    ['no head is known yet', { error: { code: 1, message: 'no head' } }, syncs(), 'checking'],
  ] as const)('%s', async (_, head, sync, expected) => {
    const node = await startNode(lotusMethods(), {
      'Filecoin.ChainHead': head as Answering,
      'Filecoin.SyncState': sync,
      'Filecoin.NodeStatus': { result: { SyncStatus: { Epoch: 1, Behind: 0 } } },
    });
    const { facts } = await node.look();
    expect(facts.sync_status).toBe(expected);
  });

  test('a height that stands still while headers come is no stall', async () => {
    const node = await startNode(lotusMethods(), { 'Filecoin.ChainHead': headAt(100, 90_000) });
    const looks: [Finding, number][] = [];
    for (let i = 0; i < 6; i++) {
      node.server.methods.set('Filecoin.SyncState', syncs([1, 5000 - i * 100, 6000]));
      looks.push([await node.look(), i * 100_000]);
    }
    // Only for being behind.
    expect(scoreAfter(looks)).toBe(80);
  });

  test('the same stillness while following is one', async () => {
    const node = await startNode(lotusMethods(), {
      ...synced,
      'Filecoin.ChainHead': headAt(100, 3600),
      'Filecoin.SyncState': syncs(),
    });
    const finding = await node.look();
    expect(finding.facts).toMatchObject({ sync_status: 'syncing', phase: 'following' });
    expect(scoreAfter([[finding, 0]])).toBe(80);
    expect(
      scoreAfter([
        [finding, 0],
        [finding, 121_000],
      ]),
    ).toBe(20);
  });
});

describe('a method that is missing costs its one field', () => {
  const costs: [method: string, fields: Record<string, unknown>][] = [
    ['Filecoin.Version', { version: 'unavailable', commit: 'unavailable' }],
    ['Filecoin.StateNetworkName', { network: 'unavailable' }],
    ['Filecoin.NetAddrsListen', { peer_id: 'unavailable' }],
    ['Filecoin.NetPeers', { peers_count: 'unavailable' }],
    ['Filecoin.NetBandwidthStats', { bandwidth_in_bytes: null, bandwidth_out_bytes: null }],
    ['Filecoin.WalletList', { wallet_balance: 'unavailable', wallets: null }],
    ['Filecoin.SyncState', {}],
    ['Filecoin.NodeStatus', {}],
  ];
  test.each(costs)('%s', async (method, fields) => {
    const whole = await (await startNode(lotusMethods(), synced)).look();
    const node = await startNode(lotusMethods(), { ...synced, [method]: missing });
    const { facts, problems } = await node.look();
    expect(problems).toEqual([]);
    expect(facts).toMatchObject(fields);
    const changed = Object.keys(facts).filter((name) => facts[name] !== whole.facts[name]);
    const allowed = [...Object.keys(fields), 'api_address', 'head_age_s', 'epochs_behind'];
    expect(changed.filter((name) => !allowed.includes(name))).toEqual([]);
  });

  test('a balance that can not be had costs that wallet', async () => {
    const node = await startNode(lotusMethods(), {
      ...synced,
      ...wallet({ f01: '1', f02: '2' }, 'f01'),
      'Filecoin.WalletBalance': ([address]) =>
        address === 'f01'
          ? { error: { code: -32603, message: 'actor not found' } }
          : { result: '0' },
    });
    const { facts } = await node.look();
    expect(facts.wallet_balance).toBe('unavailable');
    expect(JSON.parse(String(facts.wallets))).toMatchObject([
      { balance: 'unavailable', default: true },
      { balance: '0 FIL' },
    ]);
  });

  test('no wallet is no wallet, also as null', async () => {
    for (const result of [[], null]) {
      const node = await startNode(lotusMethods(), {
        ...synced,
        'Filecoin.WalletList': { result },
      });
      expect((await node.look()).facts.wallet_balance).toBe('no wallet');
    }
  });

  test('a token without the right for wallets is told, and costs no more', async () => {
    const node = await startNode(lotusMethods(), {
      ...synced,
      'Filecoin.WalletList': refused,
      'Filecoin.WalletDefaultAddress': refused,
    });
    const finding = await node.look();
    expect(finding.facts).toMatchObject({ wallet_balance: 'unavailable', sync_status: 'synced' });
    expect(finding.problems).toMatchObject([{ code: 'unauthorized' }]);
  });
});

describe('a node that can not be asked', () => {
  test.each([
    ['without a token', null],
    ['with a wrong token', 'wrong'],
  ])('%s is an error that says so', async (_, token) => {
    const node = await startNode(lotusMethods(), synced, token);
    await expect(node.look()).rejects.toMatchObject({ code: 'unauthorized' });
  });

  test('an answer that is none of ours is an error', async () => {
    const node = await startNode(lotusMethods(), { 'Filecoin.ChainHead': { result: 'head' } });
    await expect(node.look()).rejects.toThrow(/Filecoin.ChainHead: not what is expected/);
  });

  test('a server error is an error, and silence ends at the deadline', async () => {
    const node = await startNode(lotusMethods(), synced);
    node.server.status = 500;
    await expect(node.look()).rejects.toThrow(/HTTP 500/);
    node.server.status = null;
    const adapter = createLotus();
    await expect(adapter.check(node.client, AbortSignal.timeout(200), null)).rejects.toMatchObject({
      code: 'timeout',
    });
  });
});

test('what a real Forest answered offline is told as it is: behind, and without peers', async () => {
  const methods = forestMethods();
  // Its recording has no head: the genesis block of the calibration network.
  methods.set('Filecoin.ChainHead', {
    result: { Height: 0, Cids: [], Blocks: [{ Timestamp: 1667326380 }] },
  });
  methods.set('Filecoin.WalletBalance', {
    error: { code: -32603, message: 'failed to get actor' },
  });
  const node = await startNode(methods);
  const finding = await node.look();
  expect(finding.facts).toMatchObject({
    version: '0.39.0+git.unknown',
    commit: 'unavailable',
    node_type: 'forest',
    network: 'calibrationnet',
    sync_status: 'syncing',
    phase: 'downloading',
    chain_height: 0,
    peers_count: 0,
    wallet_balance: 'unavailable',
  });
  expect(Number(finding.facts.epochs_behind)).toBeGreaterThanOrEqual(4262760);
  expect(finding.problems.map(({ code }) => code)).toEqual(['no-peers', 'behind']);
  expect(scoreAfter([[finding, 0]])).toBe(60);
});

test('whose command line it is', () => {
  const { matches } = createLotus();
  expect(matches(['/usr/bin/lotus', 'daemon', '--api', '1234'])).toBe(true);
  expect(matches(['forest', '--chain', 'calibnet'])).toBe(true);
  expect(matches(['/usr/bin/lotus', 'wallet', 'list'])).toBe(false);
  expect(matches(['forest-cli', 'info', 'show'])).toBe(false);
  expect(matches([])).toBe(false);
});
