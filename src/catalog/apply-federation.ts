/**
 * The federation's secret, and the daemons of its members. The secret is made once, by
 * whoever comes first in the log; rows of a member go when the member goes.
 */
import type { CommandResult, SimpleCommand } from '../wire/command.ts';
import { type ApplyContext, conflict, done, refused } from './apply-context.ts';

type Of<T extends SimpleCommand['type']> = Extract<SimpleCommand, { type: T }>;

export function applyFederation(
  context: ApplyContext,
  { secret }: Of<'federation.found'>,
): CommandResult {
  const { tables, index } = context;
  const known = tables.federation.get(1);
  if (known !== null) return conflict(context, 'the federation', known.at_index);
  tables.federation.put({ one: 1, secret, at_index: index }, null);
  return done(context, index);
}

export function applyFederationPeer(
  context: ApplyContext,
  { node, kind, peerId, addresses }: Of<'federation-peer.put'>,
): CommandResult {
  const { tables, index } = context;
  if (tables.members.get(node) === null)
    return refused(context, 'not-found', `${node} is no member, so it has no cluster daemon`);
  const old = tables.federationPeers.get(node);
  const row = { node, kind, peer_id: peerId, addresses: JSON.stringify(addresses) };
  tables.federationPeers.put({ ...row, at_index: index }, old);
  return done(context, index);
}
