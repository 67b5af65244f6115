/**
 * The agent as the status port and the commands see it. Handlers ask this facade and never reach
 * into the step machine.
 */
import type { CidText, LogIndex, Ms, PeerId } from '../base/brand.ts';
import type { AddEntry, AddedItem, PinStatus } from '../content/api.ts';
import type { MeshHealing } from '../mesh/api.ts';
import type { Command, CommandResult } from '../wire/command.ts';
import type { Resources } from '../wire/health-record.ts';
import type { Role } from '../wire/member.ts';
import type { Fleet } from './daemons/fleet.ts';
import type { MeshReport } from './health/api.ts';
import type { Mode } from './mode.ts';
import type { Operations } from './operations/api.ts';
import type { Recovery } from './recovery/api.ts';

export type Readiness = Mode & {
  readonly ready: boolean;
  /** Unmet: `joined`, `catalog-replayed`, `leader-known`, `quorum`, `member`. */
  readonly unmet: readonly string[];
};

export interface LeaderAnswer {
  /** This node leads and acts right now. */
  readonly acting: boolean;
  readonly leader: { name: string; peerId: PeerId; role: Role; statusUrl: string | null } | null;
  readonly term: number;
  /** RFC 3339: since when this leader is known here, or null. */
  readonly since: string | null;
  readonly reason: string | null;
}

/** `GET /status`, exactly as in the HTTP contract (docs/status-api.md). */
export type StatusPage = Record<string, unknown> & {
  readonly node: { readonly name: string; readonly peerId: PeerId; readonly role: Role };
};

