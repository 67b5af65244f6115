/** One whole agent in this process: the facade on a cluster of one, stopped and started again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createAgent } from '../../../src/agent/agent.ts';
import type { Agent } from '../../../src/agent/api.ts';
import { loadConfig } from '../../../src/agent/config.ts';
import { foundFlock } from '../../../src/agent/trust/founding.ts';

let dir = '';
let agent: Agent | null = null;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bellwether-agent-'));
});
afterEach(async () => {
  await agent?.stop('test');
  agent = null;
  rmSync(dir, { recursive: true, force: true });
});

async function startOne(): Promise<Agent> {
  const flags = {
    role: 'master',
    nodeId: 'only',
    data: join(dir, 'data'),
    meshHost: '127.0.0.1',
    meshPort: 0,
    logLevel: 'silent',
    startCluster: true,
  };
  const made = createAgent(loadConfig({ file: null, env: {}, flags }));
  agent = made;
  await made.start();
  await vi.waitFor(() => expect(made.leader().acting).toBe(true), { timeout: 15_000 });
  await vi.waitFor(
    () => expect(made.readiness()).toMatchObject({ ready: true, unmet: [], mode: 'normal' }),
    {
      timeout: 15_000,
    },
  );
  return made;
}

const put = (key: string, expectedVersion: number | null) =>
  ({
    type: 'index.put',
    index: 'knowledge_graph',
    key,
    value: { key },
    expectedVersion,
  }) as const;
const plain = { idempotency: null, timeoutMs: 5000 };
const get = (key: string) => ({ index: 'knowledge_graph', key });

test('writes, reads, status and events of one node; all of it survives a restart', async () => {
  const first = await startOne();
  expect(first.token).toMatch(/^[0-9a-f]{64}$/);
  const result = await first.propose(put('a', 0), plain);
  expect(result).toMatchObject({ ok: true });
  expect(await first.propose(put('a', 0), plain)).toMatchObject({ ok: false, code: 'conflict' });

  const idempotency = { key: 'once', requestHash: 'f'.repeat(64) };
  const once = await first.propose(put('b', null), { idempotency, timeoutMs: 5000 });
  const again = await first.propose(put('b', null), { idempotency, timeoutMs: 5000 });
  expect(again).toMatchObject({ ok: true, version: once.ok ? once.version : null });

  const fresh = await first.query('index.get', get('a'), {
    consistency: 'linearizable',
    timeoutMs: 5000,
  });
  expect(fresh).toMatchObject({ staleMs: 0, value: { key: 'a', value: { key: 'a' } } });
  expect(first.freshness()).toMatchObject({ staleMs: 0 });

  first.setStatusUrl('http://127.0.0.1:1');
  const page = await first.status();
  expect(Object.keys(page).sort()).toEqual(
    [
      ...[
        'mode',
        'degradedReason',
        'cluster',
        'node',
        'election',
        'members',
        'trust',
        'departed',
        'counts',
        'log',
        'content',
        'replication',
      ],
      ...['index', 'federation', 'daemons', 'health', 'mcp', 'paused'],
    ].sort(),
  );
  expect(page).toMatchObject({
    node: { name: 'only', role: 'master', canLead: true, cannotLeadReason: null },
    election: { state: 'leader', acting: true, quorum: 1, failureTolerance: 0 },
    members: [{ name: 'only', state: 'alive', statusUrl: 'http://127.0.0.1:1' }],
    counts: { total: 1, byRole: { master: 1, worker: 0, leecher: 0, witness: 0 } },
    health: { score: expect.any(Number), reasons: expect.any(Array) },
    index: { knowledge_graph: 2 },
    paused: null,
  });
  expect(await first.member('only')).toMatchObject({ resources: { load: expect.any(Array) } });
  expect(await first.member('nobody')).toBeNull();
  const nobody = first.operations.switchover({ to: 'nobody', dryRun: false });
  await expect(nobody).rejects.toMatchObject({ code: 'not-found' });
  const { safe, reasons } = await first.operations.safeToStop(null);
  expect([safe, reasons.map(({ code }) => code)]).toEqual([
    false,
    expect.arrayContaining(['quorum', 'no-heir']),
  ]);
  expect(first.events(0, 1000).map((event) => event.type)).toContain('acting-changed');
  expect(await first.metrics()).toMatch(/bellwether_proposals_total \d/);
  const before = page.cluster;
  await first.stop('test');
  expect(first.leader().acting).toBe(false);
  await expect(first.propose(put('c', 0), plain)).rejects.toMatchObject({ code: 'unavailable' });

  const second = await startOne();
  expect((await second.status()).cluster).toEqual(before);
  expect(second.token).toBe(first.token);
  const kept = await second.query('index.get', get('b'), { consistency: 'local', timeoutMs: 1000 });
  expect(kept.value).toMatchObject({ version: once.ok ? once.version : null });
  expect(second.events(0, 1000).map((event) => event.type)).toContain('stopping');
});

test('before it has joined, the facade says so instead of waiting', async () => {
  const flags = { role: 'worker', nodeId: 'w', data: join(dir, 'w'), logLevel: 'silent' };
  const made = createAgent(loadConfig({ file: null, env: {}, flags }));
  agent = made;
  expect(made.readiness().ready).toBe(false);
  expect(made.leader()).toMatchObject({ acting: false, leader: null });
  await expect(made.propose(put('a', 0), plain)).rejects.toMatchObject({ code: 'unavailable' });
  await expect(made.start()).rejects.toThrow(/holds no certificate/);
});

test('a stop in the middle of joining ends the start and leaves the folder free', async () => {
  // Nobody listens there: the discard port of loopback.
  const plans = [
    { name: 'm', role: 'master', data: join(dir, 'm'), mesh: '/ip4/127.0.0.1/tcp/9' },
    { name: 'w', role: 'worker', data: join(dir, 'w'), mesh: '/ip4/127.0.0.1/tcp/0' },
  ] as const;
  await foundFlock(plans, Date.now());
  const flags = { data: join(dir, 'w'), meshHost: '127.0.0.1', meshPort: 0, logLevel: 'silent' };
  const config = loadConfig({ file: null, env: {}, flags });
  const made = createAgent(config);
  const start = made.start().catch((error: unknown) => error);
  await made.stop('test');
  expect(await start).toMatchObject({ code: 'stopped' });
  await createAgent(config).stop('test');
});
