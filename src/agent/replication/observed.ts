/**
 * What the leader has heard of the others' copies: observed state, kept in memory only, forgotten
 * with the lead and told anew to the next leader. A node counts as heard completely once its first
 * full report has arrived; before that, nothing may be concluded from what it has not said.
 */
import type { CidText, Ms, PeerId, Term } from '../../base/brand.ts';
import type { PinStatus } from '../../content/api.ts';
import type { Report } from '../../wire/node-message.ts';

export interface Copy {
  status: PinStatus;
  /** Monotonic instant at which this was heard. */
  atMs: Ms;
  /** Since when this leader hears this state; clocks of two machines are never compared. */
  stateSinceMs: Ms;
  /** Term in which the copy proved possession to this leader; null: not yet. */
  verifiedTerm: Term | null;
  verifiedMs: Ms;
}

export interface ObservedNode {
  readonly peerId: PeerId;
  readonly incarnation: number;
  seq: number;
  /** A whole full report has arrived. */
  complete: boolean;
  reportedMs: Ms;
  holdsContent: boolean;
  usage: Report['usage'];
  readonly pins: Map<CidText, Copy>;
}

export interface Observed {
  /** Takes a report in; `resend` when something between was missed. */
  accept(from: PeerId, report: Report, nowMs: Ms): { resend: boolean; changed: CidText[] };
  node(peer: PeerId): ObservedNode | null;
  nodes(): IterableIterator<ObservedNode>;
  copiesOf(cid: CidText): { peer: PeerId; copy: Copy }[];
  copy(cid: CidText, peer: PeerId): Copy | null;
  forget(peer: PeerId): void;
  clear(): void;
}

export function createObserved(): Observed {
  const nodes = new Map<PeerId, ObservedNode>();

  function begin(from: PeerId, report: Report, nowMs: Ms): ObservedNode {
    const fresh: ObservedNode = {
      peerId: from,
      incarnation: report.incarnation,
      seq: report.seq,
      complete: false,
      reportedMs: nowMs,
      holdsContent: report.holdsContent,
      usage: report.usage,
      pins: new Map(),
    };
    nodes.set(from, fresh);
    return fresh;
  }

  function take(node: ObservedNode, status: PinStatus, nowMs: Ms): void {
    const old = node.pins.get(status.cid);
    const sameState = old !== undefined && old.status.state === status.state;
    // A copy that was fetched anew has to prove itself anew.
    const same = old !== undefined && old.status.state === 'pinned' && status.state === 'pinned';
    node.pins.set(status.cid, {
      status,
      atMs: nowMs,
      stateSinceMs: sameState ? old.stateSinceMs : nowMs,
      verifiedTerm: same ? old.verifiedTerm : null,
      verifiedMs: same ? old.verifiedMs : 0,
    });
  }

  return {
    accept: (from, report, nowMs) => {
      const known = nodes.get(from);
      const follows = known?.incarnation === report.incarnation && report.seq === known.seq + 1;
      if (!report.full && !follows) return { resend: true, changed: [] };
      const changed = new Set<CidText>(report.gone);
      let node = known;
      if (report.full || node === undefined) {
        const before = known?.pins;
        for (const cid of before?.keys() ?? []) changed.add(cid);
        node = begin(from, report, nowMs);
        // A repeated full report of the same process keeps the proofs that it has given.
        if (known?.incarnation === report.incarnation)
          for (const status of report.pins) {
            const old = before?.get(status.cid);
            if (old !== undefined) node.pins.set(status.cid, old);
          }
      }
      node.seq = report.seq;
      node.reportedMs = nowMs;
      node.holdsContent = report.holdsContent;
      node.usage = report.usage;
      for (const status of report.pins) {
        take(node, status, nowMs);
        changed.add(status.cid);
      }
      for (const cid of report.gone) node.pins.delete(cid);
      if (!report.more) node.complete = true;
      return { resend: false, changed: [...changed] };
    },
    node: (peer) => nodes.get(peer) ?? null,
    nodes: () => nodes.values(),
    copiesOf: (cid) => {
      const out: { peer: PeerId; copy: Copy }[] = [];
      for (const node of nodes.values()) {
        const copy = node.pins.get(cid);
        if (copy !== undefined) out.push({ peer: node.peerId, copy });
      }
      return out;
    },
    copy: (cid, peer) => nodes.get(peer)?.pins.get(cid) ?? null,
    forget: (peer) => {
      nodes.delete(peer);
    },
    clear: () => nodes.clear(),
  };
}
