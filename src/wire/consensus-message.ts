/**
 * Every message of the consensus room. Each carries the protocol version, cluster id, epoch id and
 * a term, so that nothing of another cluster or epoch is ever taken for ours. Decoding checks
 * shape and limits; a frame that fails is refused here and never reaches the step machine.
 */
import type { ClusterId, EpochId, LogIndex, Ms, PeerId, Term } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import { decode as decodeCbor, encode as encodeCbor } from './cbor.ts';
import { firstIssues } from './checked.ts';
import { messageSchema } from './consensus-schema.ts';
import type { Entry } from './entry.ts';
import { packEntries, unpackEntries } from './entry-block.ts';
import { fits } from './shape.ts';

/** The version that this build speaks. */
export const protocolVersion = 1;
/** Versions of messages that this program understands. */
export const protocolVersions = { min: 1, max: protocolVersion } as const;
/** Largest encoded message, bytes. */
export const messageBytesMax = 8 * 1024 * 1024;

interface Header {
  readonly v: number;
  readonly cluster: ClusterId;
  readonly epoch: EpochId;
  /** The sender's term; in `pre-vote` and `vote` the term that is asked for. */
  readonly term: Term;
}

interface LogEnd {
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
}

/** A leadership that gave its consent: promises to it (and to no other) are released. */
export interface Release {
  readonly leader: PeerId;
  readonly term: Term;
}

export interface PreVote extends Header, LogEnd {
  readonly type: 'pre-vote';
  readonly round: number;
  readonly rank: number;
  readonly consent: Release | null;
}

export interface Vote extends Header, LogEnd {
  readonly type: 'vote';
  readonly rank: number;
  /** Set when the leader itself asked for this election. */
  readonly transfer: Release | null;
}

/** Why a vote was granted or not; `granted` is the only code of a grant. */
export type VoteCode =
  | 'granted'
  | 'veto' // a higher rank: not before me
  | 'promise' // a promise to a leader runs
  | 'leader' // the voter leads itself, with a valid lease
  | 'log' // the voter's log is more up to date
  | 'voted' // the vote of this term went elsewhere
  | 'stale-term'
  | 'not-a-voter' // the voter may not vote
  | 'not-a-candidate' // the candidate may not lead
  | 'corrupt';

interface Answer extends Header, LogEnd {
  /** The term that was asked for. */
  readonly asked: Term;
  readonly granted: boolean;
  readonly code: VoteCode;
  readonly rank: number;
  /** How much of the longest promise that still binds the voter remains, on its clock. */
  readonly promiseMs: Ms;
  /** Why the voter could not lead itself or should not, or null. */
  readonly cannotLead?: string | null | undefined;
}

export interface PreVoteReply extends Answer {
  readonly type: 'pre-vote-reply';
  readonly round: number;
}

export interface VoteReply extends Answer {
  readonly type: 'vote-reply';
}

export interface Heartbeat extends Header {
  readonly type: 'heartbeat';
  readonly round: number;
  readonly leaseMs: Ms;
  readonly commit: LogIndex;
  /** The leader pushes entries to the receiver; otherwise it pulls them from a replica. */
  readonly direct: boolean;
  /** The leader has committed an entry of its own term. */
  readonly serving: boolean;
  readonly rttMs: Ms | null;
  readonly rank: number;
}

export interface HeartbeatReply extends Header {
  readonly type: 'heartbeat-reply';
  readonly round: number;
  /** Durable here and known to equal the leader's log. */
  readonly match: LogIndex;
  /** Received and known to equal the leader's log, durable or not. */
  readonly received: LogIndex;
  readonly applied: LogIndex;
  /** Why the sender can't lead, or null. */
  readonly cannotLead: string | null;
  /** Its fsync or apply completes nothing while work waits. */
  readonly stalled: boolean;
}

export interface Append extends Header {
  readonly type: 'append';
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  readonly prevHash: string;
  readonly commit: LogIndex;
  readonly entries: readonly Entry[];
}

