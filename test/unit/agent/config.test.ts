import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/agent/config.ts';
import { AgentError } from '../../../src/base/error.ts';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-config-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const load = (flags: Record<string, unknown>, env: Record<string, string> = {}, yaml?: string) => {
  const file = yaml === undefined ? null : join(dir, 'config.yaml');
  if (file !== null && yaml !== undefined) writeFileSync(file, yaml);
  return loadConfig({ file, env, flags });
};

function mistakesOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(AgentError);
    expect((error as AgentError).code).toBe('bad-request');
    return (error as AgentError).message;
  }
  throw new Error('it was accepted');
}

describe('sources', () => {
  test('defaults are those of the documentation', () => {
    const config = load({ role: 'worker', nodeId: 'a' });
    expect(config).toMatchObject({
      zone: 'default',
      httpHost: '127.0.0.1',
      httpPort: 9099,
      startCluster: false,
      workersMayLead: true,
      timing: { heartbeatMs: 100, leaseMs: 500, electionMsMin: 600, electionMsMax: 900 },
    });
  });

  test('flags go over the environment, the environment over the file', () => {
    const yaml = 'role: worker\nzone: file\nhttpPort: 1\nmeshPort: 2\n';
    const env = { BELLWETHER_ZONE: 'env', BELLWETHER_HTTP_PORT: '3' };
    const config = load({ httpPort: '4' }, env, yaml);
    expect(config).toMatchObject({ zone: 'env', httpPort: 4, meshPort: 2 });
  });

  test('texts become what the field takes', () => {
    const env = { BELLWETHER_PEERS: 'a:1, b:2', BELLWETHER_START_CLUSTER: 'true' };
    const config = load({ role: 'master', workersMayLead: 'false' }, env);
    expect(config).toMatchObject({ peers: ['a:1', 'b:2'], startCluster: true });
    expect(config.workersMayLead).toBe(false);
  });

  test('the example file is a valid configuration with the documented defaults', () => {
    const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
    const example = join(root, 'config/bellwether.example.yaml');
    const flags = { nodeId: 'a', data: '/tmp/a' };
    const fromFile = loadConfig({ file: example, env: {}, flags });
    const { timing, content, ...rest } = load({ ...flags, role: 'worker' });
    expect(fromFile).toEqual({ ...rest, timing, content });
    expect(readFileSync(example, 'utf8')).toContain('networkKeyFile');
  });

  test('the result is frozen', () => {
    const config = load({ role: 'worker' });
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.timing)).toBe(true);
    expect(Object.isFrozen(config.peers)).toBe(true);
  });
});

describe('mistakes', () => {
  test('all are listed at once, each with its field and where it came from', () => {
    const text = mistakesOf(() =>
      load({ role: 'boss', httpPort: '99999' }, { BELLWETHER_RANK: 'high' }, 'zone: 7\nzonee: x\n'),
    );
    expect(text).toMatch(/role \(on the command line\): must be one of master, worker/);
    expect(text).toMatch(/httpPort \(on the command line\)/);
    expect(text).toMatch(/rank \(BELLWETHER_RANK\)/);
    expect(text).toMatch(/zone \(in .*config\.yaml\)/);
    expect(text).toMatch(/zonee: no such setting/);
  });

  test.each([
    [{ heartbeatMs: 200 }, /heartbeatMs x 3 is 600; it must be at most leaseMs \(500\)/],
    [{ leaseMs: 550 }, /leaseMs x 1.11 is 611; it must be at most electionMsMin \(600\)/],
    [{ electionMsMin: 900 }, /electionMsMin \(900\) must be less than electionMsMax \(900\)/],
    [{ electionMsMin: 1000 }, /electionMsMin \(1000\) must be less than electionMsMax \(900\)/],
  ])('timing %o is refused', (timing, expected) => {
    expect(mistakesOf(() => load({ role: 'worker', timing }))).toMatch(expected);
  });

  test('the limits themselves are accepted', () => {
    const timing = { heartbeatMs: 200, leaseMs: 600, electionMsMin: 666, electionMsMax: 667 };
    expect(load({ role: 'worker', timing }).timing).toMatchObject(timing);
  });

  test.each([
    [{ role: 'leecher', rank: 1 }, /rank 1: a leecher never leads/],
    [{ role: 'worker', startCluster: true }, /only a master can; role is worker/],
    [{ role: 'master', httpPort: 5000, meshPort: 5000 }, /both 5000/],
    [{}, /role: must be one of/],
    [{ role: 'worker', nodeId: 'Upper' }, /nodeId .*must be 1 to 63 of a-z/],
    [{ role: 'worker', timing: { hold: 1 } }, /timing.hold: no such setting/],
  ])('%o is refused', (flags, expected) => {
    expect(mistakesOf(() => load(flags))).toMatch(expected);
  });

  test('a file that is not there, not YAML, or no mapping', () => {
    const flags = { role: 'worker' };
    expect(
      mistakesOf(() => loadConfig({ file: join(dir, 'absent.yaml'), env: {}, flags })),
    ).toMatch(/absent.yaml can't be read/);
    expect(mistakesOf(() => load(flags, {}, 'a: [1'))).toMatch(/is not YAML/);
    expect(mistakesOf(() => load(flags, {}, '- a\n'))).toMatch(/must be a mapping/);
  });
});
