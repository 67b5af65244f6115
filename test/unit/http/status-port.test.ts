import { afterEach, describe, expect, test } from 'vitest';
import { AgentError, type ErrorCode } from '../../../src/base/error.ts';
import { problemKinds } from '../../../src/http/problem.ts';
import { createStatusPort, type StatusPort } from '../../../src/http/status-port.ts';
import { createFakeAgent, token } from './fake-agent.ts';

const open: StatusPort[] = [];
afterEach(async () => {
  for (const port of open.splice(0)) await port.close();
});

function portOf(agent = createFakeAgent(), options: { host?: string; names?: string[] } = {}) {
  const bugs: unknown[] = [];
  const port = createStatusPort(agent, {
    host: options.host ?? '127.0.0.1',
    port: 0,
    names: options.names ?? [],
    version: '0.0.0-test',
    onBug: (error) => bugs.push(error),
  });
  open.push(port);
  return { agent, port, bugs, server: port.server };
}

const auth = { authorization: `Bearer ${token}` };

describe('probes answer by status code', () => {
  test('livez, readyz and leader', async () => {
    const { agent, server } = portOf();
    expect((await server.inject('/livez')).statusCode).toBe(200);
    expect((await server.inject('/readyz')).statusCode).toBe(200);
    expect((await server.inject('/leader')).statusCode).toBe(200);
    agent.unmet = ['leader-known'];
    agent.answer = { acting: false, leader: null, term: 4, since: null, reason: 'no leader' };
    const ready = await server.inject('/readyz');
    expect([ready.statusCode, ready.json()]).toEqual([
      503,
      { ready: false, unmet: ['leader-known'], mode: 'normal', degradedReason: null },
    ]);
    const leader = await server.inject('/leader');
    expect([leader.statusCode, leader.json()]).toEqual([503, agent.answer]);
    const head = await server.inject({ method: 'HEAD', url: '/leader' });
    expect([head.statusCode, head.body]).toEqual([503, '']);
  });
});

describe('access', () => {
  const put = (headers: Record<string, string>) => ({
    method: 'PUT' as const,
    url: '/v1/index/embeddings/k',
    headers,
    payload: { a: 1 },
  });

  test('a write needs the token, a read on loopback does not', async () => {
    const { server } = portOf();
    expect((await server.inject('/status')).statusCode).toBe(200);
    const without = await server.inject(put({}));
    expect([without.statusCode, without.json().code]).toEqual([401, 'unauthorized']);
    expect(without.headers['www-authenticate']).toBe('Bearer');
    const wrong = await server.inject(put({ authorization: 'Bearer nope' }));
    expect([wrong.statusCode, wrong.json().detail]).toEqual([
      401,
      expect.stringContaining('wrong'),
    ]);
    expect((await server.inject(put(auth))).statusCode).toBe(200);
  });

  test('beyond loopback every path needs it, unknown ones too', async () => {
    const { server } = portOf(createFakeAgent(), { host: '0.0.0.0' });
    for (const url of ['/livez', '/status', '/nowhere', '/openapi.json'])
      expect((await server.inject({ url, headers: { host: 'localhost' } })).statusCode).toBe(401);
    const headers = { host: 'localhost', ...auth };
    expect((await server.inject({ url: '/livez', headers })).statusCode).toBe(200);
  });

  test.each([
    ['evil.example', 403],
    ['evil.example:9099', 403],
    ['127.0.0.1.evil.example', 403],
    ['10.0.0.7', 403],
    ['localhost:9099', 200],
    ['127.0.0.1:9099', 200],
    ['[::1]:9099', 200],
    ['Node7.Flock:80', 200],
    ['node7.flock.', 200],
    ['a b', 403],
  ])('Host %s answers %i', async (host, status) => {
    const { server } = portOf(createFakeAgent(), { names: ['node7.flock'] });
    expect((await server.inject({ url: '/status', headers: { host } })).statusCode).toBe(status);
  });

  test.each([
    [{ origin: 'http://evil.example' }, 403],
    [{ origin: 'null' }, 403],
    [{ 'sec-fetch-site': 'cross-site' }, 403],
    [{ 'sec-fetch-site': 'same-site' }, 403],
    [{ 'sec-fetch-site': 'same-origin', origin: 'http://localhost:80' }, 200],
    [{}, 200],
  ])('a write with %j answers %i', async (headers, status) => {
    const { server } = portOf();
    const given = { host: 'localhost:80', ...auth, ...headers } as Record<string, string>;
    expect((await server.inject(put(given))).statusCode).toBe(status);
  });

  test("a leecher's port refuses every write and says where to send it", async () => {
    const { agent, port, server } = portOf(createFakeAgent('leecher'));
    const writes = port.routes.filter(({ access }) => access === 'write');
    expect(writes.length).toBeGreaterThan(6);
    for (const { method, url } of writes) {
      const path = url.replace('{type}', 'embeddings').replace(/\{\w+\}/g, 'x');
      const answer = await server.inject({ method, url: path, headers: auth });
      expect([path, answer.statusCode, answer.json().code]).toEqual([path, 403, 'forbidden']);
      expect(answer.json().detail).toContain('leader at http://127.0.0.1:9099');
    }
    expect(agent.proposals).toEqual([]);
    expect((await server.inject('/v1/index/embeddings')).statusCode).toBe(200);
  });
});

