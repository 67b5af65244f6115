/**
 * Somebody else's cluster that a node follows: its name, where its configuration comes from, and
 * peers to start from. A peer is a multiaddr or `host:port`; ipfs-cluster dials peers by their id,
 * so one that is given without `/p2p/PEERID` is asked for it when the follower starts.
 */
import { z } from 'zod';

const hostPort = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/;
const addressOf = /^\/(ip4|ip6|dns|dns4|dns6|dnsaddr)\/[^/]+(\/(tcp|udp)\/\d{1,5}[^\s,]*)?$/;
const peerId = /\/p2p\/([1-9A-HJ-NP-Za-km-z]{40,128})$/;

export const peerIdOf = (address: string): string | null => peerId.exec(address)?.[1] ?? null;

const udp = /^\/[a-z0-9]+\/[^/]+\/udp\//;

/** `host:port` as a multiaddr, with the peer id where one is given; throws with what it takes. */
export function bootstrapAddress(text: string): string {
  const id = peerIdOf(text);
  const where = id === null ? text : text.slice(0, text.length - `/p2p/${id}`.length);
  const end = id === null ? '' : `/p2p/${id}`;
  if (addressOf.test(where)) {
    if (id !== null || /^\/[a-z0-9]+\/[^/]+\/tcp\/\d{1,5}$/.test(where)) return text;
    const why = udp.test(where) ? 'UDP' : 'this address';
    throw new Error(
      `${text} has no peer id, and only a plain TCP address can be asked for it, not ${why}: ` +
        'end it with /p2p/PEERID',
    );
  }
  const parts = hostPort.exec(where);
  if (parts === null || Number(parts[2]) < 1 || Number(parts[2]) > 65_535)
    throw new Error(
      `${text} is neither a multiaddr nor host:port; /p2p/PEERID may follow either of them`,
    );
  const host = (parts[1] ?? '').replace(/^\[|\]$/g, '');
  const kind = host.includes(':') ? 'ip6' : /^[\d.]+$/.test(host) ? 'ip4' : 'dns';
  return `/${kind}/${host}/tcp/${parts[2]}${end}`;
}

const bootstrapPeer = z
  .string()
  .max(512)
  .transform((text, context) => {
    try {
      return bootstrapAddress(text);
    } catch (thrown) {
      context.addIssue({ code: 'custom', message: (thrown as Error).message });
      return z.NEVER;
    }
  });

export const followSchema = z.strictObject({
  clusterName: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  /** Where its followers get their `service.json` from. @default made from the bootstrapPeers */
  initUrl: z.url({ protocol: /^https?$/ }).optional(),
  /** Peers to start from: multiaddrs or host:port; who has no /p2p/PEERID is asked for it. */
  bootstrapPeers: z.array(bootstrapPeer).max(64).default([]),
  /** Holds its secret, 64 hex digits; only without initUrl. @default a cluster without a secret */
  secretFile: z.string().min(1).optional(),
});
export type Foreign = z.infer<typeof followSchema>;

/** What contradicts itself in `follow`, one sentence each. */
export function followMistakes(at: string, follow: Foreign): string[] {
  const { initUrl, bootstrapPeers, secretFile } = follow;
  if (initUrl === undefined && bootstrapPeers.length === 0)
    return [`${at}: give initUrl, or bootstrapPeers to start from and to trust`];
  if (initUrl !== undefined && secretFile !== undefined)
    return [`${at}.secretFile: the configuration at initUrl has the secret`];
  return [];
}

export const foreignCluster = (options: { readonly follow?: Foreign }): Foreign | null =>
  options.follow ?? null;
