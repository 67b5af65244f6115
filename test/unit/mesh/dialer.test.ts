/** What a knock on a TCP port tells: taken, refused, or nothing. */
import { createServer, type Server } from 'node:net';
import { expect, test } from 'vitest';
import { allRefuse } from '../../../src/mesh/dialer.ts';

const waitMs = 2000;

/** A port of loopback that takes connections until `close`. */
async function listening(): Promise<{ address: string; close: () => Promise<void> }> {
  const server: Server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return {
    address: `/ip4/127.0.0.1/tcp/${bound.port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

test('a port that nobody listens on refuses, one that somebody listens on does not', async () => {
  const alive = await listening();
  const dead = await listening();
  await dead.close();
  expect(await allRefuse([dead.address], waitMs)).toBe(true);
  expect(await allRefuse([alive.address], waitMs)).toBe(false);
  expect(await allRefuse([dead.address, alive.address], waitMs)).toBe(false);
  await alive.close();
});

test.each([
  ['no address at all', []],
  ['an address that does not parse', ['nonsense']],
  ['an address without TCP', ['/ip4/127.0.0.1/udp/4001']],
])('%s is no refusal', async (_name, addresses) => {
  expect(await allRefuse(addresses, waitMs)).toBe(false);
});
