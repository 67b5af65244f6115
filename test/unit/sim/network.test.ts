/** Connections and paths between simulated machines. */
import { describe, expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { createEventQueue } from '../../../src/sim/event-queue.ts';
import { createNetwork } from '../../../src/sim/network.ts';

function makeNetwork(nodes = 2) {
  const queue = createEventQueue();
  const heard: string[] = [];
  const states: ('running' | 'stopped' | 'absent')[] = new Array(nodes).fill('running');
  const network = createNetwork<string>({
    ...{ queue, prng: createPrng(1), nodes, keepAlive: true },
    ends: {
      process: (node) => states[node] ?? 'absent',
      onPacket: (to, from, packet) => heard.push(`${from}>${to} ${packet}`),
      onLink: (at, peer, change) => heard.push(`${at} link ${peer} ${change}`),
    },
  });
  for (let node = 0; node < nodes; node++) network.started(node);
  queue.runUntil(100);
  return { queue, heard, states, network };
}

const times = (heard: readonly string[], what: string): number =>
  heard.filter((line) => line === what).length;

describe('network', () => {
  test('opens one connection per pair and delivers in order', () => {
    const { queue, heard, network } = makeNetwork();
    expect(network.connected(0, 1) && network.connected(1, 0)).toBe(true);
    for (let i = 0; i < 50; i++) network.send(0, 1, `m${i}`);
    queue.runUntil(200);
    const got = heard.filter((line) => line.startsWith('0>1'));
    expect(got).toEqual(Array.from({ length: 50 }, (_, i) => `0>1 m${i}`));
  });

  test('a killed process closes its connections at once and refuses redials', () => {
    const { queue, heard, states, network } = makeNetwork();
    states[1] = 'absent';
    network.ended(1, true);
    queue.runUntil(130);
    expect(times(heard, '0 link 1 closed')).toBe(1);
    expect(times(heard, '0 link 1 redial-failed')).toBeGreaterThanOrEqual(2);
    states[1] = 'running';
    network.started(1);
    queue.runUntil(1000);
    expect(network.connected(0, 1) && network.connected(1, 0)).toBe(true);
  });

  test('a cut says nothing, drops one direction only, and is given up by keep-alive', () => {
    const { queue, heard, network } = makeNetwork();
    network.setCut(0, 1, true);
    network.send(0, 1, 'lost');
    network.send(1, 0, 'through');
    queue.runUntil(500);
    expect(heard).toContain('1>0 through');
    expect(heard).not.toContain('0>1 lost');
    expect(times(heard, '0 link 1 closed')).toBe(0);
    queue.runUntil(20_000);
    expect(times(heard, '0 link 1 closed')).toBe(1);
    network.healAll();
    queue.runUntil(30_000);
    expect(network.connected(0, 1)).toBe(true);
  });

  test('a loss of power is noticed when the machine is back: the old connection is reset', () => {
    const { queue, heard, states, network } = makeNetwork();
    states[1] = 'absent';
    network.ended(1, false);
    queue.runUntil(300);
    expect(times(heard, '0 link 1 closed')).toBe(0);
    network.send(0, 1, 'to nobody');
    queue.runUntil(400);
    expect(times(heard, '0 link 1 closed')).toBe(1);
    expect(heard).not.toContain('0>1 to nobody');
  });

  test('a reset of a healthy connection is redialled within milliseconds', () => {
    const { queue, heard, network } = makeNetwork();
    network.reset(0, 1);
    queue.runUntil(150);
    expect(times(heard, '0 link 1 closed')).toBe(1);
    expect(network.connected(0, 1) && network.connected(1, 0)).toBe(true);
  });

  test('loss, doubles and overtaking are there when asked for', () => {
    const { queue, heard, network } = makeNetwork();
    network.setWeather({
      ...{ delayMsMin: 1, delayMsMax: 30 },
      ...{ loss: 0.2, duplication: 0.2, reordering: 0.3 },
    });
    for (let i = 0; i < 300; i++) network.send(0, 1, `${i}`);
    queue.runUntil(2000);
    const got = heard.filter((line) => line.startsWith('0>1')).map((line) => Number(line.slice(4)));
    expect(new Set(got).size).toBeLessThan(290);
    expect(got.length).toBeGreaterThan(new Set(got).size);
    expect(got).not.toEqual([...got].sort((a, b) => a - b));
  });

  test('a transfer arrives whole or not at all', () => {
    const { queue, network } = makeNetwork();
    const ends: boolean[] = [];
    network.stream(0, 1, 100_000, (ok) => ends.push(ok));
    queue.runUntil(200);
    network.stream(0, 1, 10_000_000, (ok) => ends.push(ok));
    network.reset(0, 1);
    queue.runUntil(2000);
    expect(ends).toEqual([true, false]);
  });
});
