/**
 * Handing the lead over because somebody asks for it. Every candidate is asked at this moment
 * whether it could lead, and says why not; the outcome is believed only when the new leader says
 * itself that it leads.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import { decodeNodeMessage, encodeNodeMessage } from '../../wire/node-message.ts';
import { type Electable, electableSchema } from '../../wire/operation-message.ts';
import { pause } from '../deadline.ts';
import type { Node } from '../node.ts';
import type { Candidate } from './api.ts';

const askTimeoutMs: Ms = 1000;
const transferTimeoutMs: Ms = 2000;
const verifyMs: Ms = 2000;
const verifyEveryMs: Ms = 5;
/** A target that lags further would keep writes waiting for longer than a hand-over may take. */
const behindMax = 1024;

export interface Outcome {
  readonly moved: boolean;
  readonly from: string;
  readonly to: string | null;
  readonly refused: string | null;
  readonly candidates: readonly Candidate[];
}

export interface Switchover {
  candidates(): Promise<Candidate[]>;
  run(how: { to: string | null; dryRun: boolean }): Promise<Outcome>;
  /** Another leader has taken over, by its own word. */
  verified(before: PeerId, wanted: PeerId | null): Promise<PeerId | null>;
}

export function createSwitchover(node: Node): Switchover {
  const { directory, leadership, mesh, runtime, self } = node;

  const own = (): Electable => {
    const { cannotLeadReason, term, leader, commitIndex, appliedIndex } = runtime.status();
    return { reason: cannotLeadReason, term, leader, behind: commitIndex - appliedIndex };
  };
  node.peers.serve('electable', 'member', () => encodeNodeMessage(own()));

  async function wordOf(peer: PeerId): Promise<Electable> {
    if (peer === self) return own();
    const nothing = new Uint8Array(0);
    const answer = await mesh.request(peer, 'electable', nothing, { timeoutMs: askTimeoutMs });
    return decodeNodeMessage('electable', electableSchema, answer);
  }

  async function reasonOf(peer: PeerId, leader: PeerId): Promise<[string, string] | null> {
    if (!directory.configuration().voters.includes(peer))
      return ['not-a-voter', 'it is a standby and has no vote now'];
    try {
      const { reason, leader: follows, behind } = await wordOf(peer);
      if (reason !== null) return [reason, `it says of itself: ${reason}`];
      if (follows !== leader)
        return ['another-leader', `it follows ${follows ? directory.nameOf(follows) : 'nobody'}`];
      if (behind > behindMax) return ['behind', `${behind} entries are not applied there yet`];
      return null;
    } catch (thrown) {
      const { code, message } = asAgentError(thrown);
      return ['unreachable', `${code}: ${message}`];
    }
  }

  async function candidates(): Promise<Candidate[]> {
    const { leader } = leadership.view();
    if (leader === null) throw new AgentError('no-quorum', 'no leader is known; nothing was done');
    const others = directory
      .configuration()
      .members.filter((member) => member.leads && member.peerId !== leader);
    const asked = others.map(async ({ name, peerId, role, rank }): Promise<Candidate> => {
      const why = await reasonOf(peerId, leader);
      const [reason, detail] = why ?? [null, null];
      return { name, peerId, role, rank, electable: why === null, reason, detail };
    });
    const all = await Promise.all(asked);
    return all.sort((a, b) => b.rank - a.rank || (a.peerId < b.peerId ? -1 : 1));
  }

  async function verified(before: PeerId, wanted: PeerId | null): Promise<PeerId | null> {
    const { signal } = new AbortController();
    const endMs = performance.now() + verifyMs;
    for (;;) {
      const { leader } = leadership.view();
      const done = leader !== null && leader !== before && (wanted === null || leader === wanted);
      // The new leader's own word, not what is believed here.
      if (done && (await wordOf(leader).catch(() => null))?.leader === leader) return leader;
      if (performance.now() >= endMs) return null;
      await pause(verifyEveryMs, signal);
    }
  }

  /** Why the wanted target can't have the lead, as one sentence; null: it can. */
  function refusalOf(to: string | null, leader: PeerId, all: readonly Candidate[]): string | null {
    const told = all.map(({ name, reason }) => `${name}: ${reason ?? 'electable'}`).join(', ');
    if (to === null)
      return all.some((one) => one.electable) ? null : `nobody else can lead now (${told})`;
    const member = directory.byName(to);
    if (member === null) throw new AgentError('not-found', `no member is called ${to}`);
    if (member.peerId === leader) return `${to} leads already`;
    if (!member.leads) return `${to} can't take the lead: role (a ${member.role} never leads)`;
    const found = all.find((one) => one.name === to);
    return found?.electable
      ? null
      : `${to} can't take the lead: ${found?.reason} (${found?.detail})`;
  }

  return {
    candidates,
    verified,
    run: async ({ to, dryRun }) => {
      const all = await candidates();
      const before = leadership.view().leader;
      if (before === null) throw new AgentError('no-quorum', 'no leader is known any more');
      const from = directory.nameOf(before);
      const refused = refusalOf(to, before, all);
      const target = all.find((one) => one.electable && (to === null || one.name === to)) ?? null;
      if (refused !== null || dryRun) {
        const would = refused === null ? (target?.name ?? null) : null;
        return { moved: false, from, to: would, refused, candidates: all };
      }
      const peer = to === null ? null : (target?.peerId ?? null);
      try {
        await runtime.transfer(peer, transferTimeoutMs);
      } catch (thrown) {
        const { code, message } = asAgentError(thrown);
        if (code !== 'conflict') throw thrown;
        return { moved: false, from, to: null, refused: message, candidates: all };
      }
      const now = await verified(before, peer);
      const leads = now === null ? null : directory.nameOf(now);
      const lost = now === null ? 'the new leader did not confirm that it leads' : null;
      return { moved: now !== null, from, to: leads, refused: lost, candidates: all };
    },
  };
}
