/**
 * The vocabulary of ids and units. A "flavour" is a brand that a plain value may take on but that
 * two flavours do not share: a Term is never passed where a LogIndex is wanted, and arithmetic
 * still needs no casts.
 */
type Flavour<T, F extends string> = T & { readonly __flavour?: F };

/** Milliseconds, fractional; a duration, or an instant of some named clock. */
export type Ms = Flavour<number, 'Ms'>;
/** Raft term; 0 before the first election. */
export type Term = Flavour<number, 'Term'>;
/** Index of a log entry; the first entry has index 1, 0 means "before the log". */
export type LogIndex = Flavour<number, 'LogIndex'>;
/** libp2p peer id as base58btc/base36 text; the identity of a node. */
export type PeerId = Flavour<string, 'PeerId'>;
/** Random id of a cluster, 32 lower-case hex digits. */
export type ClusterId = Flavour<string, 'ClusterId'>;
/** Random id of an epoch, 32 lower-case hex digits. */
export type EpochId = Flavour<string, 'EpochId'>;
/** Content identifier in its canonical text form (CIDv1, base32). */
export type CidText = Flavour<string, 'CidText'>;
/** One process incarnation that proposes; random, 32 lower-case hex digits. */
export type SessionId = Flavour<string, 'SessionId'>;
