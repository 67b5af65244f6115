/**
 * All tables of one connection with their shared digest and counters. The only place that names
 * every state table; the order of `state` is the order of dumps.
 */
import type { DatabaseSync } from 'node:sqlite';
import { decode as decodeCbor } from '../wire/cbor.ts';
import { type Counters, createCounters } from './counters.ts';
import { createSetDigest, emptyDigest, type SetDigest } from './digest.ts';
import type {
  CertificateRow,
  NetworkKeyRow,
  RevocationRow,
  StatementRow,
  TokenRow,
} from './identity-schema.ts';
import type {
  BallotRow,
  DrainRow,
  FederationPeerRow,
  FederationRow,
  IdempotencyRow,
  IndexRow,
  MemberRow,
  PauseRow,
  PinRow,
  SessionResultRow,
  SessionRow,
  TakeoverRow,
  TombstoneRow,
} from './schema.ts';
import { specs } from './schema.ts';
import { createSearchText, type SearchText } from './search-text.ts';
import { createTable, type Row, type Table } from './table.ts';

export interface Tables {
  readonly members: Table<MemberRow>;
  readonly pins: Table<PinRow>;
  readonly tombstones: Table<TombstoneRow>;
  readonly index: Table<IndexRow>;
  readonly sessions: Table<SessionRow>;
  readonly results: Table<SessionResultRow>;
  readonly idempotency: Table<IdempotencyRow>;
  readonly ballots: Table<BallotRow>;
  readonly takeovers: Table<TakeoverRow>;
  readonly drains: Table<DrainRow>;
  readonly pauses: Table<PauseRow>;
  readonly tokens: Table<TokenRow>;
  readonly revocations: Table<RevocationRow>;
  readonly certificates: Table<CertificateRow>;
  readonly networkKeys: Table<NetworkKeyRow>;
  readonly statements: Table<StatementRow>;
  readonly federation: Table<FederationRow>;
  readonly federationPeers: Table<FederationPeerRow>;
  readonly state: readonly Table<Row>[];
  readonly counters: Counters;
  readonly digest: SetDigest;
  readonly search: SearchText;
  /** Who is to hold what: derived from the pins, for "the pins of this peer". */
  allocate(peer: string, cid: string): void;
  release(peer: string, cid: string): void;
  clear(): void;
  /** Fills the derived tables again from the rows. */
  rebuildDerived(): void;
}

export const peersOf = (row: PinRow): string[] => JSON.parse(row.peers) as string[];

export function createTables(db: DatabaseSync): Tables {
  const digest = createSetDigest();
  const table = <R extends Row>(name: keyof typeof specs): Table<R> =>
    createTable<R>(db, digest, specs[name]);
  const counters = createCounters(db);
  const search = createSearchText(db);
  const insertAllocated = db.prepare(
    'INSERT INTO allocated (peer, cid) VALUES (?, ?) ON CONFLICT DO NOTHING',
  );
  const removeAllocated = db.prepare('DELETE FROM allocated WHERE peer = ? AND cid = ?');
  const pins = table<PinRow>('pins');
  const index = table<IndexRow>('index');
  const metadata = index.select("WHERE type = 'content_metadata' ORDER BY key");
  const allocate = (peer: string, cid: string): void => {
    insertAllocated.run(peer, cid);
  };
  const named = {
    members: table<MemberRow>('members'),
    pins,
    tombstones: table<TombstoneRow>('tombstones'),
    index,
    sessions: table<SessionRow>('sessions'),
    results: table<SessionResultRow>('results'),
    idempotency: table<IdempotencyRow>('idempotency'),
    ballots: table<BallotRow>('ballots'),
    takeovers: table<TakeoverRow>('takeovers'),
    drains: table<DrainRow>('drains'),
    pauses: table<PauseRow>('pauses'),
    tokens: table<TokenRow>('tokens'),
    revocations: table<RevocationRow>('revocations'),
    certificates: table<CertificateRow>('certificates'),
    statements: table<StatementRow>('statements'),
    federation: table<FederationRow>('federation'),
    federationPeers: table<FederationPeerRow>('federationPeers'),
    networkKeys: table<NetworkKeyRow>('networkKeys'),
  };
  const state = Object.values(named) as unknown as Table<Row>[];
  return {
    ...named,
    state,
    counters,
    digest,
    search,
    allocate,
    release: (peer, cid) => {
      removeAllocated.run(peer, cid);
    },
    clear: () => {
      for (const one of state) one.clear();
      db.exec('DELETE FROM allocated; DELETE FROM counters');
      search.clear();
      digest.load(emptyDigest);
    },
    rebuildDerived: () => {
      counters.recount();
      for (const row of pins.rows()) for (const peer of peersOf(row)) allocate(peer, row.cid);
      for (const row of metadata.iterate() as IterableIterator<IndexRow>)
        search.put(row.key, decodeCbor(row.value) as Record<string, unknown>);
    },
  };
}

/** The digest computed anew from every row; equals the incremental one, or a write went past it. */
export function recomputeDigest(tables: Tables): string {
  const digest = createSetDigest();
  for (const table of tables.state)
    for (const row of table.rows()) digest.add(digest.hashOf(table.spec.name, table.valuesOf(row)));
  return digest.text();
}
