/** Peers of a foreign cluster that are given without their ids: asked, told when silent. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { followSchema, peerIdOf } from '../../../../src/daemons/cluster/foreign.ts';
import { createForeignPeers } from '../../../../src/daemons/cluster/foreign-peers.ts';

const id = '12D3KooWSbmGpqfDss5KCijqhRMPgsBqdGE2Yng3pVDU1v7KKxTp';
const secret = 'ab'.repeat(32);
const soon = (): AbortSignal => AbortSignal.timeout(10_000);
const follow = (more: object) => followSchema.parse({ clusterName: 'theirs', ...more });

/** Answers at port 9096 only; notes with which secret it was asked. */
function network() {
  const asked: [string, string | null][] = [];
  const peers = createForeignPeers(async (address, key) => {
    asked.push([address, key]);
    if (!address.endsWith('/tcp/9096')) throw new Error('connection refused');
    return id;
  });
  return { asked, peers };
}

test('who is given with its id is not asked', async () => {
  const { asked, peers } = network();
  const given = follow({ bootstrapPeers: [`10.0.0.1:1/p2p/${id}`] });
  expect(peers.addresses(given)).toEqual([`/ip4/10.0.0.1/tcp/1/p2p/${id}`]);
  expect(await peers.resolve(given, soon())).toEqual(peers.addresses(given));
  expect(asked).toEqual([]);
});

test('who is not is asked with the secret, and left out with a word if it is silent', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-secret-'));
  writeFileSync(join(folder, 'secret'), `${secret}\n`);
  const { asked, peers } = network();
  const bootstrapPeers = ['10.0.0.1:9096', '10.0.0.2:7'];
  const given = follow({ bootstrapPeers, secretFile: join(folder, 'secret') });
  expect(peers.addresses(given)).toEqual([]);
  const found = await peers.resolve(given, soon());
  expect(found).toEqual([`/ip4/10.0.0.1/tcp/9096/p2p/${id}`]);
  expect(found.map(peerIdOf)).toEqual([id]);
  expect(asked.map(([, key]) => key)).toEqual([secret, secret]);
  expect(peers.addresses(given)).toEqual(found);
  expect(peers.silent()).toEqual([
    '/ip4/10.0.0.2/tcp/7 did not tell its peer id: connection refused',
  ]);
  rmSync(folder, { recursive: true });
});

test('nobody to start from is a reason to wait, unless the template names peers', async () => {
  const server = createServer((_, response) => {
    response.write(JSON.stringify({ cluster: { secret } }), () => response.end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const initUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/service.json?a=b`;
  const { asked, peers } = network();
  const bootstrapPeers = ['10.0.0.2:7'];
  await expect(peers.resolve(follow({ bootstrapPeers }), soon())).rejects.toMatchObject({
    why: 'dependency-down',
    message: expect.stringContaining('10.0.0.2/tcp/7 did not tell its peer id'),
  });
  expect(await peers.resolve(follow({ bootstrapPeers, initUrl }), soon())).toEqual([]);
  expect(asked.map(([, key]) => key)).toEqual([null, secret]);
  server.closeAllConnections();
  await once(server.close(), 'close');
});
