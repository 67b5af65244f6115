/**
 * What the planner decides, as data with its reasons; the sentences for people are made at the
 * edge. Every change of the catalog is a compare-and-set on the version it was computed from, so a
 * stale plan does nothing. `hurry` and `challenge` are hints and questions to a node: neither
 * deletes anything.
 */
import type { CidText, LogIndex, Ms, PeerId, Term } from '../base/brand.ts';
import type { SimpleCommand } from '../wire/command.ts';

export type ExclusionCode =
  | 'role' // leechers and witnesses hold no copies
  | 'suspect'
  | 'failed'
  | 'draining'
  | 'no-room'
  | 'holds-already'
  | 'copy-failed'; // it has this pin and can't store it

/** Why a node was not chosen for a copy. */
export interface Exclusion {
  readonly peer: PeerId;
  readonly code: ExclusionCode;
  /** With `no-room`: what is free, and what would be needed. */
  readonly bytesFree?: number;
  readonly bytesNeeded?: number;
}

export type LostCode =
  | 'not-a-member'
  | 'role'
  | 'gone' // for longer than the grace
  | 'copy-failed'
  | 'draining';

/** An allocated copy that isn't counted on any more. */
export interface LostCopy {
  readonly peer: PeerId;
  readonly code: LostCode;
  readonly goneForMs: Ms | null;
}

export type Action =
  | {
      readonly type: 'allocate';
      readonly cid: CidText;
      readonly peers: readonly PeerId[];
      readonly expectedVersion: LogIndex;
      readonly reason: { readonly code: 'new-pin'; readonly wanted: number };
    }
  | {
      readonly type: 'reallocate';
      readonly cid: CidText;
      /** All of the old allocation and the added ones: copies are added before any is dropped. */
      readonly peers: readonly PeerId[];
      readonly added: readonly PeerId[];
      readonly bytes: number;
      readonly expectedVersion: LogIndex;
      readonly reason: {
        readonly code: 'below-min' | 'below-max';
        readonly standing: number;
        readonly wanted: number;
        readonly lost: readonly LostCopy[];
      };
    }
  | {
      readonly type: 'trim';
      readonly cid: CidText;
      readonly peers: readonly PeerId[];
      readonly remove: readonly PeerId[];
      /** Stay, and have proved possession in this term. */
      readonly reliesOn: readonly PeerId[];
      readonly expectedVersion: LogIndex;
      readonly reason: { readonly code: 'above-max'; readonly max: number };
    }
  | {
      /** The allocation stays; copies outside of it may go, since these are verified. */
      readonly type: 'release';
      readonly cid: CidText;
      readonly peers: readonly PeerId[];
      readonly strays: readonly PeerId[];
      readonly reliesOn: readonly PeerId[];
      readonly expectedVersion: LogIndex;
      readonly reason: { readonly code: 'held-outside-allocation' };
    }
  | {
      readonly type: 'expire';
      readonly cid: CidText;
      /** Version of the pin's policy. */
      readonly expectedVersion: LogIndex;
      readonly reason: { readonly code: 'expired'; readonly expiredAtMs: Ms };
    }
  | {
      readonly type: 'hurry';
      readonly peer: PeerId;
      readonly cid: CidText;
      readonly reason: { readonly code: 'not-reported' | 'copy-failed' };
    }
  | {
      readonly type: 'challenge';
      readonly peer: PeerId;
      readonly cid: CidText;
      readonly reason: { readonly code: 'unverified' | 'due-again' };
    };

/** A pin that gets fewer copies than it should, with each node's reason. */
export interface Shortfall {
  readonly cid: CidText;
  readonly wanted: number;
  readonly found: number;
  readonly excluded: readonly Exclusion[];
}

/** The command that an action proposes, or null for a hint. */
export function commandOf(action: Action, term: Term): SimpleCommand | null {
  switch (action.type) {
    case 'allocate':
    case 'reallocate':
    case 'trim':
    case 'release':
      return {
        type: 'allocation.set',
        cid: action.cid,
        peers: [...action.peers],
        expectedVersion: action.expectedVersion,
        reliesOn: 'reliesOn' in action ? [...action.reliesOn] : [],
        term,
        reason: action.reason.code,
      };
    case 'expire':
      return {
        type: 'pin.rm',
        cid: action.cid,
        expectedVersion: action.expectedVersion,
        automatic: true,
      };
    case 'hurry':
    case 'challenge':
      return null;
  }
}
