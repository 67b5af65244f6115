/**
 * A mesh node as a process of its own, for tests that kill it: prints its address, echoes requests
 * and frames, floods whoever asks, and ends with its standard input, so that it never outlives the
 * test.
 */
import { createPrng } from '../../../src/base/prng.ts';
import { createMesh } from '../../../src/mesh/mesh.ts';
import { encodeGossip } from '../../../src/wire/gossip.ts';
import { clock, testKey } from './flock.ts';

const [dir = '', port = '0', seed = '1'] = process.argv.slice(2);

const mesh = await createMesh(
  {
    clock,
    prng: createPrng(Number(seed)),
    handlers: {
      onFrame: (from, frame) => mesh.send(from, frame),
      onLink: () => undefined,
      onRequest: async (_from, _name, body) => body,
      onStream: async (_from, _name, _header, source) => {
        for await (const chunk of source) if (chunk.length === 0) break;
      },
      mayGossip: async () => true,
      onClash: () => undefined,
      onHandshakeFailed: () => undefined,
      onGossip: (from) => process.stdout.write(`${JSON.stringify({ gossipFrom: from })}\n`),
    },
  },
  { dir, listen: [`/ip4/127.0.0.1/tcp/${port}`], networkKey: testKey },
);
await mesh.start();
await mesh.publish('health', encodeGossip('health', { type: 'health', score: 1, reasons: [] }));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
process.stdout.write(`${JSON.stringify({ peerId: mesh.peerId, addresses: mesh.addresses() })}\n`);
