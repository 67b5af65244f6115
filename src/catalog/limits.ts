/**
 * Every bound of the catalog that grows with use. They are part of the state machine: replicas
 * with different limits would evict differently, so they change only with the schema version.
 */
export interface CatalogLimits {
  /** K: sequences kept with their results per session, and the most that may be in flight. */
  readonly sessionSequencesMax: number;
  readonly sessionsMax: number;
  /** Evicted sessions that are remembered as such. */
  readonly sessionsClosedMax: number;
  /** A session unused for more than this many log entries is evicted. */
  readonly sessionEntriesMax: number;
  readonly idempotencyKeysMax: number;
  readonly idempotencyEntriesMax: number;
  readonly tombstonesMax: number;
  readonly ballotsMax: number;
  readonly takeoversMax: number;
  readonly tokensMax: number;
  /** More than members: those of former members keep their generation for a while. */
  readonly certificatesMax: number;
  /** Revocations are never dropped: beyond this another one is refused. */
  readonly revocationsMax: number;
  /** Signed ones; a key may be revoked by more than one. Never dropped. */
  readonly revocationStatementsMax: number;
  /** Successions and retirements of the authority; never dropped. */
  readonly authorityStatementsMax: number;
  /** Old rows are looked for whenever the log index is a multiple of this. */
  readonly sweepEntries: number;
}

export const catalogLimits: CatalogLimits = {
  sessionSequencesMax: 1024,
  sessionsMax: 4096,
  sessionsClosedMax: 16_384,
  sessionEntriesMax: 1_000_000,
  idempotencyKeysMax: 65_536,
  idempotencyEntriesMax: 1_000_000,
  tombstonesMax: 262_144,
  ballotsMax: 1000,
  takeoversMax: 1000,
  tokensMax: 1024,
  certificatesMax: 4096,
  revocationsMax: 16_384,
  revocationStatementsMax: 16_384,
  authorityStatementsMax: 1024,
  sweepEntries: 64,
};

/** K for callers: a proposer never has more sequences in flight. */
export const sessionSequencesMax = catalogLimits.sessionSequencesMax;
