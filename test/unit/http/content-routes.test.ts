import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import tar from 'tar-stream';
import { afterEach, describe, expect, test } from 'vitest';
import type { AddEntry } from '../../../src/content/api.ts';
import { createStatusPort, type StatusPort } from '../../../src/http/status-port.ts';
import { pathInside, readTar, writeTar } from '../../../src/http/tar-folder.ts';
import { createFakeAgent, token } from './fake-agent.ts';

const open: StatusPort[] = [];
afterEach(async () => {
  for (const port of open.splice(0)) await port.close();
});

async function setUp() {
  const agent = createFakeAgent();
  const options = { host: '127.0.0.1', port: 0, names: [], version: '0', onBug: () => undefined };
  const port = createStatusPort(agent, options);
  open.push(port);
  const { port: number } = await port.listen();
  return { agent, number, url: `http://127.0.0.1:${number}` };
}

const auth = { authorization: `Bearer ${token}` };

/** Waits for a condition that another event brings about, at most 5 s. */
async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !holds(); i++) await wait(10);
  expect(holds()).toBe(true);
}

type TarEntry = { name: string; type?: 'file' | 'directory' | 'symlink'; text?: string };

async function archive(entries: readonly TarEntry[]): Promise<Buffer> {
  const pack = tar.pack();
  for (const { name, type = 'file', text = '' } of entries)
    type === 'file'
      ? pack.entry({ name }, text)
      : pack.entry({ name, type, ...(type === 'symlink' ? { linkname: '/etc/passwd' } : {}) });
  pack.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of pack) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

