/** The fast lane answers as the usual way does, and gives everything else to it, byte for byte. */
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import { readFastHead } from '../../../src/http/fast-request.ts';
import { createStatusPort, type StatusPort } from '../../../src/http/status-port.ts';
import { createFakeAgent, type FakeAgent, token } from './fake-agent.ts';

const opened: StatusPort[] = [];
afterEach(async () => {
  for (const port of opened.splice(0)) await port.close();
});

async function open(role?: Parameters<typeof createFakeAgent>[0]) {
  const agent: FakeAgent = createFakeAgent(role);
  const bugs: unknown[] = [];
  const onBug = (error: unknown): void => void bugs.push(error);
  const port = createStatusPort(agent, {
    ...{ host: '127.0.0.1', port: 0, names: [], version: '0.0.0', onBug },
  });
  opened.push(port);
  return { agent, bugs, at: (await port.listen()).port };
}

interface Parts {
  readonly line?: string;
  readonly headers?: readonly string[];
  readonly body?: string;
}

/** A request as the lane takes it; `headers` come on top. */
function requestOf({ line, headers = [], body = '{"n":1}' }: Parts): string {
  const lines = [
    line ?? 'PUT /v1/index/embeddings/k1 HTTP/1.1',
    'Host: 127.0.0.1:9099',
    `Authorization: Bearer ${token}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Takes whole answers from the start of `text`, with Content-Length only. */
function answersIn(text: string): Answer[] {
  const answers: Answer[] = [];
  for (let rest = text; ; ) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return answers;
    const [line = '', ...lines] = rest.slice(0, end).split('\r\n');
    const headers = Object.fromEntries(
      lines.map((each) => [
        each.slice(0, each.indexOf(':')).toLowerCase(),
        each.slice(each.indexOf(':') + 1).trim(),
      ]),
    );
    const to = end + 4 + Number(headers['content-length']);
    if (!(to <= rest.length)) return answers;
    answers.push({ status: Number(line.slice(9, 12)), headers, body: rest.slice(end + 4, to) });
    rest = rest.slice(to);
  }
}

/** Writes the pieces one after the other on one connection and reads so many answers. */
function exchange(at: number, pieces: readonly string[], count: number): Promise<Answer[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: at, noDelay: true });
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      const answers = answersIn(text);
      if (answers.length >= count) {
        socket.destroy();
        resolve(answers);
      }
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(text)}`)));
    const next = (i: number): void => {
      if (i < pieces.length) socket.write(pieces[i] as string, () => setImmediate(next, i + 1));
    };
    socket.on('connect', () => next(0));
  });
}

async function one(at: number, request: string): Promise<Answer> {
  const [answer] = await exchange(at, [request], 1);
  if (answer === undefined) throw new Error('there is an answer');
  return answer;
}

const inLane = (request: string): boolean =>
  readFastHead(Buffer.from(request), 1024 * 1024) !== null;

/** The same request with a header that the lane does not know. */
const usual = (parts: Parts): string =>
  requestOf({ ...parts, headers: [...(parts.headers ?? []), 'X-Other: 1'] });

const batch = JSON.stringify({
  operations: [
    { op: 'put', key: 'a', value: { n: 1 } },
    { op: 'put', key: 'é', value: { text: 'ß' }, expectedVersion: 0 },
    { op: 'rm', key: 'a' },
  ],
});
const post = 'POST /v1/index/embeddings HTTP/1.1';

