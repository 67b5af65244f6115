/**
 * Real processes of a daemon's kind: output within its cap and without a stall, found again by
 * whoever comes later, refused when the pid is somebody else's, ended as a whole group, limited.
 */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { causeInText } from '../../../src/daemons/cause.ts';
import { createOutputLog, outputBytesMax } from '../../../src/daemons/output-log.ts';
import { findProcesses, isAlive } from '../../../src/daemons/proc.ts';
import { adopt, type DaemonProcess, launch, noteFor } from '../../../src/daemons/process.ts';

const started: DaemonProcess[] = [];
const folders: string[] = [];

afterEach(async () => {
  for (const process of started.splice(0)) await process.end(0);
  for (const folder of folders.splice(0))
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});

function folderHere(): string {
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-process-'));
  folders.push(folder);
  return folder;
}

async function run(
  folder: string,
  script: string,
  limits: { dataKib?: number; files?: number; processors?: number[] } = {},
): Promise<DaemonProcess> {
  const process = await launch({
    folder,
    note: noteFor(['/bin/sh', '-c', script], { api: 1 }, { api: 1 }),
    env: { GREETING: 'hello' },
    dataKib: limits.dataKib ?? null,
    processors: limits.processors ?? null,
    files: limits.files ?? null,
  });
  started.push(process);
  return process;
}

async function until(what: string, done: () => Promise<boolean> | boolean): Promise<void> {
  const endMs = performance.now() + 60_000;
  while (!(await done())) {
    if (performance.now() > endMs) throw new Error(`${what}: not within a minute`);
    await wait(20);
  }
}

const linesOf = async (folder: string): Promise<readonly string[]> =>
  (await createOutputLog(folder).tail(100)).lines;

test('it runs with its environment, and its output and exit code are kept', async () => {
  const folder = folderHere();
  const process = await run(folder, 'echo "$GREETING"; echo oops >&2; exit 3');
  expect(await process.ended).toEqual({ code: 3, signal: null });
  await until('its output', async () => (await linesOf(folder)).length === 2);
  expect(await linesOf(folder)).toEqual(['hello', 'oops']);
});

test('100 MB of output stall nobody and stay within the cap, the newest lines last', async () => {
  const folder = folderHere();
  const bytes = Number(globalThis.process.env.BELLWETHER_PRINT_BYTES ?? 100_000_000);
  const process = await run(folder, `yes 0123456789abcdef | head -c ${bytes}; echo; echo the end`);
  let largest = 0;
  const look = (): void => {
    const sizes = readdirSync(folder)
      .filter((name) => name.startsWith('output.log'))
      .map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0);
    largest = Math.max(
      largest,
      sizes.reduce((sum, size) => sum + size, 0),
    );
  };
  const watching = setInterval(look, 20);
  expect(await process.ended).toEqual({ code: 0, signal: null });
  clearInterval(watching);
  await until('the last line', async () => (await linesOf(folder)).at(-1) === 'the end');
  look();
  expect(largest).toBeLessThanOrEqual(outputBytesMax);
  expect(largest).toBeGreaterThan(1024 * 1024);
});

test('output is followed by a cursor over the change of files', async () => {
  const folder = folderHere();
  const log = createOutputLog(folder);
  const process = await run(
    folder,
    'i=0; while [ $i -lt 4000 ]; do echo line $i; i=$((i+1)); done',
  );
  const seen: string[] = [];
  let cursor = '0:0';
  await until('all lines', async () => {
    const part = await log.after(cursor, 1000);
    seen.push(...part.lines);
    cursor = part.cursor;
    return seen.length >= 4000;
  });
  await process.ended;
  expect(seen).toEqual(Array.from({ length: 4000 }, (_, i) => `line ${i}`));
});

test('whoever comes later finds the same process and can end it with its children', async () => {
  const folder = folderHere();
  const mark = `sleep ${600 + Math.round(performance.now() % 1000)}`;
  const first = await run(folder, `trap '' TERM; ${mark} & while :; do sleep 1; done`);
  const { process: found, refused } = await adopt(folder);
  expect([found?.pid, refused, found?.note.ports]).toEqual([first.pid, null, { api: 1 }]);
  await until('its child', async () => (await children(mark)) === 1);
  await found?.end(200);
  expect(found?.alive()).toBe(false);
  expect(await first.ended).toEqual({ code: null, signal: 'SIGKILL' });
  await until('the end of its child', async () => (await children(mark)) === 0);
  expect((await adopt(folder)).process).toBeNull();
});

const children = async (mark: string): Promise<number> =>
  (await findProcesses((argv) => argv.join(' ') === mark)).length;

test('a pid that now runs something else is refused and left alone', async () => {
  const [ours, theirs] = [folderHere(), folderHere()];
  const stranger = await run(theirs, 'while :; do sleep 1; done');
  mkdirSync(ours, { recursive: true });
  const stat = readFileSync(`/proc/${stranger.pid}/stat`, 'utf8');
  writeFileSync(join(ours, 'process.stat'), stat);
  writeFileSync(
    join(ours, 'process.json'),
    JSON.stringify(noteFor(['/bin/ipfs', 'daemon'], {}, {})),
  );
  const { process: found, refused } = await adopt(ours);
  expect(found).toBeNull();
  expect(refused).toContain(`pid ${stranger.pid} runs /bin/sh`);
  expect(stranger.alive()).toBe(true);
}, 30_000);

test('the same pid with another start time, or after another boot, is nobody of ours', async () => {
  const folder = folderHere();
  const process = await run(folder, 'while :; do sleep 1; done');
  const boot = process.note.boot;
  expect(isAlive({ pid: process.pid, started: '1', boot })).toBe(false);
  const note = { ...process.note, boot: 'another boot' };
  writeFileSync(join(folder, 'process.json'), JSON.stringify(note));
  expect((await adopt(folder)).process).toBeNull();
});

test('limits of files and memory hold, and hitting them is a cause of its own', async () => {
  const folder = folderHere();
  const files = await run(
    folder,
    'ulimit -n; i=3; while [ $i -lt 200 ]; do eval "exec $i</dev/null" || exit 9; i=$((i+1)); done',
    { files: 64 },
  );
  await files.ended;
  await until('the limit', async () => (await linesOf(folder)).length > 0);
  expect((await linesOf(folder))[0]).toBe('64');
  const other = folderHere();
  const node = globalThis.process.execPath;
  const memory = await run(
    other,
    `exec ${node} -e "const a=[];for(;;)a.push(Buffer.alloc(1e6,1))"`,
    {
      dataKib: 300 * 1024,
    },
  );
  const end = await memory.ended;
  expect(end.code === 0).toBe(false);
  await until('its last words', async () => (await linesOf(other)).length > 0);
  expect(causeInText((await linesOf(other)).join('\n'))).toBe('out-of-memory');
});
