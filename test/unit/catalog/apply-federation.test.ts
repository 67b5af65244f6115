/** The federation in the catalog: its secret is made once, its peers are members' daemons. */
import { expect, test } from 'vitest';
import type { Command } from '../../../src/wire/command.ts';
import { ask } from './ask.ts';
import { createBench } from './log-writer.ts';

const member = (peerId: string) => ({
  peerId,
  name: peerId,
  role: 'worker' as const,
  rank: 1,
  zone: 'default',
  votes: true,
  leads: true,
});
const secret = 'ab'.repeat(32);
const found: Command = { type: 'federation.found', secret };
const daemon = (node: string, port: number): Command => ({
  type: 'federation-peer.put',
  node,
  kind: 'ipfs_cluster_service',
  peerId: `service-of-${node}`,
  addresses: [`/ip4/127.0.0.1/tcp/${port}`],
});

function benchWith(...peers: string[]) {
  const bench = createBench();
  const configure = (...now: string[]) =>
    bench.catalog.apply([
      bench.log.config({ members: now.map(member), voters: now, outgoing: null }),
    ]);
  configure(...peers);
  return { ...bench, configure };
}

test('the secret is made once; a second one is a conflict and changes nothing', () => {
  const { db, run, catalog } = benchWith('a');
  expect(ask(db, 'federation.get')).toEqual({ secret: null, peers: [] });
  expect(run(found)).toMatchObject({ ok: true });
  expect(run({ ...found, secret: 'cd'.repeat(32) })).toMatchObject({ ok: false, code: 'conflict' });
  expect(ask(db, 'federation.get')).toEqual({ secret, peers: [] });
  expect(catalog.recomputedDigest()).toBe(catalog.digest());
});

test('a member has one daemon; the newest address counts; who is no member has none', () => {
  const { db, run, catalog } = benchWith('a', 'b');
  run(found);
  expect(run(daemon('a', 9096))).toMatchObject({ ok: true });
  expect(run(daemon('a', 9196))).toMatchObject({ ok: true });
  expect(run(daemon('stranger', 9096))).toMatchObject({ ok: false, code: 'not-found' });
  expect(ask(db, 'federation.get')).toMatchObject({
    peers: [{ node: 'a', addresses: ['/ip4/127.0.0.1/tcp/9196'] }],
  });
  expect(catalog.recomputedDigest()).toBe(catalog.digest());
});

test('the daemon of a member that left goes with it', () => {
  const { db, run, catalog, configure } = benchWith('a', 'b');
  run(found);
  run(daemon('a', 9096));
  run(daemon('b', 9097));
  configure('b');
  expect(ask(db, 'federation.get')).toMatchObject({ peers: [{ node: 'b' }] });
  expect(catalog.recomputedDigest()).toBe(catalog.digest());
});
