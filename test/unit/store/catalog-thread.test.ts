import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startCatalogThread } from '../../../src/store/catalog-thread.ts';
import { withFolder } from './log-fixture.ts';

/** A worker that runs `code` on the first thing it is asked. */
function workerOf(code: string): URL {
  const text = `import { parentPort } from 'node:worker_threads';
    parentPort.on('message', () => { ${code} });`;
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`);
}

test.each([
  ['ends', 'process.exit(3)', 'ended with code 3'],
  ['throws', "throw new Error('a bug')", 'failed: a bug'],
])('a thread that %s refuses all it was asked, at once and later', async (_name, code, text) => {
  const thread = startCatalogThread({ role: 'writer', path: 'none' }, workerOf(code));
  const asked = [thread.ask({ type: 'open' }), thread.ask({ type: 'digest' })];
  for (const answer of await Promise.allSettled(asked))
    expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'internal' } });
  await expect(thread.ask({ type: 'digest' })).rejects.toThrow(text);
  expect(thread.failure()?.message).toContain('writer thread');
  expect(thread.pending()).toBe(0);
  await thread.close();
});

test('what waits for a thread is bounded', async () => {
  const thread = startCatalogThread({ role: 'reader', path: 'none' }, workerOf('for (;;) {}'));
  const asked = Array.from({ length: 256 }, () => thread.ask({ type: 'digest' }));
  await expect(thread.ask({ type: 'digest' })).rejects.toMatchObject({ code: 'overloaded' });
  const answers = Promise.allSettled(asked);
  await thread.end();
  for (const answer of await answers) expect(answer.status).toBe('rejected');
});

test('a file that is no database is refused as damaged', () =>
  withFolder(async (dir) => {
    const path = join(dir, 'catalog.sqlite');
    await writeFile(path, Buffer.alloc(8192, 'not a database '));
    const thread = startCatalogThread({ role: 'writer', path });
    await expect(thread.ask({ type: 'open' })).rejects.toMatchObject({ code: 'damaged' });
    await expect(thread.ask({ type: 'digest' })).rejects.toMatchObject({ code: 'internal' });
    await thread.end();
  }));
