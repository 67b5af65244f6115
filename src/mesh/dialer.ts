/**
 * Dials peers by their known addresses, and bare addresses to learn who is there. Success is a
 * connection, whatever error a failed attempt surfaced as: a refused redial comes under several
 * names.
 */
import { connect } from 'node:net';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { Ms, PeerId } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { Host } from './host.ts';

/** Connects to `peer`; a list without usable addresses falls back to what identify told. */
export async function dialPeer(
  host: Host,
  peer: PeerId,
  addresses: readonly string[],
): Promise<void> {
  const targets = addresses.flatMap((address) => toDial(address, peer));
  await host.dial(targets.length > 0 ? targets : peerIdFromString(peer));
}

/** Whether a connection of its own comes about; it is closed again. */
export async function reachesPeer(
  host: Host,
  peer: PeerId,
  how: { readonly addresses: readonly string[]; readonly timeoutMs: Ms },
): Promise<boolean> {
  const targets = how.addresses.flatMap((address) => toDial(address, peer));
  if (targets.length === 0) return false;
  try {
    const signal = AbortSignal.timeout(how.timeoutMs);
    const connection = await host.dial(targets, { force: true, signal });
    await connection.close();
    return true;
  } catch {
    // Whatever stood in the way: it can't be dialled from here.
    return false;
  }
}

function toDial(address: string, peer: PeerId): Multiaddr[] {
  try {
    const parsed = multiaddr(address);
    const named = parsed.getComponents().findLast((part) => part.name === 'p2p')?.value;
    if (named === undefined) return [parsed.encapsulate(`/p2p/${peer}`)];
    return named === peer ? [parsed] : [];
  } catch {
    // An address that doesn't parse came from gossip or config; the others are tried.
    return [];
  }
}

/** Dials an address without knowing who is there, and answers who is. */
export async function dialAddress(host: Host, address: string, timeoutMs: Ms): Promise<PeerId> {
  let target: Multiaddr;
  try {
    target = multiaddr(address);
  } catch (cause) {
    throw new AgentError('bad-request', `not a multiaddr: ${address}`, { cause });
  }
  const patience = AbortSignal.timeout(timeoutMs);
  try {
    const connection = await host.dial(target, { signal: patience });
    return connection.remotePeer.toString();
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'InvalidPeerIdError')
      throw new AgentError('conflict', `${address} is this node itself`, { cause });
    // Another key is refused by the other side. A handshake that ran out of time was not refused
    // but slow, as on a machine that starts ten agents.
    const refused = !patience.aborted && !(cause instanceof Error && isTimeout(cause));
    if (refused && (await knock(target, Math.min(timeoutMs, 1000), 'data')) === 'taken')
      throw new AgentError(
        'network-key-mismatch',
        `${address} answers but refuses the handshake: is its network key the same?`,
        { cause },
      );
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AgentError('unavailable', `nobody answers at ${address}: ${reason}`, { cause });
  }
}

const isTimeout = (cause: Error): boolean => /^(Abort|Timeout)Error$/.test(cause.name);

/**
 * Whether every one of these addresses refuses TCP connections: a process that is gone has no
 * listening socket. It tells so in a millisecond, where dialling takes several for each attempt.
 */
export async function allRefuse(addresses: readonly string[], timeoutMs: Ms): Promise<boolean> {
  const targets = addresses.flatMap((address) => {
    try {
      return [multiaddr(address)];
    } catch {
      // It came from gossip or config; what doesn't parse can't be dialled either.
      return [];
    }
  });
  const answers = await Promise.all(targets.map((target) => knock(target, timeoutMs, 'connect')));
  return answers.length > 0 && answers.every((answer) => answer === 'refused');
}

/**
 * What a TCP connection to `target` comes to; closed at once. Taken is one that says `sign`: both
 * sides of a private network begin by sending a nonce, while a port forwarder before an agent that
 * is not up yet takes the connection and says nothing.
 */
function knock(
  target: Multiaddr,
  timeoutMs: Ms,
  sign: 'connect' | 'data',
): Promise<'taken' | 'refused' | 'silent'> {
  const parts = target.getComponents();
  const host = parts.find((part) => /^(ip4|ip6|dns|dns4|dns6)$/.test(part.name))?.value;
  const port = Number(parts.find((part) => part.name === 'tcp')?.value);
  if (host === undefined || !Number.isInteger(port)) return Promise.resolve('silent');
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const done = (answer: 'taken' | 'refused' | 'silent'): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once(sign, () => done('taken'));
    socket.once('timeout', () => done('silent'));
    socket.once('close', () => done('silent'));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      done(error.code === 'ECONNREFUSED' ? 'refused' : 'silent'),
    );
  });
}
