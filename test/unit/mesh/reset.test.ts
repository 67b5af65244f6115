/** Healthy peers whose connection is torn off: both sides redial, and nobody is taken for dead. */
import { createServer, connect as dialTcp, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createFlock, type Flock, type Node, peerOf, until } from './flock.ts';

let flock: Flock;
let proxy: Server;
const sockets = new Set<Socket>();
beforeEach(() => {
  flock = createFlock();
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  proxy.close();
  await flock.stop();
});

/** A TCP proxy before `node`; answers the address to dial instead. */
async function proxied(node: Node): Promise<string> {
  const address = node.mesh.addresses()[0] ?? '';
  const port = Number(/\/tcp\/(\d+)/.exec(address)?.[1]);
  proxy = createServer((incoming) => {
    const outgoing = dialTcp({ port, host: '127.0.0.1' });
    for (const socket of [incoming, outgoing]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    }
    incoming.pipe(outgoing).pipe(incoming);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const bound = proxy.address();
  const proxyPort = bound !== null && typeof bound === 'object' ? bound.port : 0;
  return address.replace(`/tcp/${port}`, `/tcp/${proxyPort}`);
}

test('a reset of a healthy link is closed and opened again, without a failed redial', async () => {
  const a = await flock.node();
  const b = await flock.node();
  const throughProxy = { ...peerOf(b), addresses: [await proxied(b)] };
  a.mesh.setPeers([peerOf(a), throughProxy]);
  b.mesh.setPeers([peerOf(b), { ...peerOf(a), addresses: [] }]);
  await until(() => a.mesh.links()[0]?.connected === true);
  const steadyFrom = performance.now() + 1100;
  await until(() => performance.now() > steadyFrom);
  a.links.length = 0;
  b.links.length = 0;
  const tornMs = performance.now();
  for (const socket of sockets) socket.resetAndDestroy();
  await until(() => a.links.length >= 2 && b.links.length >= 2);
  console.info(`back after ${Math.round(performance.now() - tornMs)} ms`);
  expect(a.links.map(({ change }) => change)).toEqual(['closed', 'opened']);
  expect(b.links.map(({ change }) => change)).toEqual(['closed', 'opened']);
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const body = Buffer.from('x');
    const echo = await from.mesh.request(to.mesh.peerId, 'echo', body, { timeoutMs: 5000 });
    expect(Buffer.from(echo).toString()).toBe('x');
  }
});

test('stopping with open links takes little time and says closed to the other side', async () => {
  const a = await flock.node();
  const b = await flock.node();
  const throughProxy = { ...peerOf(b), addresses: [await proxied(b)] };
  a.mesh.setPeers([peerOf(a), throughProxy]);
  await until(() => a.mesh.links()[0]?.connected === true);
  await a.mesh.request(b.mesh.peerId, 'echo', Buffer.from('x'), { timeoutMs: 5000 });
  const startedMs = performance.now();
  await b.mesh.stop();
  const tookMs = performance.now() - startedMs;
  console.info(`stopped in ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(3000);
  await until(() => a.links.some(({ change }) => change === 'closed'));
});
