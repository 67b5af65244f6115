/**
 * A world whose nodes begin with given logs and votes, as after a restart of all: the stage for
 * directed scenarios and for the tables of cut links.
 */
import type { Term } from '../base/brand.ts';
import type { ConsensusOptions, HardState, Timing } from '../consensus/api.ts';
import { encode as encodeCbor } from '../wire/cbor.ts';
import { encodeConfiguration } from '../wire/configuration.ts';
import { chainStart, type Entry, type EntryKind, makeEntry } from '../wire/entry.ts';
import type { Certificate } from '../wire/member.ts';
import { firstEpoch } from './epochs.ts';
import { emptyHardState } from './node-disk.ts';
import { createWorld, type World } from './world.ts';

export interface Cast {
  readonly certificate: Certificate;
  /** Terms of the entries after the first one, which is the configuration of term 1. */
  readonly terms: readonly Term[];
  readonly hardState?: Partial<HardState>;
  /** Bytes of padding in the entry of this term. */
  readonly padding?: { readonly term: Term; readonly bytes: number };
}

export interface StageOptions {
  readonly seed: number;
  readonly timing: Timing;
  readonly cast: readonly Cast[];
  readonly blankCatalogs: boolean;
  readonly limits?: ConsensusOptions['limits'];
  readonly keepTrace?: boolean;
}

export const stageTiming: Timing = {
  ...{ heartbeatMs: 100, leaseMs: 500, electionMsMin: 600, electionMsMax: 900 },
  ...{ patienceMs: 300, holdMs: 600_000, takeoverCooldownMs: 600_000, voterGraceMs: 600_000 },
};

/** The log of one node: the configuration, then an entry of each term. */
export function stagedLog(
  certificates: readonly Certificate[],
  terms: readonly Term[],
  padding: Cast['padding'],
): readonly Entry[] {
  const voters = certificates.filter(({ votes }) => votes).map(({ peerId }) => peerId);
  const configuration = encodeConfiguration({ members: certificates, voters, outgoing: null });
  const entries: Entry[] = [];
  const push = (term: Term, kind: EntryKind, data: Uint8Array): void => {
    const previousHash = entries.at(-1)?.hash ?? chainStart;
    const index = entries.length + 1;
    entries.push(makeEntry({ previousHash, epoch: firstEpoch, index, term, kind, data }));
  };
  push(1, 'config', configuration);
  const padded = encodeCbor({ padding: 'x'.repeat(padding?.bytes ?? 0) });
  for (const term of terms)
    push(term, 'empty', term === padding?.term ? padded : new Uint8Array(0));
  return entries;
}

/** Everybody is up and connected, nothing has happened yet. */
export function createStage(options: StageOptions): World {
  const certificates = options.cast.map(({ certificate }) => certificate);
  const world = createWorld({
    ...{ seed: options.seed, certificates, timing: options.timing, limits: options.limits },
    ...{ perfectClocks: true, blankCatalogs: options.blankCatalogs, patientConnections: true },
    keepTrace: options.keepTrace ?? false,
  });
  options.cast.forEach(({ terms, hardState, padding }, number) => {
    const entries = [...stagedLog(certificates, terms, padding)];
    const term = Math.max(entries.at(-1)?.term ?? 0, hardState?.term ?? 0);
    const node = world.nodes[number];
    node?.disk.preset({
      hardState: { ...emptyHardState, ...hardState, term },
      ...{ snapshot: null, entries },
    });
    if (node !== undefined) node.admitted = true;
    world.start(number);
  });
  world.network.connectAll();
  return world;
}
