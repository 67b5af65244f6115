import { Counter } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { createMetrics } from '../../../src/agent/metrics.ts';
import { createProposer } from '../../../src/agent/proposer.ts';
import type { Clock } from '../../../src/base/clock.ts';
import { AgentError } from '../../../src/base/error.ts';
import type { Event } from '../../../src/consensus/api.ts';
import {
  type Command,
  type CommandResult,
  decodeEnvelope,
  type Envelope,
  encodeResult,
} from '../../../src/wire/command.ts';

const clock: Clock = { now: () => ({ monoMs: performance.now(), skippedMs: 0 }), wallMs: () => 1 };
const command: Command = {
  type: 'index.put',
  index: 'knowledge_graph',
  key: 'k',
  value: {},
  expectedVersion: null,
};
const applied = (index: number): CommandResult => ({
  ok: true,
  index,
  version: index,
  value: null,
});

/** A proposer over a queue that the test answers by hand. */
function setUp(windowMax = 4) {
  const sent: { ref: number; envelope: Envelope }[] = [];
  const metrics = createMetrics();
  const proposer = createProposer({
    self: 'peer',
    firstSession: 'a'.repeat(32),
    windowMax,
    clock,
    metrics,
    post: (event: Event) => {
      if (event.type === 'propose')
        sent.push({ ref: event.ref, envelope: decodeEnvelope(event.data) });
    },
  });
  const answer = (at: number, result: CommandResult): void => {
    const { ref } = sent[at] ?? { ref: 0 };
    proposer.outcome(ref, { type: 'applied', index: 1, term: 1, result: encodeResult(result) });
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const propose = (timeoutMs = 5000) =>
    proposer.propose(command, { idempotency: null, timeoutMs }).catch((error: AgentError) => error);
  return { proposer, sent, answer, turn, propose, metrics };
}

describe('proposer', () => {
  test('opens one session for many commands and numbers them from 1', async () => {
    const { sent, answer, turn, propose } = setUp();
    const both = [propose(), propose()];
    await turn();
    expect(sent.map(({ envelope }) => envelope.command.type)).toEqual(['session.open']);
    answer(0, applied(1));
    await turn();
    expect(sent.slice(1).map(({ envelope }) => envelope.seq)).toEqual([1, 2]);
    expect(new Set(sent.map(({ envelope }) => envelope.session)).size).toBe(1);
    answer(1, applied(2));
    answer(2, applied(3));
    expect(await Promise.all(both)).toEqual([applied(2), applied(3)]);
  });

  test('never has a number further from the oldest unfinished than the window', async () => {
    const { sent, answer, turn, propose } = setUp(4);
    const all = Array.from({ length: 6 }, () => propose());
    await turn();
    answer(0, applied(1));
    await turn();
    expect(sent).toHaveLength(5);
    // The second to fourth are done, but the first is not: 5 would push it out of the window.
    for (const at of [2, 3, 4]) answer(at, applied(at));
    await turn();
    expect(sent).toHaveLength(5);
    answer(1, applied(1));
    await turn();
    expect(sent.slice(5).map(({ envelope }) => envelope.seq)).toEqual([5, 6]);
    answer(5, applied(5));
    answer(6, applied(6));
    await Promise.all(all);
  });

  test('an expired session fails its command and serves no later one', async () => {
    const { sent, answer, turn, propose } = setUp();
    const first = propose();
    await turn();
    answer(0, applied(1));
    await turn();
    answer(1, { ok: false, index: 2, code: 'session-expired', detail: 'evicted' });
    expect(await first).toMatchObject({ code: 'session-expired' });
    const second = propose();
    await turn();
    expect(sent[2]?.envelope.command.type).toBe('session.open');
    expect(sent[2]?.envelope.session).not.toBe(sent[0]?.envelope.session);
    answer(2, applied(3));
    await turn();
    answer(3, applied(4));
    expect(await second).toEqual(applied(4));
  });

  test('refusals and unknown ends are told as what they are', async () => {
    const { proposer, sent, answer, turn, propose } = setUp();
    const first = propose();
    await turn();
    answer(0, applied(1));
    await turn();
    const ref = sent[1]?.ref ?? 0;
    proposer.outcome(ref, { type: 'refused', code: 'no-quorum', detail: 'alone' });
    expect(await first).toMatchObject({ code: 'no-quorum' });
    const second = propose();
    await turn();
    proposer.outcome(sent[2]?.ref ?? 0, { type: 'unknown' });
    expect(await second).toMatchObject({ code: 'outcome-unknown' });
  });

  test('without anybody to open a session, the deadline ends the wait and nothing was sent', async () => {
    const { sent, propose } = setUp();
    expect(await propose(20)).toMatchObject({ code: 'no-quorum' });
    expect(sent.map(({ envelope }) => envelope.command.type)).toEqual(['session.open']);
  });

  test('stopping leaves nobody waiting', async () => {
    const { proposer, answer, turn, propose, metrics } = setUp(4);
    const opening = propose();
    await turn();
    answer(0, applied(1));
    await turn();
    const more = Array.from({ length: 6 }, () => propose());
    await turn();
    proposer.stop(new AgentError('stopped', 'stopping'));
    for (const end of await Promise.all([opening, ...more, propose()]))
      expect(end).toMatchObject({ code: 'stopped' });
    const failed = metrics.registry.getSingleMetric('bellwether_proposals_failed_total');
    expect(failed).toBeInstanceOf(Counter);
    metrics.stop();
  });
});
