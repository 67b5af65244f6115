import { expect, test } from 'vitest';
import { createPace } from '../../../src/mesh/pace.ts';

/** A line of `bytesPerMs` with `delayMs` one way: sends as allowed, for `chunks` chunks. */
function run(bytesPerMs: number, delayMs: number, chunks: number) {
  const chunkBytes = 32 * 1024;
  const pace = createPace({ chunkBytes, bytesMax: 256 * 1024 });
  const acks: number[] = [];
  let nowMs = 0;
  let lineFreeMs = 0;
  let queuedMsMax = 0;
  for (let sent = 0; sent < chunks; ) {
    if (pace.ready()) {
      pace.sent(chunkBytes, nowMs);
      lineFreeMs = Math.max(lineFreeMs, nowMs) + chunkBytes / bytesPerMs;
      if (sent > chunks / 2) queuedMsMax = Math.max(queuedMsMax, lineFreeMs - nowMs);
      acks.push(lineFreeMs + 2 * delayMs);
      sent += 1;
    } else {
      nowMs = Math.max(nowMs, acks.shift() ?? nowMs);
      pace.acknowledged(nowMs);
    }
  }
  return { queuedMsMax, bytesPerMs: (chunks * chunkBytes) / lineFreeMs, pace };
}

test.each([
  ['loopback', 1_000_000, 0.1],
  ['a gigabit', 125_000, 0.3],
  ['100 Mbit/s', 12_500, 1],
  ['20 Mbit/s', 2_500, 5],
])('on %s at most some 20 ms and a chunk are queued, and the line is used', (_n, rate, delay) => {
  const { queuedMsMax, bytesPerMs } = run(rate, delay, 2000);
  expect(queuedMsMax).toBeLessThan(25 + (2 * 32 * 1024) / rate);
  expect(bytesPerMs).toBeGreaterThan(rate * 0.4);
});

test('one chunk may always go, and the allowance has its bounds', () => {
  const pace = createPace({ chunkBytes: 10, bytesMax: 40 });
  for (let i = 0; i < 100; i++) {
    expect(pace.ready()).toBe(true);
    pace.sent(10, i * 100);
    pace.acknowledged(i * 100 + (i % 2 ? 90 : 1));
    expect(pace.bytesAllowed).toBeGreaterThanOrEqual(10);
    expect(pace.bytesAllowed).toBeLessThanOrEqual(40);
  }
  pace.acknowledged(0);
  expect(pace.bytesInFlight).toBe(0);
});