export interface AppendReply extends Header {
  readonly type: 'append-reply';
  readonly ok: boolean;
  readonly match: LogIndex;
  /** When refused: the `prevIndex` that did not fit, and where to try next. */
  readonly refused: LogIndex;
  readonly hint: LogIndex;
}

export interface Propose extends Header {
  readonly type: 'propose';
  readonly items: readonly {
    readonly id: number;
    readonly kind: 'command' | 'reconfigure' | 'transfer';
    readonly data: Uint8Array;
  }[];
}

export interface ProposeReply extends Header {
  readonly type: 'propose-reply';
  readonly answers: readonly {
    readonly id: number;
    readonly status: 'applied' | 'refused';
    readonly index: LogIndex;
    readonly term: Term;
    readonly result: Uint8Array;
    readonly code: string;
    readonly detail: string;
  }[];
}

export interface Read extends Header {
  readonly type: 'read';
  readonly ids: readonly number[];
}

export interface ReadReply extends Header {
  readonly type: 'read-reply';
  readonly ids: readonly number[];
  /** null: refused, ask the next leader. */
  readonly index: LogIndex | null;
}

export interface TimeoutNow extends Header {
  readonly type: 'timeout-now';
}

/** `learn` pulls committed entries, `suffix` what a candidate lacks. */
export interface Fetch extends Header, LogEnd {
  readonly type: 'fetch';
  readonly id: number;
  readonly purpose: 'learn' | 'suffix';
  readonly commit: LogIndex;
}

export interface FetchReply extends Header {
  readonly type: 'fetch-reply';
  readonly id: number;
  readonly purpose: 'learn' | 'suffix';
  readonly code: 'ok' | 'compacted' | 'not-member' | 'behind';
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  readonly prevHash: string;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
  readonly leader: PeerId | null;
}

export interface SnapshotRequest extends Header {
  readonly type: 'snapshot-request';
  readonly id: number;
}

export interface Takeover extends Header {
  readonly type: 'takeover';
  readonly phase: 'ask' | 'ready';
}

export interface TakeoverReply extends Header {
  readonly type: 'takeover-reply';
  readonly consent: boolean;
  readonly code: string;
}

/** The receiver belongs to another cluster or epoch, or speaks another version. */
export interface Reject extends Header {
  readonly type: 'reject';
  readonly code: 'epoch-mismatch' | 'cluster-mismatch' | 'version-mismatch';
}

export type Message =
  | PreVote
  | PreVoteReply
  | Vote
  | VoteReply
  | Heartbeat
  | HeartbeatReply
  | Append
  | AppendReply
  | Propose
  | ProposeReply
  | Read
  | ReadReply
  | TimeoutNow
  | Fetch
  | FetchReply
  | SnapshotRequest
  | Takeover
  | TakeoverReply
  | Reject;

/** Bytes for one frame. */
export function encodeMessage(message: Message): Uint8Array {
  if (message.type === 'append' || message.type === 'fetch-reply')
    return encodeCbor({ ...message, entries: packEntries(message.entries) });
  return encodeCbor(message);
}

function withEntries(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || !('entries' in value)) return value;
  const prev = 'prevIndex' in value ? value.prevIndex : null;
  if (!(value.entries instanceof Uint8Array) || !Number.isSafeInteger(prev))
    throw new AgentError('bad-request', 'message: entries need a byte string and prevIndex');
  return { ...value, entries: unpackEntries(value.entries, Number(prev)) };
}

/** The message of one frame, checked; throws `bad-request` or `too-large`. */
export function decodeMessage(bytes: Uint8Array): Message {
  if (bytes.length > messageBytesMax)
    throw new AgentError(
      'too-large',
      `message of ${bytes.length} bytes; at most ${messageBytesMax} are accepted`,
    );
  let value: unknown;
  try {
    value = decodeCbor(bytes);
  } catch (cause) {
    throw new AgentError('bad-request', 'message is not CBOR', { cause });
  }
  const message = withEntries(value);
  if (fits(messageSchema, message)) return message as Message;
  const parsed = messageSchema.safeParse(message);
  if (!parsed.success) throw new AgentError('bad-request', `message: ${firstIssues(parsed.error)}`);
  return parsed.data;
}
