import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  archiveName,
  beginChange,
  type FolderChange,
  finishChange,
  prepared,
} from '../../../../src/agent/recovery/folder-change.ts';

let dir = '';
const archive = archiveName('rejoin', Date.UTC(2026, 0, 2, 3, 4, 5));
const change: FolderChange = {
  version: 1,
  what: 'rejoin',
  archive,
  moves: ['log', 'catalog', 'incoming'],
  node: { name: 'm1', state: 'next' },
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-change-'));
  for (const name of ['log', 'catalog', 'content']) {
    mkdirSync(join(dir, name));
    writeFileSync(join(dir, name, 'what'), `old ${name}`);
  }
  writeFileSync(join(dir, 'node.json'), '{"name":"m1","state":"before"}');
  const next = prepared(dir, 'log');
  mkdirSync(next);
  writeFileSync(join(next, 'what'), 'new log');
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

function expectDone(): void {
  expect(readFileSync(join(dir, 'log/what'), 'utf8')).toBe('new log');
  expect(existsSync(join(dir, 'catalog'))).toBe(false);
  expect(readFileSync(join(dir, 'content/what'), 'utf8')).toBe('old content');
  expect(JSON.parse(readFileSync(join(dir, 'node.json'), 'utf8'))).toEqual(change.node);
  const kept = join(dir, 'archive', archive);
  expect(readdirSync(kept).sort()).toEqual(['catalog', 'log', 'node.json']);
  expect(readFileSync(join(kept, 'log/what'), 'utf8')).toBe('old log');
  expect(JSON.parse(readFileSync(join(kept, 'node.json'), 'utf8'))).toMatchObject({
    state: 'before',
  });
  expect(readdirSync(dir).sort()).toEqual(['archive', 'content', 'log', 'node.json']);
}

test('a change archives what was and puts the new in its place', () => {
  expect(archive).toBe('2026-01-02T03-04-05Z-rejoin');
  beginChange(dir, change);
  expectDone();
  finishChange(dir);
  expectDone();
});

const kept = () => join(dir, 'archive', archive);
const steps: readonly (() => void)[] = [
  () => cpSync(join(dir, 'node.json'), join(kept(), 'node.json')),
  () => renameSync(join(dir, 'log'), join(kept(), 'log')),
  () => renameSync(join(dir, 'log.new'), join(dir, 'log')),
  () => renameSync(join(dir, 'catalog'), join(kept(), 'catalog')),
  () => writeFileSync(join(dir, 'node.json'), JSON.stringify(change.node)),
];

test.each([0, 1, 2, 3, 4, 5])('interrupted after %i steps it is finished by the next', (done) => {
  mkdirSync(kept(), { recursive: true });
  writeFileSync(join(dir, 'change.json'), JSON.stringify(change));
  for (const step of steps.slice(0, done)) step();
  finishChange(dir);
  expectDone();
});

test('without a node afterwards the folder belongs to nobody', () => {
  beginChange(dir, { ...change, node: null });
  expect(existsSync(join(dir, 'node.json'))).toBe(false);
});

test('a file that is no change is damage, and names itself', () => {
  writeFileSync(join(dir, 'change.json'), '{"version":1,"moves":["../x"]}');
  expect(() => finishChange(dir)).toThrow(/change\.json.*moves/s);
});
