/** What the agent gives to its content side, and what it gets from it. */
import type { CidText, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import type { ContentEngine, Provider } from '../../content/api.ts';
import type { EngineEvent } from '../../content/embedded-engine.ts';
import type { NodeView } from '../../plan/observed.ts';
import type { HeldPin } from '../../plan/safety.ts';
import type { PinReport, Task } from '../api.ts';
import type { Config } from '../config.ts';
import type { AgentMetrics } from '../metrics.ts';
import type { Node } from '../node.ts';
import type { ReplicationSummary } from '../status-page.ts';
import type { Adding } from './adding.ts';

export interface ReplicationDeps {
  readonly node: Node;
  readonly config: Config;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly contentDir: string;
  /** Of this process. */
  readonly incarnation: number;
  readonly healthOf: (peer: PeerId) => NodeView['health'];
  /** No automatic action may be carried out now. */
  readonly paused: () => boolean;
  readonly isDraining: (peer: PeerId) => boolean;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onEngine: (event: EngineEvent) => void;
  /** What only somebody who looks for it wants to read: a line of the log at `debug`. */
  readonly trace: (type: string, data: Record<string, unknown>) => void;
  readonly onProvider: (provider: Provider) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface Replication {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Entries were applied here. */
  onApplied(): void;
  readonly add: Adding['add'];
  cat(cid: CidText, path: string): AsyncIterable<Uint8Array>;
  car(cid: CidText): AsyncIterable<Uint8Array>;
  ls(cid: CidText, path: string): ReturnType<ContentEngine['ls']>;
  pin(cid: CidText): Promise<PinReport>;
  pins(after: string | null, limit: number): Promise<{ pins: PinReport[]; next: string | null }>;
  /** What of these pins is whole here, and their blocks as a CAR; for a backup. */
  blocks(
    cids: readonly CidText[],
  ): Promise<{ held: readonly CidText[]; car: AsyncIterable<Uint8Array> }>;
  tasks(): Task[];
  /** For the status page; null until the leader has told. */
  summary(): ReplicationSummary | null;
  /** Where this node's content host listens; null while it doesn't run. */
  provider(): Provider | null;
  /** This node should hold content, and its engine does not run. */
  contentGone(): boolean;
  /** As the leader sees it: what would be missed without this member. */
  holding(peer: PeerId): Promise<Holding>;
}

export interface Holding {
  /** null: the leader has not heard all of it yet. */
  readonly held: readonly HeldPin[] | null;
  /** Pins whose allocation names it. */
  readonly allocated: number;
}
