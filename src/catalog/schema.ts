/**
 * The tables of the catalog. State tables are what every replica must agree on: they are in the
 * digest and in every dump. Derived tables (allocated, counters, full text) follow from them and
 * are rebuilt by a restore. Rows are keyed without rowids, so that nothing depends on the order of
 * insertion.
 */
import type { DatabaseSync } from 'node:sqlite';
import { AgentError } from '../base/error.ts';
import type { SqlValue } from './digest.ts';
import {
  certificateTables,
  identitySpecs,
  identityTables,
  networkKeyTables,
  statementTables,
} from './identity-schema.ts';
import type { TableSpec } from './table.ts';

/** Every change of the tables is a step of its own at the end of `steps`, taken once. */

export type MemberRow = { peer: string; certificate: Uint8Array; voter: number; outgoing: number };

/** A pin with its allocation: one row, so that removing the pin removes both. */
export type PinRow = {
  cid: string;
  name: string;
  bytes: number | null;
  blocks: number | null;
  copies_min: number;
  copies_max: number;
  /** JSON object with sorted keys. */
  labels: string;
  expires_at_ms: number | null;
  /** Index of the entry that last changed the policy. */
  version: number;
  created_index: number;
  created_at_ms: number;
  /** JSON list of peers, sorted. */
  peers: string;
  copies: number;
  /** Index of the entry that last changed the allocation; 0: none yet. */
  allocation_version: number;
  /** JSON list: the verified copies that the last change of the allocation relied on. */
  relies_on: string;
  allocation_term: number;
  allocation_reason: string;
};

export type TombstoneRow = { cid: string; removed_index: number; removed_at_ms: number };

export type IndexRow = {
  type: string;
  key: string;
  version: number;
  at_ms: number;
  /** CBOR of the value. */
  value: Uint8Array;
};

export type SessionRow = {
  id: string;
  node: string;
  opened_index: number;
  last_index: number;
  seq_max: number;
  /** 1: evicted; kept for a while so that a late duplicate of its opening can't revive it. */
  closed: number;
};

export type SessionResultRow = { session: string; slot: number; seq: number; result: Uint8Array };

export type IdempotencyRow = {
  key: string;
  request_hash: string;
  at_index: number;
  result: Uint8Array;
};

export type BallotRow = { term: number; at_index: number; at_ms: number; ballot: Uint8Array };

export type TakeoverRow = { at_index: number; at_ms: number; record: Uint8Array };

/** A node that is being emptied: no lead, no new copies, its copies are made elsewhere. */
export type DrainRow = {
  peer: string;
  at_index: number;
  at_ms: number;
  owner: string;
  reason: string;
};

/** At most one row, `cluster`: no automatic action until it is cleared or has expired. */
export type PauseRow = {
  scope: string;
  at_index: number;
  at_ms: number;
  owner: string;
  reason: string;
  expires_at_ms: number | null;
};

/** The ipfs-cluster that the agents run together; one row. */
export type FederationRow = { one: number; secret: string; at_index: number };

/** The cluster daemon of one member. */
export type FederationPeerRow = {
  node: string;
  kind: string;
  peer_id: string;
  /** JSON list of multiaddrs. */
  addresses: string;
  at_index: number;
};

export const specs = {
  members: {
    name: 'members',
    key: ['peer'],
    columns: ['peer', 'certificate', 'voter', 'outgoing'],
  },
  pins: {
    name: 'pins',
    key: ['cid'],
    columns: [
      ...['cid', 'name', 'bytes', 'blocks', 'copies_min', 'copies_max', 'labels', 'expires_at_ms'],
      ...['version', 'created_index', 'created_at_ms', 'peers', 'copies', 'allocation_version'],
      ...['relies_on', 'allocation_term', 'allocation_reason'],
    ],
  },
  tombstones: {
    name: 'tombstones',
    key: ['cid'],
    columns: ['cid', 'removed_index', 'removed_at_ms'],
  },
  index: {
    name: 'index_rows',
    key: ['type', 'key'],
    columns: ['type', 'key', 'version', 'at_ms', 'value'],
  },
  sessions: {
    name: 'sessions',
    key: ['id'],
    columns: ['id', 'node', 'opened_index', 'last_index', 'seq_max', 'closed'],
  },
  results: {
    name: 'session_results',
    key: ['session', 'slot'],
    columns: ['session', 'slot', 'seq', 'result'],
  },
  idempotency: {
    name: 'idempotency',
    key: ['key'],
    columns: ['key', 'request_hash', 'at_index', 'result'],
  },
  ballots: { name: 'ballots', key: ['term'], columns: ['term', 'at_index', 'at_ms', 'ballot'] },
  takeovers: { name: 'takeovers', key: ['at_index'], columns: ['at_index', 'at_ms', 'record'] },
  drains: {
    name: 'drains',
    key: ['peer'],
    columns: ['peer', 'at_index', 'at_ms', 'owner', 'reason'],
  },
  pauses: {
    name: 'pauses',
    key: ['scope'],
    columns: ['scope', 'at_index', 'at_ms', 'owner', 'reason', 'expires_at_ms'],
  },
  ...identitySpecs,
  federation: { name: 'federation', key: ['one'], columns: ['one', 'secret', 'at_index'] },
  federationPeers: {
    name: 'federation_peers',
    key: ['node'],
    columns: ['node', 'kind', 'peer_id', 'addresses', 'at_index'],
  },
} as const satisfies Record<string, TableSpec>;

