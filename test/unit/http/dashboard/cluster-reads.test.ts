/**
 * Reads of the cluster daemons' own lists against an API that holds its answers back: a read ends
 * while its question is still open, shows what was told last and when, and asks once at a time.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createClusterReads } from '../../../../src/http/dashboard/cluster-reads.ts';
import type { DashboardDeps } from '../../../../src/http/dashboard/names.ts';
import { createFakeDaemons, runningView, stopped } from './fake-daemons.ts';

let open: ServerResponse[];
let answer: string | null;
let deps: DashboardDeps;
let daemons: ReturnType<typeof createFakeDaemons>;
let close: () => Promise<unknown>;

beforeEach(async () => {
  open = [];
  answer = null;
  const server = createServer((_, response) => {
    if (answer === null) open.push(response);
    else response.write(answer, () => response.end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  daemons = createFakeDaemons();
  const service = daemons.one('ipfs_cluster_service');
  service.set(runningView('ipfs_cluster_service'));
  service.endpoint = () => ({ url, authorization: null, tls: null });
  deps = { daemons } as unknown as DashboardDeps;
  close = async () => {
    server.closeAllConnections();
    await once(server.close(), 'close');
  };
});
afterEach(() => close());

/** Reads until it is as wanted; every read ends by itself. */
async function readUntil(
  read: () => Promise<{ success: boolean; peers: unknown[] }>,
  wanted: (told: { success: boolean; peers: unknown[] }) => boolean,
) {
  for (let i = 0; i < 500; i++) {
    const told = await read();
    if (wanted(told)) return told;
  }
  throw new Error('never as wanted');
}

test('a read ends while the daemon holds its answer back, and the question is asked once', async () => {
  const reads = createClusterReads(deps);
  const silent = { success: false, last_check: null, peers: [], error: 'it has not answered yet' };
  for (let i = 0; i < 500 && open.length === 0; i++)
    expect(await reads.peers('service')).toEqual(silent);
  expect(await reads.peers('service')).toEqual(silent);
  expect(open).toHaveLength(1);
  open[0]?.write('{"id":"a"}\n', () => open[0]?.end());
  const told = await readUntil(
    () => reads.peers('service'),
    ({ success }) => success,
  );
  expect(told).toMatchObject({ peers: [{ id: 'a' }], last_check: expect.any(String) });
});

test('what was told last stays, with its time and what is wrong now', async () => {
  const reads = createClusterReads(deps);
  answer = '{"id":"a"}\n';
  const first = await readUntil(
    () => reads.peers('service'),
    ({ success }) => success,
  );
  answer = '<html>\n';
  const spoiled = await readUntil(
    () => reads.peers('service'),
    ({ success }) => !success,
  );
  expect(spoiled).toEqual({
    ...first,
    success: false,
    error: expect.stringContaining('not JSON'),
    last_check: expect.any(String),
  });
});

test('a daemon that is stopped is asked nothing, and what it told is history', async () => {
  const reads = createClusterReads(deps);
  answer = '{"id":"a"}\n';
  await readUntil(
    () => reads.peers('service'),
    ({ success }) => success,
  );
  daemons.one('ipfs_cluster_service').set(stopped);
  const error = 'ipfs_cluster_service is stopped (managed)';
  expect(await reads.peers('service')).toEqual({
    ...{ success: false, last_check: null, peers: [], error },
  });
});
