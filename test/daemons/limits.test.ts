/**
 * Limits that the real kubo runs into: too little memory to start in, and no file handle left for
 * another caller. Each is told as a cause of its own, by the name of the limit.
 */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDaemonFlock, type DaemonFlock } from '../e2e/daemon-flock.ts';
import { freePorts } from '../e2e/flock.ts';
import { daemonBinary } from './binaries.ts';

const name = 'master-1';
let flocks: DaemonFlock[] = [];
const sockets: Socket[] = [];

async function start(limits: object): Promise<DaemonFlock> {
  const [rpc, gateway, swarm] = await freePorts(3);
  const flock = await createDaemonFlock([name], {
    ipfs: { mode: 'managed', network: 'local', ports: { rpc, gateway, swarm }, limits },
  });
  flock.start(name);
  return flock;
}

beforeAll(async () => {
  process.env.BELLWETHER_DAEMONS_DIR = dirname(daemonBinary('ipfs'));
  flocks = [await start({ memoryBytes: 62_000_000 }), await start({ files: 64 })];
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  for (const flock of flocks) await flock.stop();
});

test('too little memory is told as that, and is no case for a hot retry', async () => {
  const view = await flocks[0]?.viewUntil('it fails', name, (seen) => seen.lastFailure !== null);
  expect(view?.lastFailure).toMatchObject({
    cause: 'out-of-memory',
    detail: expect.stringMatching(/out of memory|cannot allocate memory/),
  });
  expect(view).toMatchObject({ state: 'cooling-down', pid: null });
  expect(view?.alertSince).not.toBeNull();
});

test('who has no file handle left is told by that, although it still answers us', async () => {
  const well = await flocks[1]?.viewUntil('kubo runs', name, ({ state }) => state === 'running');
  for (let i = 0; i < 80; i++) {
    const socket = createConnection(well?.ports.rpc ?? 0, '127.0.0.1');
    socket.on('error', () => undefined); // kubo may throw it out
    sockets.push(socket);
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  }
  const full = await flocks[1]?.viewUntil('its limit is told', name, ({ finding }) =>
    Boolean(finding?.problems.some(({ code }) => code === 'file-limit')),
  );
  const problem = full?.finding?.problems.find(({ code }) => code === 'file-limit');
  expect(problem?.text).toMatch(/^it has 6\d of 64 files and sockets open$/);
  for (const socket of sockets.splice(0)) socket.destroy();
  await flocks[1]?.viewUntil('it has handles again', name, ({ finding }) =>
    Boolean(finding?.problems.every(({ code }) => code !== 'file-limit')),
  );
});
