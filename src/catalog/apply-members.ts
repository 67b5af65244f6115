/**
 * The members as the committed configuration names them, for queries and for the rule that a
 * leecher holds no copies. The configuration that consensus decides by is its own; this is a copy
 * that travels with the rest of the catalog.
 */
import { decode as decodeCbor, encode as encodeCbor } from '../wire/cbor.ts';
import type { Configuration } from '../wire/configuration.ts';
import type { Certificate } from '../wire/member.ts';
import { stopScope } from './apply-operations.ts';
import type { MemberRow } from './schema.ts';
import type { Tables } from './tables.ts';

/** The certificate as it was stored; rows were checked when they were applied. */
export function decodeMember(row: MemberRow | null): Certificate | null {
  return row === null ? null : (decodeCbor(row.certificate) as Certificate);
}

export function applyConfiguration(tables: Tables, configuration: Configuration): void {
  const wanted = new Map<string, MemberRow>();
  for (const certificate of configuration.members) {
    wanted.set(certificate.peerId, {
      peer: certificate.peerId,
      certificate: encodeCbor(certificate),
      voter: configuration.voters.includes(certificate.peerId) ? 1 : 0,
      outgoing: configuration.outgoing?.includes(certificate.peerId) ? 1 : 0,
    });
  }
  const before = [...tables.members.rows()];
  for (const row of before) {
    if (wanted.has(row.peer)) continue;
    tables.members.remove(row);
    const drain = tables.drains.get(row.peer);
    if (drain !== null) tables.drains.remove(drain);
    const turn = tables.pauses.get(stopScope);
    if (turn?.owner === row.peer) tables.pauses.remove(turn);
    const daemon = tables.federationPeers.get(row.peer);
    if (daemon !== null) tables.federationPeers.remove(daemon);
    const certificate = tables.certificates.get(row.peer);
    if (certificate !== null)
      tables.certificates.put({ ...certificate, certificate: '' }, certificate);
  }
  const known = new Map(before.map((row) => [row.peer, row]));
  for (const row of wanted.values()) tables.members.put(row, known.get(row.peer) ?? null);
  tables.counters.add('members', wanted.size - before.length);
}
