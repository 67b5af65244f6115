/**
 * Which rows of the `peer_lists` index must change. Only material facts are in a row (who a node
 * is and where it can be reached), so that a healthy, quiet cluster writes nothing: ages, latencies
 * and scores are gossip.
 */
import type { LogIndex, PeerId } from '../base/brand.ts';
import type { SimpleCommand } from '../wire/command.ts';
import type { Role } from '../wire/member.ts';

export interface PeerFacts {
  readonly peer: PeerId;
  readonly name: string;
  readonly role: Role;
  readonly zone: string;
  /** Multiaddrs of the mesh, in any order. */
  readonly addresses: readonly string[];
  readonly contentPeer: string | null;
  readonly contentAddresses: readonly string[];
  readonly statusUrl: string | null;
  readonly version: string;
}

export interface PeerRow {
  readonly key: PeerId;
  readonly value: Readonly<Record<string, unknown>>;
  readonly version: LogIndex;
}

/** Most addresses of one kind that a row keeps. */
const addressesMax = 32;

const tidy = (addresses: readonly string[]): string[] =>
  [...new Set(addresses)].sort().slice(0, addressesMax);

/** The row of a peer, the same for the same facts. */
export function peerValue(facts: PeerFacts): Record<string, unknown> {
  return {
    name: facts.name,
    role: facts.role,
    zone: facts.zone,
    addresses: tidy(facts.addresses),
    contentPeer: facts.contentPeer,
    contentAddresses: tidy(facts.contentAddresses),
    statusUrl: facts.statusUrl,
    version: facts.version,
  };
}

/** Equal as JSON, whatever the order of keys; unknown keys of a stored row count as a change. */
function sameValue(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, at) => sameValue(item, b[at]));
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return a === b;
  const [left, right] = [Object.entries(a).sort(byKey), Object.entries(b).sort(byKey)];
  return (
    left.length === right.length &&
    left.every(([key, value], at) => key === right[at]?.[0] && sameValue(value, right[at]?.[1]))
  );
}

const byKey = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1);

/**
 * Commands that bring the rows to the facts: changed and new peers are put, rows of peers that are
 * no members are removed. A member of which nothing is known now keeps its last row.
 */
export function planPeerLists(input: {
  readonly rows: readonly PeerRow[];
  readonly facts: readonly PeerFacts[];
  readonly members: ReadonlySet<PeerId>;
}): SimpleCommand[] {
  const rows = new Map(input.rows.map((row) => [row.key, row]));
  const commands: SimpleCommand[] = [];
  for (const facts of input.facts) {
    if (!input.members.has(facts.peer)) continue;
    const row = rows.get(facts.peer);
    const value = peerValue(facts);
    if (row !== undefined && sameValue(row.value, value)) continue;
    commands.push({
      type: 'index.put',
      index: 'peer_lists',
      key: facts.peer,
      value,
      expectedVersion: row?.version ?? 0,
    });
  }
  for (const { key, version } of input.rows) {
    if (input.members.has(key)) continue;
    commands.push({ type: 'index.rm', index: 'peer_lists', key, expectedVersion: version });
  }
  return commands;
}
