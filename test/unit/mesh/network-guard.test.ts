import { afterEach, expect, test } from 'vitest';
import { acquaint, createFlock, until } from './flock.ts';

const flock = createFlock();
afterEach(() => flock.stop());

test('large frames over many connections at once do not wear the cipher out', async () => {
  const nodes = [];
  for (let i = 0; i < 5; i++) nodes.push(await flock.node());
  await acquaint(nodes);
  const [a, ...others] = nodes;
  const big = Buffer.alloc(4 * 1024 * 1024 - 1, 5);
  for (let round = 1; round <= 2; round++) {
    for (const node of others) {
      a?.mesh.send(node.mesh.peerId, big);
      node.mesh.send(a?.mesh.peerId ?? '', big);
    }
    await until(
      () =>
        others.every((node) => node.frames.length === round) &&
        a?.frames.length === others.length * round,
      20_000,
    );
  }
  for (const { frame } of a?.frames ?? []) expect(Buffer.compare(frame, big)).toBe(0);
  // What is counted is what went over the wire: all of it, and little more.
  const bytes = 2 * others.length * big.length;
  for (const counted of Object.values(a?.mesh.traffic() ?? {})) {
    expect(counted).toBeGreaterThan(bytes);
    expect(counted).toBeLessThan(bytes * 1.2);
  }
});
