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

export interface HealthWatch {
  start(): void;
  /** Says a last word: it leaves on purpose. */
  stop(): Promise<void>;
  /** Of any member, this node too. */
  of(peer: PeerId): MemberHealth;
  /** This node's own score as the election takes it; null before the first look. */
  score(): number | null;
  resources(): Resources | null;
  meshFacts(): MeshFacts;
  /** Redials, asks around and rejoins gossip, and tells it as an event. */
  healMesh(why: string): Promise<MeshHealing>;
}
