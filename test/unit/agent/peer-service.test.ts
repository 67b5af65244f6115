/** What comes in from a peer is judged by its certificate: refused, counted and told. */
import { expect, test } from 'vitest';
import type { Directory } from '../../../src/agent/directory.ts';
import type { Membership } from '../../../src/agent/membership.ts';
import type { AgentMetrics } from '../../../src/agent/metrics.ts';
import { createPeerService } from '../../../src/agent/peer-service.ts';
import { type Snapshots, snapshotStream } from '../../../src/agent/snapshots.ts';
import type { ClashWatch } from '../../../src/agent/trust/clash-watch.ts';
import type { DoorLog, DoorRefusal } from '../../../src/agent/trust/door-log.ts';
import type { LastRefusal } from '../../../src/agent/trust/trust.ts';
import type { Event } from '../../../src/consensus/api.ts';
import { encodeMessage, type Message } from '../../../src/wire/consensus-message.ts';
import { encodeGossip } from '../../../src/wire/gossip.ts';
import type { Role } from '../../../src/wire/member.ts';
import { certify, clusterId, trustOf, type Wanted } from './papers.ts';

const head = { v: 1, cluster: clusterId, epoch: 'e'.repeat(32), term: 3 };
const preVote: Message = {
  ...head,
  ...{ type: 'pre-vote', round: 1, rank: 3000, consent: null, lastIndex: 9, lastTerm: 2 },
};
const vote: Message = {
  ...head,
  ...{ type: 'vote-reply', asked: 3, granted: true, code: 'granted', rank: 0, promiseMs: 0 },
  ...{ lastIndex: 9, lastTerm: 2 },
};
const fetchLog: Message = {
  ...head,
  ...{ type: 'fetch', id: 1, purpose: 'learn', commit: 0, lastIndex: 0, lastTerm: 0 },
};

async function setUp(roles: Readonly<Record<string, Role>>) {
  const counts = new Map<string, number>();
  const events: Event[] = [];
  const refusals: LastRefusal[] = [];
  const greeted: string[] = [];
  const received: string[] = [];
  const doors: DoorRefusal[] = [];
  const clashing = new Set<string>();
  let monoMs = 0;
  const trust = await trustOf('self', { refusals });
  for (const [peer, role] of Object.entries(roles))
    await trust.learn(peer, await certify(peer, { role }));
  const service = createPeerService({
    clock: { now: () => ({ monoMs, skippedMs: 0 }), wallMs: () => 0 },
    metrics: {
      count: (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1),
    } as unknown as AgentMetrics,
    trust: () => trust,
    membership: () =>
      ({
        greet: async (peer: string) => {
          greeted.push(peer);
        },
      }) as unknown as Membership,
    directory: () => ({ heard: () => undefined, gossip: () => undefined }) as unknown as Directory,
    leadership: () => null,
    snapshots: () =>
      ({
        receive: async (from: string) => {
          received.push(from);
        },
      }) as unknown as Snapshots,
    clashes: () => ({ clashes: (peer: string) => clashing.has(peer) }) as unknown as ClashWatch,
    doors: { refused: (one: DoorRefusal) => doors.push(one) } as unknown as DoorLog,
    post: (event) => events.push(event),
    event: () => undefined,
  });
  const pass = (ms: number): void => {
    monoMs += ms;
  };
  return { service, counts, events, refusals, greeted, received, clashing, doors, pass, trust };
}

test('a leecher that stands for election, or votes, reaches nobody’s election', async () => {
  const { service, events, refusals, counts } = await setUp({ l1: 'leecher', w1: 'worker' });
  for (const message of [preVote, vote, fetchLog]) {
    service.handlers.onFrame('l1', encodeMessage(message));
    service.handlers.onFrame('w1', encodeMessage(message));
  }
  const taken = events.map((event) =>
    event.type === 'message' ? `${event.from} ${event.message.type}` : event.type,
  );
  expect(taken).toEqual(['w1 pre-vote', 'w1 vote-reply', 'l1 fetch', 'w1 fetch']);
  expect(refusals).toMatchObject([
    { peer: 'l1', name: 'l1', what: 'pre-vote', code: 'role-not-certified' },
    { peer: 'l1', name: 'l1', what: 'vote-reply', code: 'role-not-certified' },
  ]);
  expect(counts.get('peers_refused')).toBe(2);
});

test('consensus gets the rights of the certificate', async () => {
  const { service, events } = await setUp({ w1: 'witness' });
  service.handlers.onFrame('w1', encodeMessage(vote));
  expect(events).toMatchObject([{ certificate: { role: 'witness', votes: true, leads: false } }]);
});

