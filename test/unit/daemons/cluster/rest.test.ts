/** ipfs-cluster's answers, as they were recorded and as they may be broken. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import {
  allocations,
  askId,
  countsOf,
  isFor,
  ownPins,
  pingingPeers,
} from '../../../../src/daemons/cluster/rest.ts';
import { createDaemonClient, type DaemonClient } from '../../../../src/daemons/daemon-client.ts';

const own = '12D3KooWMnwN53gXU9pFn23hx4g6T35fsNKVzEU6t6Hrqzwj8eNG';
const cid = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';
const idAnswer = {
  id: own,
  addresses: [`/ip4/127.0.0.1/tcp/9196/p2p/${own}`],
  cluster_peers: [own],
  cluster_peers_addresses: [],
  version: '1.1.0',
  error: '',
  ipfs: { id: 'k', addresses: [], error: '' },
  peername: 'vm',
};
const pinLine = { cid, name: '', peer_map: { [own]: { status: 'pinned', error: '' } } };
const soon = (): AbortSignal => AbortSignal.timeout(10_000);
const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

async function clientOf(answer: (url: string, response: ServerResponse) => void) {
  const server = createServer((request, response) => answer(request.url ?? '', response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const client: DaemonClient = createDaemonClient({ url, authorization: null, tls: null });
  closers.push(async () => {
    await client.close();
    server.closeAllConnections();
    await once(server.close(), 'close');
  });
  return client;
}

test('who answers is who we expect, or it is an error that names both', async () => {
  const client = await clientOf((_, response) => response.end(JSON.stringify(idAnswer)));
  expect((await askId(client, own, soon())).version).toBe('1.1.0');
  expect((await askId(client, null, soon())).id).toBe(own);
  await expect(askId(client, 'somebody', soon())).rejects.toThrow(`${own} (vm); our daemon is`);
});

test("the service's pinning API on the follower's port is no follower", async () => {
  const client = await clientOf((url, response) => {
    if (url === '/id') response.writeHead(404).end('404 page not found\n');
    else if (url === '/health') response.writeHead(204).end();
    else response.end(JSON.stringify({ count: 1, results: [] }));
  });
  await expect(askId(client, own, soon())).rejects.toMatchObject({ code: 'unavailable' });
});

test('pins of this peer; nothing is an empty list, a trailer with an error is an error', async () => {
  let broken = false;
  const client = await clientOf((_, response) => {
    response.writeHead(200, { trailer: 'X-Stream-Error' });
    response.write(`${JSON.stringify(pinLine)}\n`);
    response.addTrailers({ 'X-Stream-Error': broken ? 'context canceled' : '' });
    response.end();
  });
  expect(await ownPins(client, own, soon())).toEqual(new Map([[cid, 'pinned']]));
  expect(await ownPins(client, 'other', soon())).toEqual(new Map([[cid, 'unknown']]));
  broken = true;
  await expect(ownPins(client, own, soon())).rejects.toThrow('context canceled');
});

test('a pinset that is cut anywhere is an error and never a shorter one', async () => {
  const line = { cid, name: '', replication_factor_min: -1, replication_factor_max: -1 };
  const text = [1, 2, 3].map(() => `${JSON.stringify({ ...line, allocations: [] })}\n`).join('');
  let cutAt = text.length;
  const client = await clientOf((_, response) => {
    response.writeHead(200);
    response.write(text.slice(0, cutAt), () =>
      cutAt < text.length ? response.destroy() : response.end(),
    );
  });
  expect(await allocations(client, soon())).toHaveLength(3);
  for (cutAt = 1; cutAt < text.length; cutAt += 40)
    await expect(allocations(client, soon()), `cut at ${cutAt}`).rejects.toThrow();
});

test('only a valid ping counts', async () => {
  const metric = { name: 'ping', expire: 1, valid: true };
  const metrics = [
    { ...metric, peer: 'a' },
    { ...metric, peer: 'b', valid: false },
  ];
  const client = await clientOf((_, response) => response.end(JSON.stringify(metrics)));
  expect(await pingingPeers(client, soon())).toEqual(new Set(['a']));
});

test('whose pin it is, and how many are in which state', () => {
  const pin = { cid, name: '', replication_factor_min: 1, replication_factor_max: 2 };
  expect(isFor({ ...pin, allocations: [] }, 'a')).toBe(true);
  expect(isFor({ ...pin, allocations: null }, 'a')).toBe(true);
  expect(isFor({ ...pin, allocations: ['b'] }, 'a')).toBe(false);
  expect(countsOf(['pinned', 'remote', 'pinned'])).toEqual([
    ['pinned', 2],
    ['remote', 1],
  ]);
});
