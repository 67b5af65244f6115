/**
 * What the leader's service wants each peer of the cluster to hold, told to followers page by page.
 * Only a pinset that was read whole counts, and only while it is fresh.
 */
import type { Ms } from '../../base/brand.ts';
import { type ClusterAllocation, isFor } from '../../daemons/cluster/rest.ts';
import {
  type PinsetAnswer,
  pinsetAnswerSchema,
  pinsetPageMax,
  pinsetSchema,
} from '../../wire/federation-message.ts';
import { decodeNodeMessage, encodeNodeMessage } from '../../wire/node-message.ts';
import type { Node } from '../node.ts';

const freshMs: Ms = 30_000;
const askMsMax: Ms = 3000;
const pagesMax = 1000;

export interface PinsetsDeps {
  readonly node: () => Node | null;
  readonly onFailure: (text: string, error: unknown) => void;
}

const unknown: PinsetAnswer = { known: false, cids: [], next: null };

export function createPinsets(deps: PinsetsDeps) {
  let held: { readonly pins: readonly ClusterAllocation[]; readonly atMs: Ms } | null = null;

  function answer(peerId: string, after: string | null): PinsetAnswer {
    const acting = deps.node()?.runtime.mayAct() ?? null;
    if (acting === null || held === null || performance.now() - held.atMs > freshMs) return unknown;
    const cids = held.pins
      .filter((pin) => isFor(pin, peerId) && (after === null || pin.cid > after))
      .slice(0, pinsetPageMax + 1)
      .map(({ cid }) => cid);
    const page = cids.slice(0, pinsetPageMax);
    return {
      known: true,
      cids: page,
      next: cids.length > page.length ? (page.at(-1) ?? null) : null,
    };
  }

  /** All that the leader's service wants this peer to hold; null: nobody knows now. */
  async function ask(peerId: string, signal: AbortSignal): Promise<ReadonlySet<string> | null> {
    const node = deps.node();
    const leader = node?.leadership.view().leader ?? null;
    if (node === null || leader === null) return null;
    const wanted = new Set<string>();
    let after: string | null = null;
    for (let page = 0; page < pagesMax; page++) {
      signal.throwIfAborted();
      const got: PinsetAnswer =
        leader === node.self
          ? answer(peerId, after)
          : await fromLeader(node, leader, peerId, after);
      if (!got.known) return null;
      for (const cid of got.cids) wanted.add(cid);
      if (got.next === null) return wanted;
      after = got.next;
    }
    return null;
  }

  async function fromLeader(node: Node, leader: string, peerId: string, after: string | null) {
    const body = encodeNodeMessage({ peerId, after });
    const answered = await node.mesh.request(leader, 'pinset', body, { timeoutMs: askMsMax });
    return decodeNodeMessage('pinset answer', pinsetAnswerSchema, answered);
  }

  return {
    ask,
    /** The whole pinset of this node's service, just read; in the order of CIDs. */
    hold: (pins: readonly ClusterAllocation[]): void => {
      const sorted = [...pins].sort((a, b) => (a.cid < b.cid ? -1 : 1));
      held = { pins: sorted, atMs: performance.now() };
    },
    serve: (): void => {
      deps.node()?.peers.serve('pinset', 'member', (_from, body) => {
        const { peerId, after } = decodeNodeMessage('pinset', pinsetSchema, body);
        return encodeNodeMessage(answer(peerId, after));
      });
    },
  };
}