describe('the same answers on both ways', () => {
  test.each<[string, Parts]>([
    ['a put', {}],
    ['a put with text beyond ASCII', { body: '{"text":"Übung \u{1f40f}"}' }],
    ['a batch', { line: post, body: batch }],
    [
      'a batch with a conflict',
      { line: post, body: batch.replace('"expectedVersion":0', '"expectedVersion":9') },
    ],
    ['a body that is no JSON', { body: '{"n":' }],
    ['a body that is a list', { body: '[1]' }],
    ['a body with a prototype', { body: '{"__proto__":{"n":1}}' }],
    [
      'a batch with an unknown field',
      { line: post, body: batch.replace('"op":"rm"', '"op":"rm","x":1') },
    ],
    ['a batch of nothing', { line: post, body: '{"operations":[]}' }],
    ['a version that is a text', { line: post, body: batch.replace(':0', ':"0"') }],
    ['an index that does not exist', { line: 'PUT /v1/index/moon/k HTTP/1.1' }],
    ['no key', { line: 'PUT /v1/index/embeddings/ HTTP/1.1' }],
    ['a key that is too long', { line: `PUT /v1/index/embeddings/${'k'.repeat(513)} HTTP/1.1` }],
    ['a path too many', { line: 'PUT /v1/index/embeddings/a/b HTTP/1.1' }],
    ['a query', { line: 'PUT /v1/index/embeddings/k?timeoutMs=5000 HTTP/1.1' }],
    ['an escaped key', { line: 'PUT /v1/index/embeddings/a%2Fb HTTP/1.1' }],
  ])('%s', async (_, parts) => {
    const [one1, other] = [await open(), await open()];
    expect(inLane(usual(parts))).toBe(false);
    const fast = await one(one1.at, requestOf(parts));
    const slow = await one(other.at, usual(parts));
    expect(fast.status).toBe(slow.status);
    expect(JSON.parse(fast.body)).toEqual(JSON.parse(slow.body));
    expect(fast.headers['content-type']).toBe(slow.headers['content-type']);
    expect(fast.headers['retry-after']).toBe(slow.headers['retry-after']);
    expect(Object.keys(fast.headers)).toContain('date');
    expect(one1.agent.proposals).toEqual(other.agent.proposals);
    expect([...one1.bugs, ...other.bugs]).toEqual([]);
  });

  test.each<[string, AgentError | Error]>([
    ['a refusal', new AgentError('no-quorum', 'no majority')],
    ['an unknown end', new AgentError('outcome-unknown', 'who knows')],
    ['a bug', new Error('a secret detail')],
  ])('%s', async (_, thrown) => {
    const { agent, at, bugs } = await open();
    agent.failNext = thrown;
    const fast = await one(at, requestOf({}));
    agent.failNext = thrown;
    const slow = await one(at, usual({}));
    expect([fast.status, fast.body]).toEqual([slow.status, slow.body]);
    expect(fast.headers['retry-after']).toBe(slow.headers['retry-after']);
    expect(fast.body).not.toContain('secret');
    expect(bugs).toHaveLength(thrown instanceof AgentError ? 0 : 2);
  });

  test('who may not write is told so', async () => {
    const { at, agent } = await open();
    const wrong = requestOf({}).replace(token, 'a'.repeat(64));
    expect((await one(at, wrong)).status).toBe(401);
    expect((await one(at, requestOf({}).replace('127.0.0.1', 'evil.example'))).status).toBe(403);
    const page = requestOf({ headers: ['Origin: http://evil.example'] });
    expect((await one(at, page)).status).toBe(403);
    expect(agent.proposals).toEqual([]);
    const leecher = await open('leecher');
    expect((await one(leecher.at, requestOf({}))).status).toBe(403);
  });
});

