/**
 * `why`: finds the stored ballots and has them counted again. The winner's of each term is in the
 * catalog, so every node answers alike; what came to nothing is remembered by whoever stood, as
 * long as its newest events reach back so far, and asked from there.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import type { Ballot } from '../../consensus/api.ts';
import { accountOf, whyNotIn } from '../../consensus/why.ts';
import { ballotSchema, type StoredBallot } from '../../wire/ballot-record.ts';
import { decodeNodeMessage, encodeNodeMessage } from '../../wire/node-message.ts';
import {
  ballotsAnswerSchema,
  ballotsMax,
  ballotsRequest,
  ballotsSchema,
} from '../../wire/operation-message.ts';
import type { AgentEvent } from '../api.ts';
import type { Node } from '../node.ts';
import type { Operations } from './api.ts';

const askTimeoutMs: Ms = 2000;

export interface ElectionAccountsDeps {
  readonly node: Pick<Node, 'directory' | 'leadership' | 'stores' | 'peers' | 'mesh' | 'self'>;
  /** The newest events of this node, oldest first. */
  readonly events: () => readonly AgentEvent[];
}

/** The ballots of `term` among these events, oldest first; the last ones if there are many. */
export function ballotsIn(events: readonly AgentEvent[], term: number): StoredBallot[] {
  return events
    .flatMap(({ type, data }) => {
      if (type !== 'ballot' || data.term !== term) return [];
      const parsed = ballotSchema.safeParse(data);
      return parsed.success ? [parsed.data] : [];
    })
    .slice(-ballotsMax);
}

export function createElectionAccounts(
  deps: ElectionAccountsDeps,
): Pick<Operations, 'whyLeader' | 'whyNot' | 'whyElection'> {
  const { directory, leadership, stores, peers, mesh, self } = deps.node;

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

  peers.serve(ballotsRequest, 'member', (_from, body) => {
    const { term } = decodeNodeMessage(ballotsRequest, ballotsSchema, body);
    return encodeNodeMessage({ ballots: ballotsIn(deps.events(), term) });
  });

  /** What `peer` remembers of its own candidacy; null: it did not answer. */
  async function rememberedBy(peer: PeerId, term: number): Promise<StoredBallot[] | null> {
    if (peer === self) return ballotsIn(deps.events(), term);
    try {
      const body = encodeNodeMessage({ term });
      const bytes = await mesh.request(peer, ballotsRequest, body, { timeoutMs: askTimeoutMs });
      const { ballots } = decodeNodeMessage(ballotsRequest, ballotsAnswerSchema, bytes);
      // Everybody speaks for itself alone.
      return ballots.filter(({ candidate }) => candidate === peer);
    } catch {
      // Down, away or of a version that knows no such question: the caller is told who is missing.
      return null;
    }
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
      const winner = await winnerOf(term);
      const candidates = directory.configuration().members.filter(({ leads }) => leads);
      const remembered = await Promise.all(
        candidates.map(async ({ peerId }) => ({
          peerId,
          ballots: await rememberedBy(peerId, term),
        })),
      );
      const attempts = remembered
        .flatMap(({ ballots }) => ballots ?? [])
        .filter(({ won, candidate }) => !won || candidate !== winner?.candidate)
        .map(accountOf);
      const unheard = remembered.flatMap(({ peerId, ballots }) => (ballots ? [] : [peerId]));
      if (winner === null && attempts.length === 0) {
        const silent = unheard.map((peer) => directory.nameOf(peer)).join(', ');
        const missing = silent === '' ? '' : `; not heard: ${silent}`;
        throw new AgentError('not-found', `no ballot of term ${term} is remembered${missing}`);
      }
      return { term, election: winner === null ? null : accountOf(winner), attempts, unheard };
    },
  };
}