test('orders come from those that may lead, reports from members, hellos from anybody', async () => {
  const { service, refusals } = await setUp({ l1: 'leecher', x1: 'witness', w1: 'worker' });
  const done = new Uint8Array([1]);
  service.serve('order', 'leads', () => done);
  service.serve('report', 'member', () => done);
  service.serve('hello', 'nothing', () => done);
  const ask = (from: string, name: string) =>
    service.handlers.onRequest(from, name, new Uint8Array(0));
  expect(await ask('w1', 'order')).toEqual(done);
  for (const from of ['l1', 'x1'])
    await expect(ask(from, 'order')).rejects.toMatchObject({ code: 'role-not-certified' });
  expect(await ask('l1', 'report')).toEqual(done);
  await expect(ask('stranger', 'report')).rejects.toMatchObject({ code: 'certificate-missing' });
  expect(await ask('stranger', 'hello')).toEqual(done);
  expect(refusals.map(({ peer, what }) => `${peer} ${what}`)).toEqual(['l1 order', 'x1 order']);
});

test('a frame before the hello is no offence, one that goes on without is', async () => {
  const { service, events, refusals, greeted, counts, pass, trust } = await setUp({});
  const say = (): void => service.handlers.onFrame('new', encodeMessage(fetchLog));
  say();
  expect([events, refusals, greeted]).toEqual([[], [], ['new']]);
  expect(counts.get('frames_unjudged')).toBe(1);
  pass(6000);
  say();
  expect(refusals).toMatchObject([{ peer: 'new', code: 'certificate-missing' }]);
  await trust.learn('new', await certify('new'));
  say();
  expect(events).toHaveLength(1);
});

test('a revoked peer is refused from the next frame on', async () => {
  const { service, events, refusals, trust } = await setUp({ w1: 'worker' });
  service.handlers.onFrame('w1', encodeMessage(fetchLog));
  const row = { peer: 'w1', name: 'w1', floor: 2 ** 31, reason: '', atMs: 0, atIndex: 5 };
  await trust.follow([], [row]);
  service.handlers.onFrame('w1', encodeMessage(fetchLog));
  expect(events).toHaveLength(1);
  expect(refusals).toMatchObject([{ peer: 'w1', name: 'w1', code: 'certificate-revoked' }]);
});

test('a snapshot comes from a voter', async () => {
  const { service, received } = await setUp({ l1: 'leecher', w1: 'worker' });
  const nothing = new Uint8Array(0);
  async function* source() {
    yield nothing;
  }
  const send = (from: string, name = snapshotStream) =>
    service.handlers.onStream(from, name, nothing, source());
  await expect(send('l1')).rejects.toMatchObject({ code: 'role-not-certified' });
  await expect(send('x1')).rejects.toMatchObject({ code: 'certificate-missing' });
  await expect(send('w1', 'anything')).rejects.toMatchObject({ code: 'not-built' });
  await send('w1');
  expect(received).toEqual(['w1']);
});

test.each<[string, Wanted, string, boolean]>([
  ['as it is certified', { role: 'leecher' }, 'leecher', true],
  ['as a master, being a leecher', { role: 'leecher' }, 'master', false],
])('a node gossips of itself %s', async (_, wanted, role, counts) => {
  const { service, refusals } = await setUp({});
  const record = (certificate?: string) =>
    encodeGossip('members', {
      ...{ type: 'member', name: 'n1', role: role as Role, addresses: [], statusUrl: null },
      ...{ content: null, ...(certificate === undefined ? {} : { certificate }) },
    });
  // Without a certificate nobody knows whose word it is.
  expect(await service.handlers.mayGossip('p', 'members', record())).toBe(false);
  expect(refusals).toEqual([]);
  const shown = record(await certify('p', { name: 'n1', ...wanted }));
  expect(await service.handlers.mayGossip('p', 'members', shown)).toBe(counts);
  expect(refusals).toHaveLength(counts ? 0 : 1);
  const health = encodeGossip('health', { type: 'health', score: 1, reasons: [] });
  expect(await service.handlers.mayGossip('q', 'health', health)).toBe(false);
});

test('what a voter says whose key runs on two machines reaches no election', async () => {
  const { service, events, clashing } = await setUp({ l1: 'leecher', w1: 'worker' });
  clashing.add('w1');
  clashing.add('l1');
  for (const from of ['w1', 'l1']) service.handlers.onFrame(from, encodeMessage(fetchLog));
  expect(events.map((event) => event.type === 'message' && event.from)).toEqual(['l1']);
  clashing.clear();
  service.handlers.onFrame('w1', encodeMessage(vote));
  expect(events).toHaveLength(2);
});