export interface AgentEvent {
  readonly seq: number;
  /** RFC 3339. */
  readonly at: string;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

/** Long work that a caller may watch. */
export interface Task {
  readonly id: string;
  readonly kind: 'add' | 'get';
  readonly state: 'running' | 'done' | 'failed';
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly error: string | null;
  readonly result: unknown;
}

/** Where the copies of one pin are, as the answering node knows. */
export interface PinReport {
  readonly cid: CidText;
  readonly name: string;
  readonly bytes: number | null;
  readonly min: number;
  readonly max: number;
  readonly version: number;
  readonly allocations: readonly PeerId[];
  readonly verified: number;
  readonly copies: readonly {
    peerId: PeerId;
    node: string;
    status: PinStatus | null;
    verified: boolean;
    ageMs: Ms | null;
  }[];
}

export interface Fresh<T> {
  readonly value: T;
  readonly appliedIndex: LogIndex;
  /** Age of the newest word from a leader, ms; null when this node never heard one. */
  readonly staleMs: Ms | null;
}

export interface TokenMade {
  /** The text for `bellwether join`; it is shown once and kept nowhere. */
  readonly token: string;
  readonly id: string;
  readonly role: Role;
  readonly name: string | null;
  readonly expiresAtMs: Ms;
}

export interface TokenReport extends Omit<TokenMade, 'token'> {
  readonly zone: string | null;
  readonly state: 'open' | 'used' | 'expired';
  readonly usedBy: PeerId | null;
}

export interface RoleSet {
  readonly name: string;
  readonly peerId: PeerId;
  readonly role: Role;
  readonly was: Role;
  /** false: record and certificate said so already. */
  readonly changed: boolean;
  /** It led, and gave the lead away first. */
  readonly handedOver: boolean;
}

export interface AuthorityReport {
  /** Oldest first; the last one that is not retired signs. */
  readonly authorities: readonly {
    readonly fingerprint: string;
    readonly state: 'signing' | 'accepted' | 'retired';
  }[];
  readonly members: readonly {
    readonly name: string;
    readonly peerId: PeerId;
    readonly role: Role;
    /** Who signed the newest certificate that this node saw of it; null: it saw none. */
    readonly authority: string | null;
    /** Certified by the one that signs. */
    readonly followed: boolean;
  }[];
  /** Statements and revocations in the log that count for nothing. */
  readonly statementsIgnored: number;
}

export interface AuthorityRotated {
  readonly fingerprint: string;
  readonly was: string;
  /** Masters that have the new secret. */
  readonly heldBy: readonly string[];
  /** Masters that this node could not give it to; they ask for it when they are back. */
  readonly waiting: readonly string[];
}

export interface AuthorityRetired {
  readonly fingerprint: string;
  readonly retired: readonly string[];
  /** Members that come back with a certificate of a retired one and ask for another. */
  readonly behind: readonly string[];
  /** Join tokens that count no more. */
  readonly tokensEnded: number;
}

/** Who may be what in the cluster; only masters hold the key that decides it. */
export interface IdentityFace {
  createToken(asked: {
    role: Role;
    name: string | null;
    zone: string | null;
    ttlMs: Ms;
  }): Promise<TokenMade>;
  tokens(): Promise<TokenReport[]>;
  /** Forgets the member and refuses its key from here on. */
  revoke(name: string, reason: string): Promise<{ peerId: PeerId }>;
  /** Certifies a member in another role, in place. */
  setRole(name: string, role: Role): Promise<RoleSet>;
  /** Which authorities count, and by which one each member is certified. */
  authorities(): AuthorityReport;
  /** Makes a new authority key; it signs from here on, and the former ones go on counting. */
  rotateAuthority(): Promise<AuthorityRotated>;
  /** Former keys count no more; refused while a member is certified by one, unless forced. */
  retireAuthority(force: boolean): Promise<AuthorityRetired>;
}

export interface Agent {
  start(): Promise<void>;
  /** Hands the lead over if it has it, then stops everything in reverse order. */
  stop(reason: string): Promise<void>;
  /** Where the status port answers, told to the other members. */
  setStatusUrl(url: string): void;
  status(): Promise<StatusPage>;
  /** How fresh this node's own copy is; from memory. */
  freshness(): { readonly appliedIndex: LogIndex; readonly staleMs: Ms | null };
  readiness(): Readiness;
  leader(): LeaderAnswer;
  /** Proposes through the leader; resolves with the result of applying it. */
  propose(
    command: Command,
    options: { idempotency: { key: string; requestHash: string } | null; timeoutMs: Ms },
  ): Promise<CommandResult>;
  /** A named catalog query on this node's own copy; `linearizable` asks the leader first. */
  query(
    name: string,
    args: unknown,
    options: { consistency: 'local' | 'linearizable'; timeoutMs: Ms },
  ): Promise<Fresh<unknown>>;
  /** Stores content here, then pins it in the cluster. */
  add(
    entries: AsyncIterable<AddEntry>,
    options: {
      name: string;
      bytesTotal: number | null;
      min: number;
      max: number;
      labels: Record<string, string>;
    },
  ): Promise<{ task: string; item: AddedItem; result: CommandResult }>;
  cat(cid: CidText, path: string): AsyncIterable<Uint8Array>;
  ls(
    cid: CidText,
    path: string,
  ): Promise<{ path: string; type: 'file' | 'directory'; bytes: number }[]>;
  pin(cid: CidText): Promise<PinReport>;
  pins(after: string | null, limit: number): Promise<{ pins: PinReport[]; next: string | null }>;
  /** `{name, peerId, ...}` of one member with resources and ages, or null. */
  member(name: string): Promise<Record<string, unknown> | null>;
  /** Maintenance: hand-over, drains, pauses, leaving, and why somebody leads. */
  readonly operations: Operations;
  /** Throws `unavailable` before the agent has joined. */
  identity(): IdentityFace;
  events(after: number, limit: number): AgentEvent[];
  onEvent(listener: (event: AgentEvent) => void): () => void;
  tasks(): Task[];
  /** The daemons on this machine; its views come from memory. */
  readonly daemons: Pick<Fleet, 'views' | 'one' | 'follows' | 'followTemplate'>;
  /** How this machine is used, as last read; null before the first look. */
  resources(): Resources | null;
  /** null before the node has joined. */
  mesh(): MeshReport | null;
  /** Redials, asks around and rejoins gossip now. */
  healMesh(why: string): Promise<MeshHealing>;
  /** Prometheus text. */
  metrics(): Promise<string>;
  readonly recovery: Recovery;
  /** Checked in constant time against `Authorization: Bearer`. */
  readonly token: string;
  /** A leecher's port refuses writes. */
  readonly role: Role;
}
