/** What the rest of the agent knows of health: this node's own, and every other member's. */
import type { Ms, PeerId } from '../../base/brand.ts';
import type { MemberState } from '../../health/failure-detector.ts';
import type { Grade } from '../../health/grade.ts';
import type { MeshFacts } from '../../health/mesh-score.ts';
import type { MeshHealing } from '../../mesh/api.ts';
import type { HealthGossip, Resources } from '../../wire/health-record.ts';

export interface MemberHealth {
  readonly state: MemberState;
  /** Age of the last word of it, direct or by gossip; null: never. */
  readonly lastSeenMs: Ms | null;
  readonly health: Grade | 'unknown';
  readonly score: number | null;
  /** What it said of itself last; null: nothing yet. */
  readonly record: HealthGossip | null;
  readonly recordAgeMs: Ms | null;
}

/** The mesh of this node as people ask for it. */
export interface MeshReport extends MeshFacts {
  readonly peerId: PeerId;
  readonly port: number | null;
  readonly addresses: readonly string[];
  readonly protocols: readonly string[];
  /** Addresses of the configuration that it looks for others at. */
  readonly bootstrapPeers: number;
  /** Consensus and gossip frames are counted, not bytes: null. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly lastHealAt: string | null;
}

export interface HealthWatch {
  start(): void;
  /** Says a last word: it leaves on purpose. */
  stop(): Promise<void>;
  /** Of any member, this node too. */
  of(peer: PeerId): MemberHealth;
  /** This node's own score as the election takes it; null before the first look. */
  score(): number | null;
  resources(): Resources | null;
  meshReport(): MeshReport;
  /** Redials, asks around and rejoins gossip, and tells it as an event. */
  healMesh(why: string): Promise<MeshHealing>;
}
