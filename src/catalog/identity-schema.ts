/** The tables of who is let in and what everybody counts as; a part of schema.ts. */

/** A join token; `used_by` is null until its one use. */
export type TokenRow = {
  id: string;
  hash: string;
  grant_text: string;
  expires_at_ms: number;
  made_index: number;
  used_by: string | null;
  used_at_ms: number | null;
};

export type RevocationRow = {
  peer: string;
  name: string;
  floor: number;
  reason: string;
  at_index: number;
  at_ms: number;
};

/** What the authority last made of a member since it joined; empty: it is a member no more. */
export type CertificateRow = {
  peer: string;
  generation: number;
  certificate: string;
  at_index: number;
};

/** A key of the private network that members accept; one of them is sent, one may be added. */
export type NetworkKeyRow = {
  fingerprint: string;
  key: string;
  cluster: string;
  state: 'added' | 'sending' | 'accepted';
  at_index: number;
  at_ms: number;
  owner: string;
};

/**
 * What the authority signed about itself and about revoked keys. The text is the key: a worthless
 * statement takes no other one's place.
 */
export type StatementRow = {
  statement: string;
  kind: string;
  at_index: number;
  at_ms: number;
};

export const identitySpecs = {
  tokens: {
    name: 'tokens',
    key: ['id'],
    columns: [
      ...['id', 'hash', 'grant_text', 'expires_at_ms', 'made_index', 'used_by', 'used_at_ms'],
    ],
  },
  revocations: {
    name: 'revocations',
    key: ['peer'],
    columns: ['peer', 'name', 'floor', 'reason', 'at_index', 'at_ms'],
  },
  certificates: {
    name: 'certificates',
    key: ['peer'],
    columns: ['peer', 'generation', 'certificate', 'at_index'],
  },
  networkKeys: {
    name: 'network_keys',
    key: ['fingerprint'],
    columns: ['fingerprint', 'key', 'cluster', 'state', 'at_index', 'at_ms', 'owner'],
  },
  statements: {
    name: 'statements',
    key: ['statement'],
    columns: ['statement', 'kind', 'at_index', 'at_ms'],
  },
};

export const identityTables = `
CREATE TABLE tokens (id TEXT PRIMARY KEY, hash TEXT NOT NULL, grant_text TEXT NOT NULL,
  expires_at_ms REAL NOT NULL, made_index INTEGER NOT NULL, used_by TEXT, used_at_ms REAL)
  WITHOUT ROWID, STRICT;
CREATE INDEX tokens_by_index ON tokens (made_index, id);
CREATE TABLE revocations (peer TEXT PRIMARY KEY, name TEXT NOT NULL, floor INTEGER NOT NULL,
  reason TEXT NOT NULL, at_index INTEGER NOT NULL, at_ms REAL NOT NULL) WITHOUT ROWID, STRICT;
`;

export const certificateTables = `
CREATE TABLE certificates (peer TEXT PRIMARY KEY, generation INTEGER NOT NULL,
  certificate TEXT NOT NULL, at_index INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE INDEX certificates_by_generation ON certificates (generation, peer);
`;

export const networkKeyTables = `
CREATE TABLE network_keys (fingerprint TEXT PRIMARY KEY, key TEXT NOT NULL, cluster TEXT NOT NULL,
  state TEXT NOT NULL, at_index INTEGER NOT NULL, at_ms REAL NOT NULL, owner TEXT NOT NULL)
  WITHOUT ROWID, STRICT;
`;

export const statementTables = `
CREATE TABLE statements (statement TEXT PRIMARY KEY, kind TEXT NOT NULL,
  at_index INTEGER NOT NULL, at_ms REAL NOT NULL) WITHOUT ROWID, STRICT;
CREATE INDEX statements_by_index ON statements (at_index, statement);
`;
