/**
 * Where the copies of a pin are, as every node can tell it: policy and allocation from its own
 * catalog, the copies from the leader, which hears every node's reports. Without a leader only this
 * node's own copy is known, and nobody else's is made up.
 */
import type { CidText, Ms, PeerId } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import type { PinRecord } from '../../catalog/query-pins.ts';
import type { ContentEngine } from '../../content/api.ts';
import {
  type Copies,
  type CopiesAnswer,
  copiesAnswerSchema,
  copiesSchema,
  decodeNodeMessage,
  encodeNodeMessage,
} from '../../wire/node-message.ts';
import type { PinReport } from '../api.ts';
import type { Observed } from './observed.ts';

const askTimeoutMs = 1000;

export interface PinReportsDeps {
  readonly self: PeerId;
  readonly engine: ContentEngine;
  readonly observed: Observed;
  readonly query: (name: string, args: unknown) => Promise<unknown>;
  readonly leads: () => boolean;
  readonly leader: () => PeerId | null;
  readonly nameOf: (peer: PeerId) => string;
  readonly nowMs: () => Ms;
  readonly request: (to: PeerId, body: Uint8Array, timeoutMs: Ms) => Promise<Uint8Array>;
}

export interface PinReports {
  pin(cid: CidText): Promise<PinReport>;
  pins(after: string | null, limit: number): Promise<{ pins: PinReport[]; next: string | null }>;
  /** Answers a peer's `copies` request. */
  onCopies(body: Uint8Array): Uint8Array;
}

type Row = PinReport['copies'][number];
type PinCopies = CopiesAnswer['pins'][number]['copies'];

export function createPinReports(deps: PinReportsDeps): PinReports {
  const { observed } = deps;

  function known(cids: readonly CidText[]): CopiesAnswer {
    const nowMs = deps.nowMs();
    const pins = cids.map((cid) => ({
      cid,
      copies: observed.copiesOf(cid).map(({ peer, copy }) => ({
        peerId: peer,
        status: { ...copy.status },
        verified: copy.verifiedTerm !== null,
        ageMs: Math.max(0, nowMs - (observed.node(peer)?.reportedMs ?? copy.atMs)),
      })),
    }));
    return { leads: deps.leads(), pins };
  }

  async function ownOnly(cids: readonly CidText[]): Promise<CopiesAnswer> {
    const own = new Map((await deps.engine.pins()).map((status) => [status.cid, status]));
    const pins = cids.map((cid) => {
      const status = own.get(cid);
      const copies =
        status === undefined
          ? []
          : [{ peerId: deps.self, status: { ...status }, verified: false, ageMs: 0 }];
      return { cid, copies };
    });
    return { leads: false, pins };
  }

  async function copiesOf(cids: CidText[]): Promise<Map<CidText, PinCopies>> {
    let answer: CopiesAnswer | null = null;
    const leader = deps.leader();
    if (deps.leads()) answer = known(cids);
    else if (leader !== null && cids.length > 0) {
      const asked: Copies = { cids };
      // Without the leader's word the page still answers, with what this node knows itself.
      answer = await deps
        .request(leader, encodeNodeMessage(asked), askTimeoutMs)
        .then((body) => decodeNodeMessage('copies answer', copiesAnswerSchema, body))
        .catch(() => null);
    }
    if (answer?.leads !== true) answer = await ownOnly(cids);
    return new Map(answer.pins.map((pin) => [pin.cid, pin.copies]));
  }

  function report(pin: PinRecord, copies: PinCopies): PinReport {
    const { cid, name, bytes, min, max, version, allocation } = pin;
    const rows: Row[] = copies.map(({ peerId, status, verified, ageMs }) => ({
      peerId,
      node: deps.nameOf(peerId),
      status,
      verified,
      ageMs,
    }));
    for (const peer of allocation.peers)
      if (!rows.some((row) => row.peerId === peer))
        rows.push({
          peerId: peer,
          node: deps.nameOf(peer),
          status: null,
          verified: false,
          ageMs: null,
        });
    const verified = rows.filter((row) => row.verified).length;
    return {
      cid,
      name,
      bytes,
      min,
      max,
      version,
      allocations: allocation.peers,
      verified,
      copies: rows,
    };
  }

  return {
    pin: async (cid) => {
      const pin = (await deps.query('pins.get', { cid })) as PinRecord | null;
      if (pin === null) throw new AgentError('not-found', `no pin ${cid}`);
      return report(pin, (await copiesOf([cid])).get(cid) ?? []);
    },
    pins: async (after, limit) => {
      const page = (await deps.query('pins.list', { after, limit })) as {
        pins: PinRecord[];
        next: string | null;
      };
      const copies = await copiesOf(page.pins.map((pin) => pin.cid));
      return {
        pins: page.pins.map((pin) => report(pin, copies.get(pin.cid) ?? [])),
        next: page.next,
      };
    },
    onCopies: (body) =>
      encodeNodeMessage(known(decodeNodeMessage('copies', copiesSchema, body).cids)),
  };
}
