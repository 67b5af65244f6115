/**
 * `why`: finds the stored ballots and has them counted again. The winner's of each term is in the
 * catalog, so every node answers alike.
 */
import { AgentError } from '../../base/error.ts';
import type { Ballot } from '../../consensus/api.ts';
import { accountOf, whyNotIn } from '../../consensus/why.ts';
import { ballotSchema } from '../../wire/ballot-record.ts';
import type { Node } from '../node.ts';
import type { Operations } from './api.ts';

export function createElectionAccounts(
  node: Node,
): Pick<Operations, 'whyLeader' | 'whyNot' | 'whyElection'> {
  const { directory, leadership, stores } = node;

  async function winnerOf(term: number): Promise<Ballot | null> {
    const { value } = await stores.catalog.query('ballots.get', { term });
    if (value === null) return null;
    const parsed = ballotSchema.safeParse(value);
    if (!parsed.success)
      throw new AgentError('damaged', `the stored ballot of term ${term} can't be read`);
    return parsed.data;
  }

  function leaderNow() {
    const { leader, term } = leadership.view();
    if (leader === null) throw new AgentError('no-quorum', 'nobody leads: see why election');
    return { leader, term };
  }

  return {
    whyLeader: async () => {
      const { leader, term } = leaderNow();
      const ballot = await winnerOf(term);
      return { leader, term, election: ballot === null ? null : accountOf(ballot) };
    },
    whyNot: async (name) => {
      const member = directory.byName(name);
      if (member === null) throw new AgentError('not-found', `no member is called ${name}`);
      const { leader, term } = leaderNow();
      const ballot = await winnerOf(term);
      if (ballot === null)
        throw new AgentError('not-found', `the ballot of term ${term} is not here yet`);
      const code = whyNotIn(ballot, member.peerId, member.leads);
      return { peer: member.peerId, term, winner: leader, code };
    },
    whyElection: async (term) => {
      const ballot = await winnerOf(term);
      if (ballot === null)
        throw new AgentError('not-found', `no ballot of term ${term} is in the catalog`);
      return accountOf(ballot);
    },
  };
}
