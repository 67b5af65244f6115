/** What a start wants in kubo's configuration, and what it leaves as a person wrote it. */
import { expect, test } from 'vitest';
import {
  type KuboConfig,
  setAt,
  wantedSettings,
  withSwarmPort,
} from '../../../src/daemons/kubo/kubo-config.ts';

const current: KuboConfig = {
  Identity: { PeerID: 'p' },
  Addresses: { Swarm: ['/ip4/0.0.0.0/tcp/4001', '/ip4/0.0.0.0/udp/4001/quic-v1'] },
  Datastore: {},
};
const ports = { rpc: 5002, gateway: 8081, swarm: 4005 };

test('the swarm port is changed where it is one of ours, and a port of its own choice stays', () => {
  expect(withSwarmPort(current.Addresses.Swarm ?? [], 4005)).toEqual([
    '/ip4/0.0.0.0/tcp/4005',
    '/ip4/0.0.0.0/udp/4005/quic-v1',
  ]);
  expect(withSwarmPort(['/ip4/127.0.0.1/tcp/0'], 4005)).toEqual(['/ip4/127.0.0.1/tcp/0']);
  expect(withSwarmPort([], 4005)).toEqual([]);
});

test("in a person's repo only addresses and what the operator asked for are changed", () => {
  const options = { storageMax: 5_000_000, settings: { 'Swarm.ConnMgr.HighWater': 7 } };
  const wanted = wantedSettings(current, { options, ports }, { role: 'master', ours: false });
  expect(wanted).toEqual({
    'Addresses.Swarm': ['/ip4/0.0.0.0/tcp/4005', '/ip4/0.0.0.0/udp/4005/quic-v1'],
    'Addresses.API': '/ip4/127.0.0.1/tcp/5002',
    'Addresses.Gateway': '/ip4/127.0.0.1/tcp/8081',
    'Datastore.StorageMax': '5000000B',
    'Swarm.ConnMgr.HighWater': 7,
  });
});

test('in a repo of ours the role sets the limits, and the operator has the last word', () => {
  const high = (role: 'master' | 'worker' | 'leecher', settings = {}) =>
    wantedSettings(current, { options: { settings }, ports }, { role, ours: true })[
      'Swarm.ConnMgr.HighWater'
    ];
  expect([high('master'), high('worker'), high('leecher')]).toEqual([400, 250, 96]);
  expect(high('master', { 'Swarm.ConnMgr.HighWater': 9 })).toBe(9);
});

test('nobody moves the API away from loopback, where everybody could call it', () => {
  const settings = { 'Addresses.API': '/ip4/0.0.0.0/tcp/5001' };
  const wanted = wantedSettings(
    current,
    { options: { settings }, ports },
    { role: 'worker', ours: true },
  );
  expect(wanted['Addresses.API']).toBe('/ip4/127.0.0.1/tcp/5002');
});

test('a dotted path sets one value and keeps its neighbours', () => {
  const config = { Swarm: { A: 1 }, Bootstrap: ['x'] };
  setAt(config, 'Swarm.ConnMgr.LowWater', 5);
  setAt(config, 'Bootstrap', []);
  expect(config).toEqual({ Swarm: { A: 1, ConnMgr: { LowWater: 5 } }, Bootstrap: [] });
});