async function told(entries: AsyncIterable<AddEntry>): Promise<[string, string | null][]> {
  const list: [string, string | null][] = [];
  for await (const { path, content } of entries) {
    if (content === null) {
      list.push([path, null]);
      continue;
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(chunk);
    list.push([path, Buffer.concat(chunks).toString()]);
  }
  return list;
}

describe('reading an archive', () => {
  test('files in order, only empty folders, names tidied', async () => {
    const bytes = await archive([
      { name: './', type: 'directory' },
      { name: './a/', type: 'directory' },
      { name: './a/one.txt', text: 'one' },
      { name: 'empty/', type: 'directory' },
      { name: 'b.txt', text: 'x'.repeat(100_000) },
      { name: 'last', type: 'directory' },
    ]);
    expect(await told(readTar(Readable.from([bytes])))).toEqual([
      ['a/one.txt', 'one'],
      ['empty', null],
      ['b.txt', 'x'.repeat(100_000)],
      ['last', null],
    ]);
  });

  test('a file that the reader skips does not stop the archive', async () => {
    const bytes = await archive([
      { name: 'skipped', text: 'x'.repeat(300_000) },
      { name: 'read', text: 'yes' },
    ]);
    const seen: string[] = [];
    for await (const { path } of readTar(Readable.from([bytes]))) seen.push(path);
    expect(seen).toEqual(['skipped', 'read']);
  });

  test.each([
    ['a way out', [{ name: '../evil', text: 'x' }], "'../evil'"],
    ['an absolute name', [{ name: '/etc/passwd', text: 'x' }], "'/etc/passwd'"],
    ['a link', [{ name: 'link', type: 'symlink' as const }], 'symlink'],
  ])('%s is refused', async (_, entries, named) => {
    const source = Readable.from([await archive(entries)]);
    await expect(told(readTar(source))).rejects.toMatchObject({
      code: 'bad-request',
      message: expect.stringContaining(named),
    });
  });

  test('cut at any place it is refused, never taken as whole', async () => {
    const bytes = await archive([
      { name: 'one', text: 'x'.repeat(700) },
      { name: 'two', text: 'yy' },
    ]);
    for (let cut = 0; cut < bytes.length; cut += 64) {
      // A mark of 1024 zero bytes is the end; what GNU tar pads behind it may be missing.
      const zeros = cut - (bytes.findLastIndex((byte) => byte !== 0) + 1);
      if (zeros >= 1024) continue;
      await expect(told(readTar(Readable.from([bytes.subarray(0, cut)])))).rejects.toMatchObject({
        code: 'bad-request',
      });
    }
  });

  test('noise is refused', async () => {
    const noise = Readable.from([Buffer.alloc(4096, 'n')]);
    await expect(told(readTar(noise))).rejects.toMatchObject({ code: 'bad-request' });
  });
});

test('an archive that was written reads back the same', async () => {
  const items = [
    { path: 'd', type: 'directory' as const, bytes: 0 },
    { path: 'd/a', type: 'file' as const, bytes: 3 },
    { path: 'big', type: 'file' as const, bytes: 200_000 },
  ];
  async function* read(path: string) {
    yield Buffer.from(path === 'big' ? 'b'.repeat(200_000) : 'abc');
  }
  expect(await told(readTar(writeTar(items, read)))).toEqual([
    ['d/a', 'abc'],
    ['big', 'b'.repeat(200_000)],
  ]);
});

test.each([
  ['a/b', 'a/b'],
  ['./a//b/', 'a/b'],
  ['.', null],
])('pathInside %s is %s', (name, path) => expect(pathInside(name)).toBe(path));

describe('over HTTP', () => {
  test('a file goes in and comes back with its size', async () => {
    const { agent, url } = await setUp();
    const body = Buffer.alloc(500_000, 'z');
    const put = await fetch(`${url}/v1/content?name=z.txt&min=1`, {
      method: 'POST',
      body,
      headers: { ...auth, 'content-type': 'application/octet-stream' },
    });
    expect(put.status).toBe(201);
    const { cid, bytes } = (await put.json()) as { cid: string; bytes: number };
    expect(bytes).toBe(500_000);
    expect(put.headers.get('location')).toBe(`/v1/pins/${cid}`);
    expect(agent.stored.get(cid)?.single).toBe(true);
    const got = await fetch(`${url}/v1/content/${cid}`);
    expect(got.headers.get('content-length')).toBe('500000');
    expect(got.headers.get('x-content-type-options')).toBe('nosniff');
    expect(Buffer.from(await got.arrayBuffer()).equals(body)).toBe(true);
    const etag = got.headers.get('etag') ?? '';
    const again = await fetch(`${url}/v1/content/${cid}`, { headers: { 'if-none-match': etag } });
    expect(again.status).toBe(304);
  });

  test('a folder goes in as tar and comes back as tar, as a list and file by file', async () => {
    const { url } = await setUp();
    const body = await archive([
      { name: 'a/one.md', text: '# one' },
      { name: 'two', text: '2' },
    ]);
    const put = await fetch(`${url}/v1/content?name=folder`, {
      method: 'POST',
      body,
      headers: { ...auth, 'content-type': 'application/x-tar' },
    });
    const { cid, files } = (await put.json()) as { cid: string; files: number };
    expect([put.status, files]).toEqual([201, 2]);
    const list = await (await fetch(`${url}/v1/content/${cid}?list=true`)).json();
    expect(list).toMatchObject({ cid, items: [{ path: 'a/one.md' }, { path: 'two', bytes: 1 }] });
    const whole = await fetch(`${url}/v1/content/${cid}`);
    expect(whole.headers.get('content-type')).toBe('application/x-tar');
    const back = Readable.from([Buffer.from(await whole.arrayBuffer())]);
    expect(await told(readTar(back))).toEqual([
      ['a/one.md', '# one'],
      ['two', '2'],
    ]);
    const one = await fetch(`${url}/v1/content/${cid}/a/one.md`);
    expect(one.headers.get('content-type')).toBe('text/markdown; charset=utf-8');
    expect(await one.text()).toBe('# one');
    const other = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';
    expect((await fetch(`${url}/v1/content/${other}`)).status).toBe(404);
  });

  test('an upload that breaks off is no content', async () => {
    const { agent, number, url } = await setUp();
    const upload = httpRequest({
      port: number,
      method: 'POST',
      path: '/v1/content?name=part.bin',
      headers: { ...auth, 'content-type': 'application/octet-stream', 'content-length': 1_000_000 },
    });
    upload.on('error', () => expect(upload.destroyed).toBe(true));
    upload.write(Buffer.alloc(1000));
    await once(upload, 'socket');
    upload.destroy();
    await until(() => upload.closed);
    await fetch(`${url}/livez`);
    expect(agent.stored.size).toBe(0);
  });

  test('a slow reader slows the source, one that leaves ends it', async () => {
    const { agent, number, url } = await setUp();
    const cid = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';
    let given = 0;
    let ended = false;
    agent.ls = async () => [{ path: '', type: 'file', bytes: 1e9 }];
    agent.cat = async function* () {
      try {
        for (; given < 1e9; given += 65_536) yield Buffer.alloc(65_536);
      } finally {
        ended = true;
      }
    };
    const download = httpRequest({ port: number, path: `/v1/content/${cid}` });
    download.end();
    const [response] = (await once(download, 'response')) as [Readable];
    await once(response, 'readable');
    let before = -1;
    await until(() => {
      const still = given === before;
      before = given;
      return still;
    });
    expect(given).toBeLessThan(64e6);
    response.destroy();
    await until(() => ended);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  test('followed events arrive as they happen and resume where they broke off', async () => {
    const { agent, url } = await setUp();
    agent.emit('first');
    agent.emit('second');
    expect(await (await fetch(`${url}/v1/events?limit=1`)).json()).toMatchObject({
      events: [{ seq: 1, type: 'first' }],
      next: 1,
    });
    const abort = new AbortController();
    const followed = await fetch(`${url}/v1/events`, {
      headers: { accept: 'text/event-stream', 'last-event-id': '1' },
      signal: abort.signal,
    });
    expect(followed.headers.get('content-type')).toBe('text/event-stream');
    const reader = followed.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    agent.emit('third');
    while (!text.includes('third')) text += (await reader?.read())?.value ?? '';
    expect(text).not.toContain('first');
    expect(text).toContain('id: 2\nevent: second\n');
    expect(agent.listeners).toBe(1);
    abort.abort();
    await until(() => agent.listeners === 0);
  });
});
