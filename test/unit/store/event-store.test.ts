import { appendFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openEventStore } from '../../../src/store/event-store.ts';
import { withFolder } from './log-fixture.ts';

const event = (n: number) => ({
  type: 'ballot',
  data: { n, text: 'ä' },
  at: '2026-01-01T00:00:00Z',
});

async function fileIn(dir: string): Promise<string> {
  return join(dir, (await readdir(dir)).sort().at(-1) ?? '');
}

test('numbers events, lists them after a number, goes on after a restart', () =>
  withFolder(async (dir) => {
    const first = await openEventStore({ dir });
    for (let n = 1; n <= 10; n++) expect(first.append(event(n)).seq).toBe(n);
    expect((await first.list(4, 3)).map(({ seq }) => seq)).toEqual([5, 6, 7]);
    await first.close();
    expect(() => first.append(event(11))).toThrow('closed');
    const second = await openEventStore({ dir });
    expect(second.notes).toEqual([]);
    expect(second.append(event(11)).seq).toBe(11);
    expect((await second.list(0, 100)).map(({ data }) => data.n)).toEqual(
      Array.from({ length: 11 }, (_, i) => i + 1),
    );
    expect(second.lost()).toEqual({ count: 0, reason: null });
    await second.close();
  }));

test('drops the oldest beyond its size, and nothing else', () =>
  withFolder(async (dir) => {
    const store = await openEventStore({ dir, bytesMax: 16_000 });
    for (let n = 1; n <= 500; n++) {
      store.append(event(n));
      await store.flush();
    }
    const kept = await store.list(0, 1000);
    expect(kept.at(-1)?.seq).toBe(500);
    expect(kept[0]?.seq).toBe(500 - kept.length + 1);
    let bytes = 0;
    for (const name of await readdir(dir)) bytes += (await stat(join(dir, name))).size;
    expect(bytes).toBeLessThan(18_000);
    expect((await store.list(490, 5)).map(({ seq }) => seq)).toEqual([491, 492, 493, 494, 495]);
    await store.close();
  }));

test('a torn last line is cut and noted; a changed line stays and is noted', () =>
  withFolder(async (dir) => {
    const first = await openEventStore({ dir });
    for (let n = 1; n <= 5; n++) first.append(event(n));
    await first.close();
    const path = await fileIn(dir);
    await appendFile(path, '{"seq":6,"at":"2026');
    const second = await openEventStore({ dir });
    expect(second.notes).toEqual([expect.stringContaining('torn last line of 19 bytes')]);
    expect(second.append(event(6)).seq).toBe(6);
    await second.close();
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('"n":3', '"n":7'));
    const third = await openEventStore({ dir });
    expect(third.notes).toEqual([expect.stringContaining('changed at character')]);
    expect(await third.list(0, 10)).toHaveLength(6);
    await third.close();
  }));

test('refuses an event that is too large', () =>
  withFolder(async (dir) => {
    const store = await openEventStore({ dir });
    const large = { ...event(1), data: { text: 'x'.repeat(300_000) } };
    expect(() => store.append(large)).toThrow('event of');
    expect(store.append(event(1)).seq).toBe(1);
    await store.close();
  }));
