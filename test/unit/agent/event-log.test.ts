import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createEventLog } from '../../../src/agent/event-log.ts';
import { openEventStore } from '../../../src/store/event-store.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-events-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('what happened before the store was open is stored too, and numbers go on', async () => {
  const first = createEventLog(() => 0);
  first.append('early', { n: 1 });
  const store = await openEventStore({ dir });
  await first.attach(store);
  first.append('late', { n: 2 });
  expect(first.after(0, 10).map(({ seq, type }) => [seq, type])).toEqual([
    [1, 'early'],
    [2, 'late'],
  ]);
  await store.close();

  const second = createEventLog(() => 1000);
  second.append('again', {});
  const reopened = await openEventStore({ dir });
  await second.attach(reopened);
  expect(second.after(1, 10).map(({ seq, at, type }) => [seq, at.slice(11, 19), type])).toEqual([
    [2, '00:00:00', 'late'],
    [3, '00:00:01', 'again'],
  ]);
  expect(second.after(0, 1)).toHaveLength(1);
  await reopened.close();
});

test('the ring has a maximum and listeners can leave', () => {
  const log = createEventLog(() => 0);
  const heard: number[] = [];
  const leave = log.onEvent((event) => heard.push(event.seq));
  for (let i = 0; i < 2001; i++) log.append('x', {});
  leave();
  log.append('x', {});
  expect(heard).toHaveLength(2001);
  expect(log.after(0, 5000).length).toBeLessThanOrEqual(2000);
  expect(log.after(0, 5000).at(-1)?.seq).toBe(2002);
});
