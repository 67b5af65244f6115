import { afterEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import { createStatusPort, type StatusPort } from '../../../src/http/status-port.ts';
import { createFakeAgent, token } from './fake-agent.ts';

const open: StatusPort[] = [];
afterEach(async () => {
  for (const port of open.splice(0)) await port.close();
});

function setUp() {
  const agent = createFakeAgent();
  const options = { host: '127.0.0.1', port: 0, names: [], version: '0', onBug: () => undefined };
  const port = createStatusPort(agent, options);
  open.push(port);
  const auth = { authorization: `Bearer ${token}` };
  const call = (
    method: 'GET' | 'PUT' | 'POST' | 'DELETE',
    url: string,
    payload?: object,
    headers: Record<string, string> = {},
  ) =>
    port.server.inject({
      method,
      url,
      headers: { ...auth, ...headers },
      ...(payload ? { payload } : {}),
    });
  return { agent, call };
}

const at = '/v1/index/content_metadata/a';

describe('index entries', () => {
  test('put, get, list and delete with versions and freshness', async () => {
    const { call } = setUp();
    expect((await call('PUT', at, { text: 'one' })).json()).toEqual({
      key: 'a',
      version: 1,
      index: 1,
    });
    expect((await call('PUT', at, { text: 'two' })).json().version).toBe(2);
    const got = await call('GET', at);
    expect(got.json()).toEqual({
      key: 'a',
      value: { text: 'two' },
      version: 2,
      appliedIndex: 2,
      staleMs: 12.5,
    });
    expect(got.headers.etag).toBe('"2"');
    expect(got.headers['bellwether-applied-index']).toBe('2');
    expect(got.headers['bellwether-stale-ms']).toBe('13');
    await call('PUT', '/v1/index/content_metadata/b', { text: 'three' });
    const page = (await call('GET', '/v1/index/content_metadata?prefix=b')).json();
    expect(page.entries.map(({ key }: { key: string }) => key)).toEqual(['b']);
    expect(page.next).toBeNull();
    expect((await call('DELETE', at)).statusCode).toBe(200);
    const gone = await call('GET', at);
    expect([gone.statusCode, gone.json().code]).toEqual([404, 'not-found']);
    expect(gone.json().appliedIndex).toBe(4);
    expect((await call('DELETE', at)).statusCode).toBe(404);
  });

  test('a key may hold any character', async () => {
    const { call } = setUp();
    const key = 'dir/ä b?#%2F';
    await call('PUT', `/v1/index/embeddings/${encodeURIComponent(key)}`, { x: 1 });
    const got = await call('GET', `/v1/index/embeddings/${encodeURIComponent(key)}`);
    expect(got.json().key).toBe(key);
  });

  test('compare-and-set by header or query; the refusal tells the version', async () => {
    const { call } = setUp();
    const none = { 'if-none-match': '*' };
    expect((await call('PUT', at, { n: 1 }, none)).statusCode).toBe(200);
    const again = await call('PUT', at, { n: 1 }, none);
    expect([again.statusCode, again.json().code]).toEqual([409, 'conflict']);
    expect(again.json().currentVersion).toBe(1);
    expect((await call('PUT', at, { n: 2 }, { 'if-match': '"1"' })).json().version).toBe(2);
    expect((await call('PUT', at, { n: 3 }, { 'if-match': '"1"' })).json().currentVersion).toBe(2);
    expect((await call('PUT', `${at}?expectedVersion=2`, { n: 3 })).json().version).toBe(3);
    expect((await call('DELETE', at, undefined, { 'if-match': '"9"' })).statusCode).toBe(409);
  });

  test.each([
    [{ 'if-match': '2' }, 'If-Match'],
    [{ 'if-match': '*' }, 'If-Match'],
    [{ 'if-match': 'W/"2"' }, 'If-Match'],
    [{ 'if-none-match': '"2"' }, 'If-None-Match'],
    [{ 'if-none-match': '*', 'if-match': '"1"' }, 'not several'],
  ])('%j is refused', async (headers, named) => {
    const { call } = setUp();
    const answer = await call('PUT', at, {}, headers as Record<string, string>);
    expect([answer.statusCode, answer.json().detail]).toEqual([
      400,
      expect.stringContaining(named),
    ]);
  });

  test('the same Idempotency-Key answers the first result, another request is refused', async () => {
    const { agent, call } = setUp();
    const key = { 'idempotency-key': 'order-7' };
    const first = await call('PUT', at, { n: 1 }, key);
    const repeat = await call('PUT', `${at}?timeoutMs=777`, { n: 1 }, key);
    expect(repeat.json()).toEqual(first.json());
    expect(agent.proposals.at(-1)).toMatchObject({ key: 'order-7', timeoutMs: 777 });
    expect((await call('PUT', at, { n: 2 }, key)).statusCode).toBe(400);
  });

  test('a batch is one proposal of up to 1000 operations', async () => {
    const { agent, call } = setUp();
    const operations = Array.from({ length: 1000 }, (_, i) => ({
      op: 'put',
      key: `k${i}`,
      value: { i },
    }));
    const answer = await call('POST', '/v1/index/embeddings', { operations });
    expect([answer.statusCode, answer.json().operations]).toEqual([200, 1000]);
    expect(agent.proposals).toHaveLength(1);
    operations.push({ op: 'put', key: 'more', value: { i: 0 } });
    expect((await call('POST', '/v1/index/embeddings', { operations })).statusCode).toBe(400);
    const wrong = await call('POST', '/v1/index/embeddings', { operations: [{ op: 'set' }] });
    expect(wrong.json().detail).toContain('operations');
  });

  test('an unknown outcome is 504 with its code', async () => {
    const { agent, call } = setUp();
    agent.failNext = new AgentError('outcome-unknown', 'the leader went away meanwhile');
    const answer = await call('PUT', at, {});
    expect([answer.statusCode, answer.json().code]).toEqual([504, 'outcome-unknown']);
  });
});

describe('pins', () => {
  const cid = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';

  test('put keeps what is left out, get, list, delete', async () => {
    const { agent, call } = setUp();
    expect((await call('PUT', `/v1/pins/${cid}`, { name: 'doc', min: 1 })).json()).toMatchObject({
      cid,
      version: 1,
    });
    expect((await call('PUT', `/v1/pins/${cid}`, { max: 5 })).json().version).toBe(2);
    expect(agent.proposals.at(-1)?.command).toMatchObject({ name: 'doc', min: 1, max: 5 });
    expect((await call('PUT', `/v1/pins/${cid}`)).json().version).toBe(3);
    expect((await call('GET', `/v1/pins/${cid}`)).headers.etag).toBe('"3"');
    expect((await call('GET', '/v1/pins')).json().pins).toHaveLength(1);
    expect((await call('DELETE', `/v1/pins/${cid}`)).statusCode).toBe(200);
    expect((await call('GET', `/v1/pins/${cid}`)).statusCode).toBe(404);
  });

  test('min above max is refused, a max below the default min is not', async () => {
    const { agent, call } = setUp();
    const wrong = await call('POST', '/v1/pins', { cid, min: 4, max: 2 });
    expect([wrong.statusCode, wrong.json().detail]).toEqual([
      400,
      expect.stringContaining('body.min'),
    ]);
    expect((await call('POST', '/v1/pins', { cid, max: 1 })).statusCode).toBe(200);
    expect(agent.proposals.at(-1)?.command).toMatchObject({ min: 1, max: 1 });
  });

  test('an old CID is stored in its new form', async () => {
    const { call } = setUp();
    const old = 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG';
    const answer = await call('PUT', `/v1/pins/${old}`, {});
    expect(answer.json().cid).toMatch(/^bafybei/);
  });
});

test('members and the hand-over of the lead', async () => {
  const { call } = setUp();
  expect((await call('GET', '/v1/members')).json().members).toHaveLength(1);
  expect((await call('GET', '/v1/members/master-1')).json().peerId).toBe('peer-1');
  expect((await call('GET', '/v1/members/nobody')).statusCode).toBe(404);
  expect((await call('POST', '/v1/leader/transfer')).json().to).toBe('master-2');
  const to = await call('POST', '/v1/leader/transfer', { to: 'worker-1' });
  expect(to.json()).toMatchObject({ to: 'worker-1', moved: true });
});
