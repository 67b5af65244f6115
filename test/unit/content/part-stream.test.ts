import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import {
  createChunker,
  createPartReader,
  createPartWriter,
  type Part,
  partBytesMax,
} from '../../../src/content/part-stream.ts';

const part = (bytes: number): Part => ({
  path: 'p',
  isDirectory: false,
  bytes: new Uint8Array(bytes),
  last: true,
});

function openStream() {
  const { port1, port2 } = new MessageChannel();
  const writer = createPartWriter(port1, { onProgress: () => undefined });
  return { writer, reader: createPartReader(port2), port1, port2 };
}

test('the writer waits when the reader does not read, and goes on when it does', async () => {
  const { writer, reader, port1 } = openStream();
  let written = 0;
  const writing = (async () => {
    for (; written < 40; written++) await writer.write(part(partBytesMax));
    writer.end();
  })();
  await new Promise((resolve) => setImmediate(resolve));
  expect(written).toBeLessThan(10);
  let read = 0;
  while ((await reader.next()) !== null) read += 1;
  await writing;
  expect(read).toBe(40);
  port1.close();
});

test('empty parts cost credit as well', async () => {
  const { writer, port1 } = openStream();
  let written = 0;
  const writing = (async () => {
    for (; written < 100_000; written++) await writer.write({ ...part(0), bytes: null });
  })().catch((thrown: unknown) => thrown);
  await new Promise((resolve) => setImmediate(resolve));
  expect(written).toBeLessThan(10_000);
  port1.close();
  expect(await writing).toMatchObject({ code: 'stopped' });
});

test("the writer's error reaches the reader with its code", async () => {
  const { writer, reader, port1 } = openStream();
  writer.fail(new Error('broken source'));
  await expect(reader.next()).rejects.toMatchObject({ code: 'internal', message: 'broken source' });
  port1.close();
});

test('a port that closes early is not an end', async () => {
  const { reader, port1 } = openStream();
  port1.close();
  await expect(reader.next()).rejects.toMatchObject({ code: 'stopped' });
});

test.each([
  [[], []],
  [[0, 0], []],
  [[1, 2], [3]],
  [[partBytesMax], [partBytesMax]],
  [
    [partBytesMax - 1, 2, 5],
    [partBytesMax, 6],
  ],
  [[partBytesMax * 2 + 7], [partBytesMax, partBytesMax, 7]],
])('pieces of %j bytes become chunks of %j', async (pieces, chunks) => {
  async function* source() {
    for (const bytes of pieces) yield new Uint8Array(bytes);
  }
  const lengths: number[] = [];
  for await (const chunk of createChunker()(source())) {
    lengths.push(chunk.length);
    expect(chunk.buffer.byteLength).toBe(chunk.length); // it can be moved
  }
  expect(lengths).toEqual(chunks);
});