const firstTables = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE members (peer TEXT PRIMARY KEY, certificate BLOB NOT NULL, voter INTEGER NOT NULL,
  outgoing INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE pins (cid TEXT PRIMARY KEY, name TEXT NOT NULL, bytes INTEGER, blocks INTEGER,
  copies_min INTEGER NOT NULL, copies_max INTEGER NOT NULL, labels TEXT NOT NULL,
  expires_at_ms REAL, version INTEGER NOT NULL, created_index INTEGER NOT NULL,
  created_at_ms REAL NOT NULL, peers TEXT NOT NULL, copies INTEGER NOT NULL,
  allocation_version INTEGER NOT NULL, relies_on TEXT NOT NULL, allocation_term INTEGER NOT NULL,
  allocation_reason TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE INDEX pins_below_min ON pins (cid) WHERE copies < copies_min;
CREATE INDEX pins_below_max ON pins (cid) WHERE copies < copies_max;
CREATE INDEX pins_above_max ON pins (cid) WHERE copies > copies_max;
CREATE INDEX pins_expiring ON pins (expires_at_ms, cid) WHERE expires_at_ms IS NOT NULL;
CREATE TABLE allocated (peer TEXT NOT NULL, cid TEXT NOT NULL, PRIMARY KEY (peer, cid))
  WITHOUT ROWID, STRICT;
CREATE TABLE tombstones (cid TEXT PRIMARY KEY, removed_index INTEGER NOT NULL,
  removed_at_ms REAL NOT NULL) WITHOUT ROWID, STRICT;
CREATE INDEX tombstones_by_index ON tombstones (removed_index, cid);
CREATE TABLE index_rows (type TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,
  at_ms REAL NOT NULL, value BLOB NOT NULL, PRIMARY KEY (type, key)) WITHOUT ROWID, STRICT;
CREATE TABLE sessions (id TEXT PRIMARY KEY, node TEXT NOT NULL, opened_index INTEGER NOT NULL,
  last_index INTEGER NOT NULL, seq_max INTEGER NOT NULL, closed INTEGER NOT NULL)
  WITHOUT ROWID, STRICT;
CREATE INDEX sessions_by_use ON sessions (closed, last_index, id);
CREATE TABLE session_results (session TEXT NOT NULL, slot INTEGER NOT NULL, seq INTEGER NOT NULL,
  result BLOB NOT NULL, PRIMARY KEY (session, slot)) WITHOUT ROWID, STRICT;
CREATE TABLE idempotency (key TEXT PRIMARY KEY, request_hash TEXT NOT NULL,
  at_index INTEGER NOT NULL, result BLOB NOT NULL) WITHOUT ROWID, STRICT;
CREATE INDEX idempotency_by_index ON idempotency (at_index, key);
CREATE TABLE ballots (term INTEGER PRIMARY KEY, at_index INTEGER NOT NULL, at_ms REAL NOT NULL,
  ballot BLOB NOT NULL) STRICT;
CREATE TABLE takeovers (at_index INTEGER PRIMARY KEY, at_ms REAL NOT NULL, record BLOB NOT NULL)
  STRICT;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE search_docs (doc INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE) STRICT;
CREATE VIRTUAL TABLE search_text USING fts5 (name, type, text, labels, content='',
  contentless_delete=1, tokenize='unicode61 remove_diacritics 2');
`;

const operationTables = `
CREATE TABLE drains (peer TEXT PRIMARY KEY, at_index INTEGER NOT NULL, at_ms REAL NOT NULL,
  owner TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE pauses (scope TEXT PRIMARY KEY, at_index INTEGER NOT NULL, at_ms REAL NOT NULL,
  owner TEXT NOT NULL, reason TEXT NOT NULL, expires_at_ms REAL) WITHOUT ROWID, STRICT;
`;

const federationTables = `
CREATE TABLE federation (one INTEGER PRIMARY KEY CHECK (one = 1),
  secret TEXT NOT NULL, at_index INTEGER NOT NULL) STRICT;
CREATE TABLE federation_peers (node TEXT PRIMARY KEY, kind TEXT NOT NULL, peer_id TEXT NOT NULL,
  addresses TEXT NOT NULL, at_index INTEGER NOT NULL) WITHOUT ROWID, STRICT;
`;

/** In order, never changed once released: a catalog of version n has taken the first n. */
const steps: readonly string[] = [
  ...[firstTables, operationTables, identityTables, federationTables],
  ...[certificateTables, networkKeyTables, statementTables],
];
export const schemaVersion = steps.length;

/** Takes the steps that this database lacks; one from a newer program is refused. */
export function ensureSchema(db: DatabaseSync): void {
  const row = db.prepare('PRAGMA user_version').get() as { user_version: SqlValue };
  const found = Number(row.user_version);
  if (found === schemaVersion) return;
  if (found > schemaVersion)
    throw new AgentError(
      'damaged',
      `the catalog has schema ${found}; this program knows schema ${schemaVersion}`,
    );
  const missing = steps.slice(found).join('');
  db.exec(`BEGIN IMMEDIATE; ${missing} PRAGMA user_version = ${schemaVersion}; COMMIT`);
}
