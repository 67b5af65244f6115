/** A peer is asked for its id by its address alone: by the right secret, and by no other. */
import { generateKeyPair } from '@libp2p/crypto/keys';
import { expect, test } from 'vitest';
import { askPeerId } from '../../../src/mesh/ask-peer-id.ts';
import { createHost } from '../../../src/mesh/host.ts';
import { onlyNetworkKey } from '../../../src/wire/network-key.ts';

const secret = 'ab'.repeat(32);

test('the id comes from the handshake; a wrong secret and a closed port say what failed', async () => {
  const host = await createHost({
    privateKey: await generateKeyPair('Ed25519'),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    announce: [],
    networkKeys: () => onlyNetworkKey(secret),
  });
  await host.start();
  const [address = ''] = host.getMultiaddrs().map((each) => each.toString().split('/p2p/')[0]);
  const signal = AbortSignal.timeout(60_000);
  try {
    expect(await askPeerId(address, secret, signal)).toBe(host.peerId.toString());
    await expect(askPeerId(address, 'cd'.repeat(32), signal)).rejects.toThrow(
      `no libp2p peer with this secret answers at ${address}`,
    );
    await expect(askPeerId(address, null, signal)).rejects.toThrow('without a secret');
  } finally {
    await host.stop();
  }
  await expect(askPeerId(address, secret, signal)).rejects.toThrow('no libp2p peer');
});
