import type { Connection } from '@libp2p/interface';
import { expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import type { Asker } from '../../../src/mesh/caller.ts';
import type { Host } from '../../../src/mesh/host.ts';
import type { Links } from '../../../src/mesh/links.ts';
import { createUpkeep } from '../../../src/mesh/upkeep.ts';

interface Setup {
  readonly self?: string;
  readonly connections: { streams: { direction: string; protocol: string }[] }[];
  readonly answers: boolean;
}

const gossiping = { direction: 'outbound', protocol: '/meshsub/1.2.0' };

/** One peer `m` with the given connections, opened long ago. */
function build({ self = 'a', connections, answers }: Setup) {
  const seen = { aborted: 0, closed: [] as number[], identified: 0, rtts: [] as number[] };
  const made = connections.map(({ streams }, i) => ({
    streams,
    status: 'open',
    timeline: { open: 0 },
    abort: () => {
      seen.aborted += 1;
    },
    close: async () => {
      seen.closed.push(i);
    },
  })) as unknown as Connection[];
  const links = {
    peers: () => ['m'],
    state: () => ({ connections: made, rttMs: null, sinceMs: 0 }),
    connection: () => made[0] ?? null,
    setRtt: (_peer: string, rttMs: number) => seen.rtts.push(rttMs),
  } as unknown as Links;
  const identify = {
    identify: async () => {
      seen.identified += 1;
    },
  };
  const asker = {
    ping: async () => {
      if (!answers) throw new AgentError('timeout', 'no answer');
    },
  } as unknown as Asker;
  const host = { services: { identify } } as unknown as Host;
  let nowMs = 0;
  const monoMs = () => ++nowMs;
  return { seen, upkeep: createUpkeep({ host, links, self, asker: () => asker, monoMs }) };
}

test('an answering peer is measured and left alone', async () => {
  const { seen, upkeep } = build({ connections: [{ streams: [gossiping] }], answers: true });
  for (let i = 0; i < 5; i++) await upkeep.round();
  expect(seen).toEqual({ aborted: 0, closed: [], identified: 0, rtts: [1, 1, 1, 1, 1] });
});

test('a peer that answers nothing for two rounds loses all its connections', async () => {
  const connections = [{ streams: [gossiping] }, { streams: [gossiping] }];
  const { seen, upkeep } = build({ connections, answers: false });
  await upkeep.round();
  expect(seen.aborted).toBe(0);
  await upkeep.round();
  expect(seen.aborted).toBe(2);
  expect(upkeep.stats().pings_lost_total).toBe(2);
});

test('a peer without our gossip stream is identified anew, which reopens it', async () => {
  const { seen, upkeep } = build({ connections: [{ streams: [] }], answers: true });
  await upkeep.round();
  expect(seen.identified).toBe(0);
  await upkeep.round();
  expect(seen.identified).toBe(1);
});

test('only the smaller id closes a surplus connection, and only an idle one', async () => {
  const connections = [{ streams: [gossiping] }, { streams: [gossiping] }, { streams: [] }];
  const small = build({ connections, answers: true });
  await small.upkeep.round();
  expect(small.seen.closed).toEqual([2]);
  const large = build({ self: 'z', connections, answers: true });
  await large.upkeep.round();
  expect(large.seen.closed).toEqual([]);
});
