/**
 * Real blocks between real agents: added on one node, verified on others, made anew elsewhere when
 * a holder dies, read back by the leecher, still there after all were killed at once, and gone
 * everywhere when the pin goes.
 */
import { createHash, randomBytes } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { createFlock, type Flock, getJson, until } from './flock.ts';

const five = ['master-1', 'master-2', 'worker-1', 'worker-2', 'leecher-1'];
const bytes = randomBytes(3_000_000);
const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');
let flock: Flock | null = null;

afterEach(async () => {
  await flock?.stop();
  flock = null;
});

interface Pin {
  readonly verified: number;
  readonly min: number;
  readonly copies: { node: string; verified: boolean; status: { state: string } | null }[];
}

/** The pin, once as many of the named nodes hold verified copies. */
function verifiedOn(of: Flock, cid: string, names: readonly string[], count: number): Promise<Pin> {
  const ask = async (): Promise<Pin | null> => {
    for (const name of names) {
      const pin = await getJson<Pin>(`${of.node(name).url}/v1/pins/${cid}`);
      const good = pin?.copies.filter((copy) => copy.verified && names.includes(copy.node)) ?? [];
      if (pin && good.length >= count) return pin;
    }
    return null;
  };
  return until(`${count} verified copies`, ask, {
    deadlineMs: 40_000,
    everyMs: 200,
    seen: () => getJson(`${of.node(names[0] ?? '').url}/v1/pins/${cid}`),
  });
}

async function call(of: Flock, name: string, path: string, init: RequestInit): Promise<Response> {
  const headers = { authorization: `Bearer ${of.token(name)}`, ...init.headers };
  const signal = AbortSignal.timeout(30_000);
  return fetch(`${of.node(name).url}${path}`, { ...init, headers, signal });
}

async function addOn(of: Flock, name: string): Promise<string> {
  return until(
    `${name} takes content`,
    async () => {
      const response = await call(of, name, '/v1/content?name=some.bin&min=2&max=2', {
        method: 'POST',
        headers: { 'content-type': 'application/octet-stream' },
        body: bytes,
      });
      const body = (await response.json()) as { cid?: string };
      return response.ok && body.cid !== undefined ? body.cid : null;
    },
    { deadlineMs: 30_000, everyMs: 300 },
  );
}

test('copies are verified, repaired, read back, survive kill -9 of all, and go with the pin', async () => {
  const timing = { holdMs: 2000, voterGraceMs: 3000, repairGraceMs: 2000 };
  const it = await createFlock({ names: five, timing });
  flock = it;
  it.startAll();
  await it.leader();
  const cid = await addOn(it, 'worker-1');
  const four = five.slice(0, 4);
  const pin = await verifiedOn(it, cid, four, 2);
  expect(pin.min).toBe(2);

  const got = await call(it, 'leecher-1', `/v1/content/${cid}`, {});
  expect(sha256(new Uint8Array(await got.arrayBuffer()))).toBe(sha256(bytes));
  const refused = await call(it, 'leecher-1', '/v1/content?name=x', { method: 'POST', body: 'x' });
  expect(refused.status).toBe(403);

  const holder = pin.copies.find((copy) => copy.verified && copy.node !== 'master-1')?.node ?? '';
  await it.signal(holder, 'SIGKILL');
  const living = four.filter((name) => name !== holder);
  await verifiedOn(it, cid, living, 2);

  it.start(holder);
  await it.leader();
  await Promise.all(five.map((name) => it.signal(name, 'SIGKILL')));
  it.startAll();
  await it.leader();
  await verifiedOn(it, cid, four, 2);

  const removed = await until(
    'the pin is removed',
    async () => {
      const response = await call(it, 'worker-2', `/v1/pins/${cid}`, { method: 'DELETE' });
      return response.ok ? response : null;
    },
    { deadlineMs: 15_000 },
  );
  expect(removed.ok).toBe(true);
  await until(
    'no node stores its bytes any more',
    async () => {
      const pages = await Promise.all(four.map(it.status));
      const stored = pages.map((page) => {
        const { bytesStored = -1 } = (page?.replication ?? {}) as { bytesStored?: number };
        return bytesStored;
      });
      return stored.every((amount) => amount >= 0 && amount < bytes.length / 2) ? stored : null;
    },
    {
      deadlineMs: 60_000,
      everyMs: 500,
      seen: () => Promise.all(four.map(async (name) => (await it.status(name))?.replication)),
    },
  );
});
