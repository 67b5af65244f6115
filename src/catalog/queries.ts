/**
 * Everything that may be asked of a catalog by name, on any connection. Arguments are checked;
 * lists are pages: `after` is the last key of the page before, `next` the one to ask with, null at
 * the end. Every page costs its own length and not the table's: an index stands behind each of
 * them.
 */
import type { Query } from './query.ts';
import { federationGet } from './query-federation.ts';
import {
  certificatesList,
  networkKeysList,
  revocationsList,
  statementsList,
  tokensList,
} from './query-identity.ts';
import { indexCounts, indexGet, indexList, searchText } from './query-index.ts';
import { operations } from './query-operations.ts';
import {
  allocationsCount,
  allocationsForPeer,
  pinsExpired,
  pinsGet,
  pinsGetMany,
  pinsList,
  tombstonesGet,
  tombstonesList,
} from './query-pins.ts';
import { ballotsGet, ballotsList, membersList, stats, takeoversList } from './query-records.ts';

export const queries: Readonly<Record<string, Query>> = {
  'members.list': membersList,
  'pins.list': pinsList,
  'pins.get': pinsGet,
  'pins.getMany': pinsGetMany,
  'pins.expired': pinsExpired,
  'allocations.count': allocationsCount,
  'allocations.forPeer': allocationsForPeer,
  'tombstones.get': tombstonesGet,
  'tombstones.list': tombstonesList,
  'index.get': indexGet,
  'index.list': indexList,
  'index.counts': indexCounts,
  'search.text': searchText,
  'ballots.list': ballotsList,
  'ballots.get': ballotsGet,
  'takeovers.list': takeoversList,
  operations,
  'tokens.list': tokensList,
  'revocations.list': revocationsList,
  'certificates.list': certificatesList,
  'network-keys.list': networkKeysList,
  'statements.list': statementsList,
  'federation.get': federationGet,
  stats,
};
