/** What a seed decides before anything runs: the cast, its clocks and durations, the weather. */
import type { Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import type { ConsensusOptions, Timing } from '../consensus/api.ts';
import type { Certificate, Role } from '../wire/member.ts';
import type { NetworkWeather } from './network.ts';
import { certificate } from './roster.ts';

export interface SeedPlan {
  readonly certificates: readonly Certificate[];
  /** Slots that form the cluster at the beginning; the first one bootstraps it. */
  readonly founders: readonly number[];
  readonly spare: readonly number[];
  readonly timing: Timing;
  readonly limits: ConsensusOptions['limits'];
  readonly weather: NetworkWeather;
  readonly clients: number;
  /** People drain and pause while it burns. */
  readonly maintained: boolean;
  readonly chaosMs: Ms;
  readonly episodes: number;
  readonly checkpointMs: Ms;
  /** Entries kept behind a checkpoint. */
  readonly keepEntries: number;
  /** In the end a majority is lost, and one that is left forces a new epoch. */
  readonly losesMajority: boolean;
}

const timings: readonly Timing[] = [
  {
    ...{ heartbeatMs: 100, leaseMs: 500, electionMsMin: 600, electionMsMax: 900 },
    ...{ patienceMs: 300, holdMs: 3000, takeoverCooldownMs: 5000, voterGraceMs: 4000 },
  },
  {
    ...{ heartbeatMs: 150, leaseMs: 500, electionMsMin: 600, electionMsMax: 900 },
    ...{ patienceMs: 300, holdMs: 1500, takeoverCooldownMs: 2500, voterGraceMs: 2000 },
  },
  {
    ...{ heartbeatMs: 60, leaseMs: 200, electionMsMin: 300, electionMsMax: 450 },
    ...{ patienceMs: 150, holdMs: 1000, takeoverCooldownMs: 2000, voterGraceMs: 1500 },
  },
];

const weathers: readonly NetworkWeather[] = [
  { delayMsMin: 0.2, delayMsMax: 1.5, loss: 0, duplication: 0, reordering: 0 },
  { delayMsMin: 0.2, delayMsMax: 1.5, loss: 0, duplication: 0, reordering: 0 },
  { delayMsMin: 5, delayMsMax: 15, loss: 0, duplication: 0, reordering: 0.02 },
  { delayMsMin: 0.2, delayMsMax: 5, loss: 0.02, duplication: 0.01, reordering: 0.05 },
  { delayMsMin: 20, delayMsMax: 40, loss: 0, duplication: 0, reordering: 0 },
];

/** Small clusters more often: they are cheap to run, and three is where most goes wrong. */
const votingCounts = [1, 2, 3, 3, 3, 3, 4, 5, 5, 6, 7];

function roleOf(prng: Prng, number: number, witness: boolean): Role {
  if (witness) return 'witness';
  if (number === 0) return prng.chance(0.8) ? 'master' : 'worker';
  return prng.chance(0.45) ? 'master' : 'worker';
}

export function createSeedPlan(prng: Prng): SeedPlan {
  const voting = prng.pick(votingCounts);
  const witnessAt = voting >= 2 && prng.chance(0.2) ? 1 + prng.int(voting - 1) : -1;
  const leechers = prng.pick([0, 0, 1, 1, 2]);
  const spares = prng.pick([0, 0, 1, 2]);
  const certificates: Certificate[] = [];
  for (let number = 0; number < voting + leechers + spares; number++) {
    const founder = number < voting;
    const leecher = number >= voting && number < voting + leechers;
    const late = !leecher && !founder && prng.chance(0.3) ? 'leecher' : null;
    const role = leecher ? 'leecher' : (late ?? roleOf(prng, number, number === witnessAt));
    certificates.push(certificate(`n${number}`, role, prng.int(3)));
  }
  const timing = prng.pick(timings);
  const founders = Array.from({ length: voting + leechers }, (_, number) => number);
  const spare = Array.from({ length: spares }, (_, number) => voting + leechers + number);
  const small = { trailingEntriesMax: 2 + prng.int(25), trailingBytesMax: 1024 * 1024 };
  return {
    ...{ certificates, founders, spare, timing },
    limits: prng.chance(0.7) ? small : undefined,
    weather: prng.pick(weathers),
    clients: 2 + prng.int(4),
    maintained: prng.chance(0.6),
    chaosMs: prng.range(30_000, 33_000),
    episodes: 5 + prng.int(14),
    checkpointMs: prng.range(200, 2000),
    keepEntries: prng.chance(0.7) ? 0 : prng.int(40),
    losesMajority: prng.chance(0.25),
  };
}
