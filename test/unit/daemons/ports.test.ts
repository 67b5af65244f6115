/** Ports: the wished one, the one of last time, or the next free one, and who holds the other. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { choosePorts, type PortWishes } from '../../../src/daemons/ports.ts';

const servers: Server[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => once(server.close(), 'close')));
});

async function held(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

async function free(): Promise<number> {
  const port = await held();
  const server = servers.pop();
  if (server) await once(server.close(), 'close');
  return port;
}

const wishes = (wanted: Record<string, number>, more: Partial<PortWishes> = {}): PortWishes => ({
  title: 'kubo',
  wanted,
  last: null,
  claimed: () => false,
  isOrphan: () => false,
  ...more,
});

test('a free port is taken as it is', async () => {
  const api = await free();
  expect(await choosePorts(wishes({ api }))).toEqual({ ports: { api }, notes: [] });
});

test('a taken port is left to its holder, who is named; the next free one is taken', async () => {
  const api = await held();
  const { ports, notes } = await choosePorts(wishes({ api }));
  expect(ports.api).toBeGreaterThan(api);
  expect(notes[0]).toMatch(`kubo: api port ${api} is held by pid ${process.pid}`);
  expect(notes[1]).toBe(`kubo: api takes port ${ports.api} instead`);
  expect(servers[0]?.listening).toBe(true);
});

test('a port that is taken for UDP is no port for QUIC, and its holder is named', async () => {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port: swarm } = socket.address();
  try {
    const plain = await choosePorts(wishes({ swarm }));
    expect(plain).toEqual({ ports: { swarm }, notes: [] });
    const { ports, notes } = await choosePorts(wishes({ swarm }, { udp: ['swarm'] }));
    expect(ports.swarm).toBeGreaterThan(swarm);
    expect(notes[0]).toMatch(`kubo: swarm port ${swarm} (UDP) is held by pid ${process.pid}`);
  } finally {
    socket.close();
  }
});

test('9098 is passed over on the way to a free port, unless it is asked for', async () => {
  const claimed = (port: number): boolean => port === 9097;
  const { ports } = await choosePorts(wishes({ api: 9097 }, { claimed }));
  expect(ports.api).toBeGreaterThan(9098);
  const asked = await choosePorts(wishes({ api: 9098 }, { claimed }));
  const [note = ''] = asked.notes;
  // Whoever else is on this machine may have it just now.
  expect(asked.ports.api === 9098 || note.includes('port 9098 is held by')).toBe(true);
});

test('an orphan of ours is called one', async () => {
  const api = await held();
  const { notes } = await choosePorts(
    wishes({ api }, { isOrphan: ({ pid }) => pid === process.pid }),
  );
  expect(notes[0]).toContain('left behind by an earlier run of this agent');
});

test('the port of last time is kept, and what another daemon of ours has is not given away', async () => {
  const [wanted, last] = [await free(), await free()];
  const kept = await choosePorts(wishes({ api: wanted }, { last: { api: last } }));
  expect(kept.ports).toEqual({ api: last });
  const other = await choosePorts(wishes({ api: wanted }, { claimed: (port) => port === wanted }));
  expect(other.ports.api).not.toBe(wanted);
  expect(other.notes[0]).toContain('belongs to another daemon of this agent');
});

test('two names never get the same port', async () => {
  const port = await free();
  const { ports } = await choosePorts(wishes({ a: port, b: port }));
  expect(ports.a).toBe(port);
  expect(ports.b).not.toBe(port);
});
