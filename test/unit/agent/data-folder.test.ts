import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDataFolder } from '../../../src/agent/data-folder.ts';
import type { AgentError } from '../../../src/base/error.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-folder-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const member = {
  version: 1 as const,
  state: 'member' as const,
  name: 'a',
  clusterId: '0'.repeat(32),
  epoch: '1'.repeat(32),
  epochNumber: 1,
  parentEpoch: null,
  pastEpochs: [],
  certificate: null,
  bootstrap: false,
};

function refusal(run: () => unknown): AgentError {
  try {
    run();
  } catch (error) {
    return error as AgentError;
  }
  throw new Error('it was accepted');
}

describe('data folder', () => {
  test('the token is made once, readable by its owner only', () => {
    const first = openDataFolder(dir);
    expect(first.token).toMatch(/^[0-9a-f]{64}$/);
    expect(statSync(join(dir, 'http.token')).mode & 0o777).toBe(0o600);
    first.release();
    const second = openDataFolder(dir);
    expect(second.token).toBe(first.token);
    second.release();
  });

  test('a second agent is refused until the first lets go', () => {
    const first = openDataFolder(dir);
    expect(refusal(() => openDataFolder(dir)).code).toBe('already-running');
    first.release();
    openDataFolder(dir).release();
  });

  test('who the node is survives', async () => {
    const first = openDataFolder(dir);
    expect(first.node()).toBeNull();
    await first.writeNode(member);
    first.release();
    mkdirSync(join(dir, 'log'));
    writeFileSync(join(dir, 'identity.key'), 'key');
    const second = openDataFolder(dir);
    expect(second.node()).toEqual(member);
    second.release();
  });

  test('two writes at once are made one after the other, the later from the earlier', async () => {
    const folder = openDataFolder(dir);
    const next = { ...member, name: 'b' };
    await Promise.all([
      folder.writeNode(member),
      folder.changeMember((file) => ({ ...file, name: 'b' })),
      folder.changeMember(() => null),
    ]);
    expect(folder.node()).toEqual(next);
    folder.release();
    expect(JSON.parse(readFileSync(join(dir, 'node.json'), 'utf8'))).toEqual(next);
  });

  test('a write that fails is told, and the next one is made', async () => {
    const folder = openDataFolder(dir);
    await folder.writeNode(member);
    const failing = folder.changeMember(() => {
      throw new Error('no');
    });
    const fine = folder.changeMember((file) => ({ ...file, left: true }));
    await expect(failing).rejects.toThrow('no');
    await fine;
    expect(folder.node()).toEqual({ ...member, left: true });
    folder.release();
  });

  test.each([
    ['a key and a log without node.json', { key: true, log: true, node: null }],
    ['a log without node.json', { key: false, log: true, node: null }],
    ['a member without its log', { key: true, log: false, node: member }],
    ['a member without its key', { key: false, log: true, node: member }],
  ])('%s is refused as damage', (_, { key, log, node }) => {
    if (key) writeFileSync(join(dir, 'identity.key'), 'key');
    if (log) mkdirSync(join(dir, 'log'));
    if (node !== null) writeFileSync(join(dir, 'node.json'), JSON.stringify(node));
    const error = refusal(() => openDataFolder(dir));
    expect(error.code).toBe('damaged');
    // The lock is free again.
    expect(refusal(() => openDataFolder(dir)).code).toBe('damaged');
  });

  test.each(['{', '{"version":1}', '{"version":1,"state":"member","name":"a"}'])(
    'node.json %s is refused by name',
    (text) => {
      writeFileSync(join(dir, 'node.json'), text);
      expect(refusal(() => openDataFolder(dir)).message).toContain('node.json');
    },
  );
});
