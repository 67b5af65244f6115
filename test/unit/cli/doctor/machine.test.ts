/** What doctor says about programs and ports: who holds one that is taken, and what to do. */

import { createSocket } from 'node:dgram';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Listening, lookAtMachine, usualPorts } from '../../../../src/cli/doctor/machine.ts';
import { listeningPorts } from '../../../../src/daemons/port-table.ts';

let folder: string;
let server: Server;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bellwether-doctor-'));
  server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true });
});
const program = (name: string, text: string): void => {
  writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
  chmodSync(join(folder, name), 0o755);
};
const look = (listening: Listening = { tcp: new Set(), udp: new Set() }) =>
  lookAtMachine({ env: { BELLWETHER_DAEMONS_DIR: folder, PATH: '' }, folder, listening });

test('programs with their versions, missing ones with what gets them, broken ones as problems', async () => {
  program('ipfs', 'echo "ipfs version 0.39.0"');
  program('ipfs-cluster-service', 'exit 3');
  const found = await look();
  const about = (name: string) => found.find(({ what }) => what.startsWith(`program ${name}`));
  expect(about('ipfs')).toMatchObject({
    state: 'ok',
    detail: expect.stringContaining('ipfs version 0.39.0'),
  });
  expect(about('ipfs-cluster-service')).toMatchObject({ state: 'problem' });
  expect(about('ipfs-cluster-follow')).toMatchObject({ state: 'missing' });
  expect(about('lotus')?.remedy).toContain('--filecoin');
});

test('a port that listens is seen, and one that was closed is not', async () => {
  const { port } = server.address() as { port: number };
  expect(listeningPorts().has(port)).toBe(true);
  await new Promise((resolve) => server.close(resolve));
  expect(listeningPorts().has(port)).toBe(false);
});

test('every usual port is told as free, or with who holds it and a remedy', async () => {
  const listening = { tcp: listeningPorts(), udp: listeningPorts('udp') };
  const ports = (await look(listening)).filter(({ what }) => what.startsWith('port '));
  expect(ports).toHaveLength(usualPorts.length);
  for (const { state, detail, remedy } of ports)
    if (detail === 'free') expect([state, remedy]).toEqual(['ok', null]);
    else expect(detail).toMatch(/^taken by (process \d+: |a process of another user)/);
});

test('a port that is taken for UDP alone is told as that', async () => {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const { port } = socket.address();
  expect(listeningPorts('udp').has(port)).toBe(true);
  expect(listeningPorts('tcp').has(port)).toBe(false);
  await new Promise<void>((resolve) => socket.close(resolve));
  const found = await look({ tcp: new Set(), udp: new Set([4001]) });
  const about = (what: string) => found.find((finding) => finding.what === what);
  expect(about('port 4001 (ipfs)')).toMatchObject({ detail: 'free' });
  expect(about('port 4001/udp (ipfs)')).toMatchObject({ state: 'problem' });
});
