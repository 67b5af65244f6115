/**
 * Who is who, from three sources of different weight: the configuration (authority over name, role
 * and rank), hellos (what a node says of itself over its own connection) and signed gossip
 * (addresses, status page, content host). Only the configuration decides who belongs; the rest are
 * hints, bounded by `strangersMax` for nodes that are no members.
 */
import type { Ms, PeerId } from '../base/brand.ts';
import type { Configuration } from '../consensus/api.ts';
import type { Provider } from '../content/api.ts';
import type { MeshPeer } from '../mesh/api.ts';
import type { MemberGossip } from '../wire/gossip.ts';
import type { Certificate } from '../wire/member.ts';
import type { Hello } from '../wire/node-message.ts';

const strangersMax = 256;

export interface NodeFacts {
  readonly certificate: Certificate | null;
  readonly addresses: readonly string[];
  readonly statusUrl: string | null;
  readonly version: string | null;
  readonly content: Provider | null;
  readonly incarnation: number | null;
  /** Monotonic instant of the last word from it; null: never heard. */
  readonly heardMs: Ms | null;
}

export interface Directory {
  readonly self: PeerId;
  configuration(): Configuration;
  setConfiguration(configuration: Configuration): void;
  hello(peer: PeerId, hello: Hello, certificate: Certificate, nowMs: Ms): void;
  /** Addresses heard of second-hand; they never replace what the node itself said. */
  hint(peer: PeerId, addresses: readonly string[]): void;
  gossip(peer: PeerId, record: MemberGossip, nowMs: Ms): void;
  heard(peer: PeerId, nowMs: Ms): void;
  /** The member record, or what a node that is no member said in its hello. */
  certificateOf(peer: PeerId): Certificate | null;
  factsOf(peer: PeerId): NodeFacts;
  nameOf(peer: PeerId): string;
  byName(name: string): Certificate | null;
  /** Members of the configuration, this node too; before there is one, whoever said hello. */
  meshPeers(): MeshPeer[];
  /** Content hosts of the other members of whom this holds. */
  providers(counts: (peer: PeerId) => boolean): Provider[];
  onChange(listener: () => void): void;
}

interface Mutable {
  hello: Certificate | null;
  addresses: readonly string[];
  statusUrl: string | null;
  version: string | null;
  content: Provider | null;
  incarnation: number | null;
  heardMs: Ms | null;
}

export function createDirectory(self: PeerId, own: () => Certificate): Directory {
  const nodes = new Map<PeerId, Mutable>();
  const listeners: (() => void)[] = [];
  let configuration: Configuration = { members: [], voters: [], outgoing: null };
  let members = new Map<PeerId, Certificate>();

  const changed = (): void => {
    for (const listener of listeners) listener();
  };

  function node(peer: PeerId): Mutable {
    const known = nodes.get(peer);
    if (known !== undefined) return known;
    const fresh: Mutable = {
      hello: null,
      addresses: [],
      statusUrl: null,
      version: null,
      content: null,
      incarnation: null,
      heardMs: null,
    };
    if (!members.has(peer)) dropStrangers();
    nodes.set(peer, fresh);
    return fresh;
  }

  function dropStrangers(): void {
    const strangers = [...nodes.keys()].filter((peer) => !members.has(peer));
    for (const peer of strangers.slice(0, strangers.length - strangersMax + 1)) nodes.delete(peer);
  }

  const certificateOf = (peer: PeerId): Certificate | null =>
    members.get(peer) ?? (peer === self ? own() : (nodes.get(peer)?.hello ?? null));

  return {
    self,
    configuration: () => configuration,
    setConfiguration: (next) => {
      configuration = next;
      members = new Map(next.members.map((member) => [member.peerId, member]));
      changed();
    },
    hello: (peer, hello, certificate, nowMs) => {
      const entry = node(peer);
      entry.hello = certificate;
      if (hello.addresses.length > 0) entry.addresses = hello.addresses;
      entry.statusUrl = hello.statusUrl;
      entry.version = hello.version;
      entry.heardMs = nowMs;
      changed();
    },
    hint: (peer, addresses) => {
      if (peer === self || addresses.length === 0) return;
      const entry = node(peer);
      if (entry.addresses.length > 0) return;
      entry.addresses = addresses;
      changed();
    },
    gossip: (peer, record, nowMs) => {
      const entry = node(peer);
      const { version, incarnation } = record;
      if (record.addresses.length > 0) entry.addresses = record.addresses;
      entry.statusUrl = record.statusUrl;
      entry.content = record.content;
      if (typeof version === 'string') entry.version = version.slice(0, 64);
      if (typeof incarnation === 'number') entry.incarnation = incarnation;
      entry.heardMs = nowMs;
      changed();
    },
    heard: (peer, nowMs) => {
      const entry = nodes.get(peer);
      if (entry !== undefined) entry.heardMs = nowMs;
    },
    certificateOf,
    factsOf: (peer) => {
      const entry = nodes.get(peer);
      return {
        certificate: certificateOf(peer),
        addresses: entry?.addresses ?? [],
        statusUrl: entry?.statusUrl ?? null,
        version: entry?.version ?? null,
        content: entry?.content ?? null,
        incarnation: entry?.incarnation ?? null,
        heardMs: entry?.heardMs ?? null,
      };
    },
    nameOf: (peer) => certificateOf(peer)?.name ?? peer,
    byName: (name) => configuration.members.find((member) => member.name === name) ?? null,
    meshPeers: () => {
      const peers = members.size > 0 ? [...members.keys()] : [self, ...nodes.keys()];
      return peers.map((peer) => ({
        peerId: peer,
        votes: members.has(peer)
          ? configuration.voters.includes(peer)
          : (nodes.get(peer)?.hello?.votes ?? false),
        addresses: nodes.get(peer)?.addresses ?? [],
      }));
    },
    providers: (counts) => {
      const out: Provider[] = [];
      for (const [peer, entry] of nodes)
        if (peer !== self && members.has(peer) && entry.content !== null && counts(peer))
          out.push(entry.content);
      return out;
    },
    onChange: (listener) => {
      listeners.push(listener);
    },
  };
}
