/**
 * A campaign's end as a fact: the ballot with everything that was weighed, so that the counting can
 * be repeated later.
 */
import { ballotOf, type Campaign, type Patience } from './ballot.ts';
import { type Core, certificateOf, pauseMs, rankOfPeer } from './core.ts';
import { votersOf } from './quorum.ts';

export function patienceOf(core: Core): Patience {
  return {
    nowMs: core.now.monoMs,
    firstVetoMs: core.election.firstVetoMs,
    patienceMs: core.options.timing.patienceMs,
    voidAfterMs: 2 * pauseMs(core),
    silent: (peer) => core.links.get(peer)?.open === false,
  };
}

export function reportBallot(core: Core, campaign: Campaign, won: boolean): void {
  if (campaign.ended) return;
  campaign.ended = true;
  const ballot = ballotOf(campaign, {
    epoch: core.options.epoch,
    candidate: core.id,
    rank: rankOfPeer(core, core.id),
    health: core.local.health,
    linksClosed: votersOf(core.log.configuration).filter(
      (peer) => core.links.get(peer)?.open === false,
    ),
    configuration: core.log.configuration,
    won,
    standings: votersOf(core.log.configuration).map((peer) => ({
      peer,
      rank: rankOfPeer(core, peer),
      leads: certificateOf(core, peer)?.leads ?? true,
    })),
    patience: patienceOf(core),
  });
  core.out.facts.push({ type: 'ballot', ballot });
}