describe('what goes wrong is told as a problem document', () => {
  test.each(
    Object.entries(problemKinds).map(([code, kind]) => [code as ErrorCode, kind.status] as const),
  )('%s is %i', async (code, status) => {
    const { agent, server, bugs } = portOf();
    agent.failNext = new AgentError(code, 'the text');
    const answer = await server.inject({
      method: 'PUT',
      url: '/v1/index/embeddings/k',
      headers: auth,
      payload: {},
    });
    expect(answer.statusCode).toBe(status);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.json()).toMatchObject({ type: 'about:blank', status, code });
    expect(answer.headers['retry-after'] !== undefined).toBe(
      problemKinds[code].retryAfterS !== null,
    );
    expect(bugs.length).toBe(code === 'internal' ? 1 : 0);
  });

  test('a bug of ours tells no stack and no inner text', async () => {
    const { agent, server, bugs } = portOf();
    agent.failNext = new TypeError('cannot read secret of undefined');
    const answer = await server.inject({
      method: 'DELETE',
      url: '/v1/index/embeddings/k',
      headers: auth,
    });
    expect([answer.statusCode, answer.json().code]).toEqual([500, 'internal']);
    expect(answer.body).not.toContain('secret');
    expect(answer.body).not.toContain('at ');
    expect(bugs).toHaveLength(1);
  });

  test.each([
    ['bad JSON', { payload: '{"a":', headers: { 'content-type': 'application/json' } }, 'JSON'],
    ['a list', { payload: '[1]', headers: { 'content-type': 'application/json' } }, 'body'],
    ['no body', {}, 'body'],
    [
      'another type',
      { payload: 'a=b', headers: { 'content-type': 'text/plain' } },
      'it takes application/json',
    ],
  ])('%s in a body is 400 and names it', async (_, extra, named) => {
    const { server } = portOf();
    const answer = await server.inject({
      method: 'PUT',
      url: '/v1/index/embeddings/k',
      ...extra,
      headers: { ...auth, ...('headers' in extra ? extra.headers : {}) },
    });
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'bad-request']);
    expect(answer.json().detail).toContain(named);
  });

  test.each([
    ['/v1/index/nope', 'path.type: got "nope"', 'embeddings'],
    ['/v1/index/embeddings?limit=0', 'query.limit: got', '>=1'],
    ['/v1/index/embeddings?limit=9999', 'query.limit: got', '1000'],
    [
      '/v1/index/embeddings/k?consistency=strong',
      'query.consistency: got "strong"',
      'linearizable',
    ],
    ['/v1/content/nonsense', "cid: got 'nonsense'", 'bafy'],
  ])('GET %s names field, value and what it takes', async (url, field, takes) => {
    const { server } = portOf();
    const answer = await server.inject(url);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().detail).toContain(field);
    expect(answer.json().detail).toContain(takes);
  });

  test('an unknown field is named with those that exist', async () => {
    const { server } = portOf();
    const answer = await server.inject({
      method: 'POST',
      url: '/v1/pins',
      headers: auth,
      payload: { cid: 'x', minimum: 3 },
    });
    expect(answer.json().detail).toContain('"minimum"');
    expect(answer.json().detail).toContain('min, max');
  });

  test('unknown paths and verbs are 404', async () => {
    const { server } = portOf();
    const answer = await server.inject({ method: 'PUT', url: '/status' });
    expect([answer.statusCode, answer.json().code]).toEqual([404, 'not-found']);
    expect(answer.json().detail).toContain('PUT /status');
  });

  test('a body above the limit is 413', async () => {
    const { server } = portOf();
    const answer = await server.inject({
      method: 'PUT',
      url: '/v1/index/embeddings/k',
      headers: auth,
      payload: { text: 'x'.repeat(1024 * 1024) },
    });
    expect([answer.statusCode, answer.json().code]).toEqual([413, 'too-large']);
  });
});

describe('the description', () => {
  test('names every route of the server with its fields', async () => {
    const { port, server } = portOf();
    const document = (await server.inject('/openapi.json')).json();
    for (const { url, method, query, body, streams } of port.routes) {
      const operation = document.paths[url.replace('{*', '{')]?.[method.toLowerCase()];
      expect(operation, `${method} ${url}`).toBeDefined();
      expect(operation.summary).not.toBe('');
      const names = operation.parameters.map(({ name }: { name: string }) => name);
      for (const [, name] of url.matchAll(/\{\*?(\w+)\}/g)) expect(names).toContain(name);
      if (query) expect(names.length).toBeGreaterThan(0);
      if (body || streams) expect(Object.keys(operation.requestBody.content)).not.toEqual([]);
    }
    const paths = Object.keys(document.paths);
    expect(paths).toContain('/openapi.json');
    const put = document.paths['/v1/pins/{cid}'].put;
    expect(put.requestBody.content['application/json'].schema).toMatchObject({});
    expect(document.paths['/v1/content'].post.requestBody.content).toHaveProperty([
      'application/x-tar',
    ]);
  });
});

test('metrics hold those of the agent and of the port', async () => {
  const { server } = portOf();
  await server.inject('/livez');
  const text = (await server.inject('/metrics')).body;
  expect(text).toContain('bellwether_up 1');
  expect(text).toContain('bellwether_http_requests_total{route="GET /livez",status="200"} 1');
  expect(text).toContain('bellwether_http_request_seconds_bucket{route="GET /livez",le="+Inf"} 1');
});

test('a port in use is named', async () => {
  const first = portOf().port;
  const { port } = await first.listen();
  const second = createStatusPort(createFakeAgent(), {
    host: '127.0.0.1',
    port,
    names: [],
    version: '0',
    onBug: () => undefined,
  });
  open.push(second);
  await expect(second.listen()).rejects.toMatchObject({
    code: 'port-in-use',
    message: expect.stringContaining(String(port)),
  });
});