describe('connections', () => {
  test('byte by byte, several at once, and in between', async () => {
    const { at, agent } = await open();
    const slowly = [...requestOf({ body: '{"n":5}' })];
    expect((await exchange(at, slowly, 1)).map(({ status }) => status)).toEqual([200]);
    const many = Array.from({ length: 20 }, (_, n) =>
      requestOf({ line: `PUT /v1/index/embeddings/key${n} HTTP/1.1` }),
    );
    const answers = await exchange(at, [many.join('')], 20);
    expect(answers.map(({ body }) => JSON.parse(body).key)).toEqual(many.map((_, n) => `key${n}`));
    const body = JSON.stringify({ text: 'x'.repeat(200_000) });
    const large = requestOf({ body });
    const pieces = [large.slice(0, 300), large.slice(300, 100_000), large.slice(100_000)];
    expect((await exchange(at, [...pieces, requestOf({})], 2)).map((a) => a.status)).toEqual([
      200, 200,
    ]);
    expect(agent.proposals).toHaveLength(23);
  });

  test('a connection goes the usual way from its first other request on', async () => {
    const { at } = await open();
    const get = 'GET /v1/index/embeddings/k1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
    const pieces = [requestOf({}), requestOf({ body: '{"n":2}' }) + get + requestOf({}), get];
    const answers = await exchange(at, pieces, 5);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(JSON.parse(answers[2]?.body ?? '')).toMatchObject({ value: { n: 2 } });
    expect(JSON.parse(answers[4]?.body ?? '')).toMatchObject({ value: { n: 1 } });
  });

  test('a client that ends its side still gets its answer', async () => {
    const { at } = await open();
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: at });
      let got = '';
      socket.on('data', (chunk) => {
        got += String(chunk);
      });
      socket.on('close', () => resolve(got));
      socket.on('error', reject);
      socket.end(requestOf({}));
    });
    expect(text).toContain('200 OK');
  });

  test('requests of the lane are counted', async () => {
    const { at } = await open();
    await one(at, requestOf({}));
    const page = await one(at, 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    const route = 'PUT /v1/index/{type}/{key}';
    expect(page.body).toContain(`bellwether_http_requests_total{route="${route}",status="200"} 1`);
  });
});

describe('readFastHead', () => {
  test('takes the plainest form', () => {
    const request = requestOf({
      headers: ['User-Agent: x', 'Accept: */*', 'Connection: keep-alive'],
    });
    const head = readFastHead(Buffer.from(`${request}PUT`), 1000);
    expect(head).toMatchObject({ method: 'PUT', path: '/v1/index/embeddings/k1' });
    expect(request.slice(head?.bodyFrom, head?.bodyTo)).toBe('{"n":1}');
  });

  const plain = requestOf({});
  test.each<[string, string]>([
    ['a header twice', requestOf({ headers: ['Host: 127.0.0.1'] })],
    ['two lengths', requestOf({ headers: ['Content-Length: 7'] })],
    ['a transfer encoding', requestOf({ headers: ['Transfer-Encoding: chunked'] })],
    ['an expectation', requestOf({ headers: ['Expect: 100-continue'] })],
    ['a version that is expected', requestOf({ headers: ['If-Match: "1"'] })],
    ['an idempotency key', requestOf({ headers: ['Idempotency-Key: k'] })],
    ['an origin', requestOf({ headers: ['Origin: http://127.0.0.1:9099'] })],
    ['a connection that is to close', requestOf({ headers: ['Connection: close'] })],
    ['a folded header', plain.replace('Host:', 'Host: 127.0.0.1\r\n ')],
    ['a space before the colon', plain.replace('Host:', 'Host :')],
    ['a bare line feed', plain.replace('Host: ', 'Host: a\nb')],
    ['a bare carriage return', plain.replace('Host: ', 'Host: a\rb')],
    ['no host', plain.replace('Host: 127.0.0.1:9099\r\n', '')],
    ['HTTP/1.0', plain.replace('HTTP/1.1', 'HTTP/1.0')],
    ['a length with a sign', plain.replace('Content-Length: 7', 'Content-Length: +7')],
    ['a length in hex', plain.replace('Content-Length: 7', 'Content-Length: 0x7')],
    ['two numbers as a length', plain.replace('Content-Length: 7', 'Content-Length: 7, 7')],
    ['no body', plain.replace('Content-Length: 7', 'Content-Length: 0')],
    ['a body that is too large', plain.replace('Content-Length: 7', 'Content-Length: 1000001')],
    ['another type', plain.replace('application/json', 'text/plain')],
    ['a head that goes on', plain.slice(0, 60)],
    ['a long head', plain.replace('Host:', `User-Agent: ${'x'.repeat(3000)}\r\nHost:`)],
  ])('leaves %s alone', (_, request) => {
    expect(readFastHead(Buffer.from(request), 1_000_000)).toBeNull();
  });
});
