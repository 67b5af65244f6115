/** Queries about join tokens, certificates, revocations and the private network's keys. */
import { z } from 'zod';
import type { PeerId } from '../base/brand.ts';
import { defineQuery, statement } from './query.ts';

export interface Revocation {
  readonly peer: PeerId;
  readonly name: string;
  /** Certificates below this generation don't count. */
  readonly floor: number;
  readonly reason: string;
  readonly atMs: number;
  /** The entry that brought it. */
  readonly atIndex: number;
}

/** A signed statement of the authority that is in the log, worth whatever its signature is. */
export interface LoggedStatement {
  readonly kind: 'succession' | 'retirement' | 'revocation';
  readonly statement: string;
  readonly atIndex: number;
}

export interface TokenRecord {
  readonly id: string;
  readonly grant: string;
  readonly expiresAtMs: number;
  readonly usedBy: PeerId | null;
}

/** All of them: the limits of the catalog bound both lists. */
export const revocationsList = defineQuery(z.object({}), (db) => ({
  revocations: statement(db, 'SELECT * FROM revocations ORDER BY peer')
    .all()
    .map(
      (row): Revocation => ({
        peer: String(row.peer),
        name: String(row.name),
        floor: Number(row.floor),
        reason: String(row.reason),
        atMs: Number(row.at_ms),
        atIndex: Number(row.at_index),
      }),
    ),
}));

/** In the order of the log. */
export const statementsList = defineQuery(z.object({}), (db) => ({
  statements: statement(db, 'SELECT * FROM statements ORDER BY at_index, statement')
    .all()
    .map((row): LoggedStatement => {
      const kind = row.kind as LoggedStatement['kind'];
      return { kind, statement: String(row.statement), atIndex: Number(row.at_index) };
    }),
}));

export interface CertificateRecord {
  readonly peer: PeerId;
  readonly generation: number;
  readonly certificate: string;
  /** The entry that brought it. */
  readonly atIndex: number;
}

/** What the authority made since members joined; `highest` counts former members too. */
export const certificatesList = defineQuery(z.object({}), (db) => {
  const rows = statement(db, 'SELECT * FROM certificates ORDER BY peer').all();
  const all = rows.map(
    (row): CertificateRecord => ({
      peer: String(row.peer),
      generation: Number(row.generation),
      certificate: String(row.certificate),
      atIndex: Number(row.at_index),
    }),
  );
  return {
    certificates: all.filter(({ certificate }) => certificate !== ''),
    highest: all.reduce((most, { generation }) => Math.max(most, generation), 1),
  };
});

/** Newest first. */
export const tokensList = defineQuery(z.object({}), (db) => ({
  tokens: statement(db, 'SELECT * FROM tokens ORDER BY made_index DESC')
    .all()
    .map(
      (row): TokenRecord => ({
        id: String(row.id),
        grant: String(row.grant_text),
        expiresAtMs: Number(row.expires_at_ms),
        usedBy: row.used_by === null ? null : String(row.used_by),
      }),
    ),
}));

export interface NetworkKeyRecord {
  readonly fingerprint: string;
  /** 64 hex digits; for the network's guard alone, never for an answer. */
  readonly key: string;
  readonly cluster: string;
  readonly state: 'added' | 'sending' | 'accepted';
  readonly atIndex: number;
  /** Since when it is in this state. */
  readonly sinceMs: number;
  /** Who asked for that; empty: it is the first one. */
  readonly owner: string;
}

/** Of whichever cluster; empty: the key was never rotated. The newest change comes first. */
export const networkKeysList = defineQuery(z.object({}), (db) => ({
  keys: statement(db, 'SELECT * FROM network_keys ORDER BY fingerprint')
    .all()
    .map(
      (row): NetworkKeyRecord => ({
        fingerprint: String(row.fingerprint),
        key: String(row.key),
        cluster: String(row.cluster),
        state: row.state as NetworkKeyRecord['state'],
        atIndex: Number(row.at_index),
        sinceMs: Number(row.at_ms),
        owner: String(row.owner),
      }),
    )
    .sort((a, b) => b.atIndex - a.atIndex),
}));
