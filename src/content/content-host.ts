/**
 * The libp2p host of the content thread, with a key and connections of its own, and bitswap on it.
 * The private network key guards it as it guards the mesh, and only content hosts of certified
 * members are let in (admission.ts). Bitswap's server side is used whole; of
 * its client side only the sending of wants and the verified arrival of blocks (`network` and
 * `wantList`, public on the class of 3.2.3 but not in its interface), because its own want list
 * broadcasts to every peer and never sends a cancel: each block would come from everybody.
 */
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { type BitswapComponents, createBitswap } from '@helia/bitswap';
import { identify } from '@libp2p/identify';
import type { Libp2p, PeerId, PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import type { CID } from 'multiformats/cid';
import { assert } from '../base/assert.ts';
import { AgentError } from '../base/error.ts';
import { createNetworkGuard } from '../pnet/network-guard.ts';
import { createHandshakeWatch } from '../wire/handshake-watch.ts';
import type { NetworkKeys } from '../wire/network-key.ts';
import { type Admission, createAdmission } from './admission.ts';
import { sendBlocks, type WireBlock } from './block-sender.ts';
import type { BlockStore } from './block-store.ts';
import { blockKey, hasherOf } from './cid-text.ts';

const connectionsMax = 500;
const inboundPerSecondMax = 1000; // agents behind one address are not an attack
const inboundPendingMax = 200;
const messageTimeoutMs = 60_000;

export type WantKind = 'have' | 'block' | 'cancel';

export interface Want {
  readonly cid: CID;
  readonly kind: WantKind;
}

export interface HostHandlers {
  /** `cid` was computed from the bytes: they are verified. */
  onBlock(from: string, cid: CID, bytes: Uint8Array): void;
  onPresence(from: string, cid: CID, has: boolean): void;
  onLink(peer: string, connected: boolean): void;
}

/** Somebody who was not let in. */
export interface RefusedPeer {
  readonly code: 'handshake-failed' | 'not-a-member';
  readonly address: string;
  readonly peer: string | null;
}

export interface ContentHost {
  readonly peerId: string;
  start(handlers: HostHandlers): Promise<void>;
  stop(): Promise<void>;
  addresses(): string[];
  dial(peerId: string, addresses: readonly string[], timeoutMs: number): Promise<void>;
  connected(peerId: string): boolean;
  /** Who may be connected: the content hosts of certified members; others are cut off. */
  setMembers(peers: readonly string[]): void;
  /** One message; rejects when it could not be sent. */
  send(peerId: string, wants: readonly Want[]): Promise<void>;
}

interface WantEntry {
  readonly cid: Uint8Array;
  readonly priority: number;
  readonly cancel: boolean;
  readonly wantType: 'WantBlock' | 'WantHave';
  readonly sendDontHave: boolean;
}

interface Message {
  full: boolean;
  pendingBytes: number;
  wantlist: Map<string, WantEntry>;
  blocks: Map<string, WireBlock>;
  blockPresences: Map<string, unknown>;
}

/** What we use of the class behind createBitswap. */
interface BitswapInside {
  readonly network: {
    sendMessage(peer: PeerId, message: Message, options?: unknown): Promise<void>;
  };
  readonly wantList: EventTarget;
  start(): Promise<void>;
  stop(): Promise<void>;
}

type BlockEvent = CustomEvent<{ sender: { toString(): string }; cid: CID; block: Uint8Array }>;
type PresenceEvent = CustomEvent<{ sender: { toString(): string }; cid: CID; has: boolean }>;

/** The store as bitswap's server sees it: what can't be read is not there. */
function servingStore(store: BlockStore): BitswapComponents['blockstore'] {
  const served = {
    has: (cid: CID) => store.has(blockKey(cid)),
    async *get(cid: CID): AsyncGenerator<Uint8Array> {
      try {
        yield await store.get(blockKey(cid));
      } catch (thrown) {
        const error = new Error(`block ${cid} can't be served`, { cause: thrown });
        throw Object.assign(error, { name: 'NotFoundError' });
      }
    },
  };
  return served as unknown as BitswapComponents['blockstore'];
}

interface Door {
  readonly admission: Admission;
  readonly onRefused: (refused: RefusedPeer) => void;
}

async function createHost(options: HostOptions, { admission, onRefused }: Door): Promise<Libp2p> {
  const watch = createHandshakeWatch((address) =>
    onRefused({ code: 'handshake-failed', address, peer: null }),
  );
  return createLibp2p({
    start: false,
    privateKey: options.privateKey,
    addresses: { listen: [...options.listen], announce: [...options.announce] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionProtector: createNetworkGuard(options.networkKeys, { watch }),
    connectionManager: {
      maxConnections: connectionsMax,
      inboundConnectionThreshold: inboundPerSecondMax,
      maxIncomingPendingConnections: inboundPendingMax,
    },
    connectionMonitor: { enabled: false },
    services: { identify: identify() },
    // Inside a private network every address is one that we were told to use.
    connectionGater: {
      denyDialMultiaddr: () => false,
      denyDialPeer: (peer) => !admission.has(peer.toString()),
      denyInboundEncryptedConnection: async (peer, connection) => {
        watch.passed(connection);
        if (await admission.admits(peer.toString())) return false;
        const address = connection.remoteAddr.toString();
        onRefused({ code: 'not-a-member', address, peer: peer.toString() });
        return true;
      },
    },
  });
}

function startBitswap(libp2p: Libp2p, store: BlockStore): BitswapInside {
  const components = {
    libp2p,
    logger: (libp2p as unknown as { logger: BitswapComponents['logger'] }).logger,
    blockstore: servingStore(store),
    // Providers are exactly those that we are told; nothing is looked up.
    routing: { findProviders: async function* () {} },
    getHasher: (code: number) => {
      const hasher = hasherOf(code);
      if (hasher === null) throw new AgentError('bad-request', `hash 0x${code.toString(16)}`);
      return hasher;
    },
  };
  const made = createBitswap(components as unknown as BitswapComponents, {
    messageSendTimeout: messageTimeoutMs,
    messageReceiveTimeout: messageTimeoutMs,
  }) as unknown as BitswapInside;
  assert(typeof made.network?.sendMessage === 'function', 'bitswap has a network');
  assert(made.wantList instanceof EventTarget, 'bitswap has a want list');
  sendBlocksUncopied(libp2p, made);
  return made;
}

/** Takes the blocks out of outgoing messages and sends them our way (see block-sender.ts). */
function sendBlocksUncopied(libp2p: Libp2p, { network }: BitswapInside): void {
  const sendPlain = network.sendMessage.bind(network);
  network.sendMessage = async (peer, message, options) => {
    const blocks = [...message.blocks.values()];
    message.blocks.clear();
    const rest = message.blockPresences.size + message.wantlist.size;
    if (rest > 0 || message.full) await sendPlain(peer, message, options);
    if (blocks.length > 0) await sendBlocks(libp2p, peer, blocks);
  };
}

export interface HostOptions {
  readonly privateKey: PrivateKey;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  /** Asked for at every connection: they may change while the host runs. */
  readonly networkKeys: () => NetworkKeys;
}

function messageOf(wants: readonly Want[]): Message {
  const wantlist = new Map<string, WantEntry>();
  for (const { cid, kind } of wants) {
    wantlist.set(blockKey(cid), {
      cid: cid.bytes,
      priority: 1,
      cancel: kind === 'cancel',
      wantType: kind === 'have' ? 'WantHave' : 'WantBlock',
      sendDontHave: kind !== 'cancel',
    });
  }
  return { full: false, pendingBytes: 0, wantlist, blocks: new Map(), blockPresences: new Map() };
}

export async function createContentHost(
  deps: { store: BlockStore; onRefused: (refused: RefusedPeer) => void },
  options: HostOptions,
): Promise<ContentHost> {
  const admission = createAdmission();
  const libp2p = await createHost(options, { admission, onRefused: deps.onRefused });
  const bitswap = startBitswap(libp2p, deps.store);

  function listenTo(handlers: HostHandlers): void {
    bitswap.wantList.addEventListener('block', (event) => {
      const { sender, cid, block } = (event as BlockEvent).detail;
      handlers.onBlock(sender.toString(), cid, block);
    });
    bitswap.wantList.addEventListener('presence', (event) => {
      const { sender, cid, has } = (event as PresenceEvent).detail;
      handlers.onPresence(sender.toString(), cid, has);
    });
    libp2p.addEventListener('peer:connect', (event) => {
      handlers.onLink(event.detail.toString(), true);
    });
    libp2p.addEventListener('peer:disconnect', (event) => {
      handlers.onLink(event.detail.toString(), false);
    });
  }

  return {
    peerId: peerIdFromPrivateKey(options.privateKey).toString(),
    start: async (handlers) => {
      listenTo(handlers);
      await libp2p.start();
      await bitswap.start();
    },
    setMembers: (peers) => {
      admission.set(peers);
      for (const connection of libp2p.getConnections())
        if (!admission.has(connection.remotePeer.toString()))
          connection.abort(new Error('no certified member has this content host any more'));
    },
    stop: async () => {
      admission.stop();
      await bitswap.stop();
      await libp2p.stop();
    },
    addresses: () => libp2p.getMultiaddrs().map((address) => address.toString()),
    dial: async (peerId, addresses, timeoutMs) => {
      const end = `/p2p/${peerId}`;
      const full = addresses.map((text) => multiaddr(text.endsWith(end) ? text : text + end));
      await libp2p.dial(full, { signal: AbortSignal.timeout(timeoutMs) });
    },
    connected: (peerId) => libp2p.getConnections(peerIdFromString(peerId)).length > 0,
    send: (peerId, wants) =>
      bitswap.network.sendMessage(peerIdFromString(peerId), messageOf(wants)),
  };
}
