/**
 * What a simulated machine shows to the rest of the simulator, and what it is given. The fields
 * that are not read-only are turned by faults and operators between events, never inside a step.
 */
import type { ClusterId, EpochId, Ms, PeerId, Term } from '../base/brand.ts';
import type { Now } from '../base/clock.ts';
import type { Prng } from '../base/prng.ts';
import type { Consensus, ConsensusOptions, Event, Ready, Timing } from '../consensus/api.ts';
import type { Certificate } from '../wire/member.ts';
import type { EventQueue } from './event-queue.ts';
import type { NodeCatalog } from './node-catalog.ts';
import type { NodeClock } from './node-clock.ts';
import type { NodeDisk } from './node-disk.ts';
import type { Standing } from './node-standing.ts';
import type { NodeObserver } from './observer.ts';

export type ProcessState = 'running' | 'stopped' | 'absent';

export interface SimNodeDeps {
  readonly queue: EventQueue;
  readonly prng: Prng;
  readonly clock: NodeClock;
  readonly disk: NodeDisk;
  readonly catalog: NodeCatalog;
  readonly observer: NodeObserver;
  readonly send: (to: PeerId, frame: Uint8Array) => void;
  readonly certificateOf: (peer: PeerId) => Certificate | null;
  readonly onSnapshotWanted: (want: Ready['sendSnapshots'][number]) => void;
  /** Brings the received snapshot `ref` into the catalog. */
  readonly installSnapshot: (ref: string) => void;
}

export interface SimNodeOptions {
  readonly number: number;
  readonly id: PeerId;
  readonly clusterId: ClusterId;
  readonly epoch: EpochId;
  readonly limits: ConsensusOptions['limits'];
}

export interface SimNode {
  readonly number: number;
  readonly id: PeerId;
  readonly epoch: EpochId;
  readonly clock: NodeClock;
  readonly disk: NodeDisk;
  readonly catalog: NodeCatalog;
  certificate: Certificate;
  timing: Timing;
  bootstrap: boolean;
  /** Slowness of the catalog, ms per batch. */
  applyMs: Ms;
  applyStuck: boolean;
  /** When its disk or catalog last came free again; it may resign for a stall that just ended. */
  freedMs: Ms;
  /** It has a reason of its own not to lead: draining, or a store that can't be written. */
  troubled: boolean;
  /** It was made a member and not forgotten since. */
  admitted: boolean;
  readonly state: () => ProcessState;
  /** What it knows of drains and of a pause. */
  readonly standing: () => Standing;
  readonly core: () => Consensus | null;
  readonly now: () => Now;
  /** What was found to be damaged at the last start, or null. */
  readonly damage: () => string | null;
  readonly startedMs: () => Ms;
  /** How long the process before this one ran. */
  readonly lastLifeMs: () => Ms;
  /** True time of the last start or of the last return from a stop. */
  readonly awakeSinceMs: () => Ms;
  /** It believes that it is the leader. */
  readonly leads: () => boolean;
  /** Its term as it last said. */
  readonly term: () => Term;
  start(): void;
  /** Ends the process; a loss of power also loses what was not synced. */
  end(kind: 'kill' | 'power'): void;
  stop(): void;
  resume(): void;
  post(event: Event): void;
  receive(from: PeerId, frame: Uint8Array): void;
  /** Makes the catalog's state durable and lets the log be cut up to `keep` entries before it. */
  checkpoint(keep: number): void;
}
