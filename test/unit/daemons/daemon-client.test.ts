/**
 * The client for daemons' APIs against a server that cuts, hangs, lies and refuses: whatever does
 * not come whole is an error, and never a shorter list.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { createDaemonClient, type DaemonClient } from '../../../src/daemons/daemon-client.ts';

const pin = z.object({ Cid: z.string() });
const list = [{ Cid: 'a' }, { Cid: 'b' }, { Cid: 'c' }];
const whole = list.map((line) => `${JSON.stringify(line)}\n`).join('');
const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

async function clientOf(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  authorization: string | null = null,
): Promise<DaemonClient> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = createDaemonClient({ url: `http://127.0.0.1:${port}`, authorization, tls: null });
  closers.push(async () => {
    await client.close();
    server.closeAllConnections();
    await once(server.close(), 'close');
  });
  return client;
}

const soon = (): AbortSignal => AbortSignal.timeout(10_000);

test('a whole list is read line by line, and 204 is an empty one', async () => {
  const client = await clientOf((request, response) => {
    if (request.url === '/empty') response.writeHead(204).end();
    else response.write(whole, () => response.end());
  });
  expect(await client.lines(pin, { path: '/pins', signal: soon() })).toEqual(list);
  expect(await client.lines(pin, { path: '/empty', signal: soon() })).toEqual([]);
});

test('a list that is cut at any byte is an error', async () => {
  const client = await clientOf((request, response) => {
    const bytes = Number(new URL(request.url ?? '', 'http://x').searchParams.get('bytes'));
    response.write(whole.slice(0, bytes), () => response.socket?.destroy());
  });
  for (let bytes = 1; bytes <= whole.length; bytes++)
    await expect(
      client.lines(pin, { path: '/pins', query: { bytes }, signal: soon() }),
      `cut at ${bytes}`,
    ).rejects.toMatchObject({ code: 'unavailable' });
});

test('a list that ends cleanly in mid-line, or with an error in its trailer, is an error', async () => {
  const client = await clientOf((request, response) => {
    if (request.url === '/half') {
      response.end(whole.slice(0, 30));
      return;
    }
    response.writeHead(200, { trailer: 'X-Stream-Error' });
    response.write(whole);
    response.addTrailers({ 'X-Stream-Error': 'the pinset went away' });
    response.end();
  });
  await expect(client.lines(pin, { path: '/half', signal: soon() })).rejects.toThrow('cut off');
  await expect(client.lines(pin, { path: '/pins', signal: soon() })).rejects.toThrow(
    'the pinset went away',
  );
});

test('silence, garbage, another shape, too much and refusals each have their own words', async () => {
  const client = await clientOf((request, response) => {
    if (request.url === '/garbage') response.end('<html>');
    if (request.url === '/shape') response.end('{"Cid":7}');
    if (request.url === '/large') response.end(`"${'x'.repeat(5000)}"`);
    if (request.url === '/broken') response.writeHead(500).end('{"Message":"no disk"}\nmore');
    if (request.url === '/locked') response.writeHead(401).end();
    if (request.url === '/moved') response.writeHead(302, { location: '/shape' }).end();
  });
  const ask = (path: string, signal = soon()) =>
    client.json(pin, { path, signal, bytesMax: 1000, method: 'POST' });
  await expect(ask('/silent', AbortSignal.timeout(200))).rejects.toMatchObject({ code: 'timeout' });
  await expect(ask('/garbage')).rejects.toThrow('not JSON: <html>');
  await expect(ask('/shape')).rejects.toThrow('not what is expected');
  await expect(ask('/large')).rejects.toMatchObject({ code: 'too-large' });
  await expect(ask('/broken')).rejects.toThrow('HTTP 500: {"Message":"no disk"}');
  await expect(ask('/locked')).rejects.toMatchObject({ code: 'unauthorized' });
  await expect(ask('/moved')).rejects.toThrow('HTTP 302');
});

test('nobody at the port is told with the reason', async () => {
  const client = createDaemonClient({ url: 'http://127.0.0.1:1', authorization: null, tls: null });
  await expect(client.json(pin, { path: '/x', signal: soon() })).rejects.toThrow('ECONNREFUSED');
  await client.close();
});

test('what callers have to show is sent', async () => {
  const client = await clientOf(
    (request, response) => response.end(JSON.stringify({ Cid: request.headers.authorization })),
    'Bearer secret',
  );
  expect(await client.json(pin, { path: '/x', signal: soon() })).toEqual({ Cid: 'Bearer secret' });
  expect(await client.status({ path: '/x', signal: soon() })).toBe(200);
});
