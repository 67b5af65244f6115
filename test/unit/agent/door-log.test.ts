import { expect, test } from 'vitest';
import { createDoorLog } from '../../../src/agent/trust/door-log.ts';

test('every refusal counts; an event tells the first of its kind and address', () => {
  const events: Record<string, unknown>[] = [];
  let [monoMs, counted] = [0, 0];
  const doors = createDoorLog({
    clock: { now: () => ({ monoMs, skippedMs: 0 }), wallMs: () => monoMs },
    count: (by) => {
      counted += by;
    },
    event: (type, data) => events.push({ type, ...data }),
  });
  expect(doors.report()).toEqual({ total: 0, last: null });
  const from = (address: string) =>
    ({ host: 'mesh', code: 'handshake-failed', address, peer: null }) as const;
  doors.refused(from('/ip4/192.0.2.1/tcp/5001'));
  doors.refused(from('/ip4/192.0.2.1/tcp/5002'));
  doors.refused(from('/ip4/192.0.2.2/tcp/5001'), 3);
  expect([counted, doors.report().total]).toEqual([5, 5]);
  expect(events.map(({ type, address }) => [type, address])).toEqual([
    ['connection-refused', '/ip4/192.0.2.1/tcp/5001'],
    ['connection-refused', '/ip4/192.0.2.2/tcp/5001'],
  ]);
  const stranger = { host: 'content', code: 'not-a-member', peer: 'p' } as const;
  doors.refused({ ...stranger, address: '/ip4/192.0.2.1/tcp/5003' });
  expect(doors.report().last).toEqual({
    ...{ ...stranger, address: '/ip4/192.0.2.1/tcp/5003', at: '1970-01-01T00:00:00.000Z' },
    detail: 'no certified member says that this content host is its own',
  });
  monoMs = 60_000;
  doors.refused(from('/ip4/192.0.2.1/tcp/5004'));
  expect(events).toHaveLength(4);
});
