/**
 * Whether a member may stop, answered by the acting leader from what it hears now, and asked by the
 * member itself or by whoever drains it. Older answers are worth nothing: another member may have
 * stopped since.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import { asAgentError } from '../../base/error.ts';
import { promiseLengthMs } from '../../consensus/timing.ts';
import { atRisk, whyUnsafe } from '../../plan/safety.ts';
import { decodeNodeMessage, encodeNodeMessage } from '../../wire/node-message.ts';
import {
  type SafetyAnswer,
  safetyAnswerSchema,
  safetySchema,
} from '../../wire/operation-message.ts';
import type { Node } from '../node.ts';
import type { Holding } from '../replication/api.ts';

const askTimeoutMs: Ms = 2000;
/** Entries that a voter may lack and still count as caught up. */
const behindMax = 1024;

export interface SafetyDeps {
  readonly node: Node;
  readonly leaseMs: Ms;
  readonly nowMs: () => Ms;
  readonly holding: (peer: PeerId) => Promise<Holding>;
}

const nobody = (term: number): SafetyAnswer => ({
  ...{ acting: false, term, reasons: [], pinsAtRisk: 0, allocated: 0, leads: false },
});

export interface Safety {
  /** The leader's answer; throws when no leader can be asked. */
  ask(peer: PeerId): Promise<SafetyAnswer>;
}

export function createSafety({ node, leaseMs, nowMs, holding }: SafetyDeps): Safety {
  const { leadership, mesh, runtime, self } = node;

  async function answer(peer: PeerId): Promise<SafetyAnswer> {
    const { held, allocated } = await holding(peer);
    const { term, configuration, progress, commitIndex } = runtime.status();
    if (runtime.mayAct() === null) return nobody(term);
    const { members, voters, outgoing } = configuration;
    const heard = progress.filter(
      ({ cannotLead, lastAckMs }) => cannotLead !== 'unheard' && nowMs() - lastAckMs <= leaseMs,
    );
    const sound = heard.filter(({ match, cannotLead, steadySinceMs }) => {
      // One that has just restarted is bound by a promise that it does not remember.
      const steadyMs = steadySinceMs === null ? 0 : nowMs() - steadySinceMs;
      const settled = cannotLead !== null || steadyMs >= promiseLengthMs(leaseMs);
      return settled && commitIndex - match <= behindMax;
    });
    const heirs = sound.filter(({ cannotLead }) => cannotLead === null);
    const reasons = whyUnsafe({
      ...{ peer, voters, outgoing, held, leads: peer === self },
      isMember: members.some((member) => member.peerId === peer),
      sound: new Set([self, ...sound.map((one) => one.peer)]),
      heirs: heirs.filter((one) => one.peer !== peer && voters.includes(one.peer)).length,
    });
    return {
      ...{ acting: true, term, allocated, leads: peer === self },
      reasons: reasons.map(({ code, detail }) => ({ code, detail: detail.slice(0, 512) })),
      pinsAtRisk: atRisk(held ?? []).length,
    };
  }

  node.peers.serve('safety', 'member', async (_from, body) => {
    const { peer } = decodeNodeMessage('safety', safetySchema, body);
    return encodeNodeMessage(await answer(peer));
  });

  return {
    ask: async (peer) => {
      const { leader, term } = leadership.view();
      if (leader === null) return nobody(term);
      if (leader === self) return answer(peer);
      const body = encodeNodeMessage({ peer });
      const told = await mesh.request(leader, 'safety', body, { timeoutMs: askTimeoutMs });
      return decodeNodeMessage('safety answer', safetyAnswerSchema, told);
    },
  };
}

/** Why this node should not stop, for `/safe-to-stop`; whatever can't be found out counts as no. */
export async function reasonsAgainst(
  safety: Safety,
  peer: PeerId,
): Promise<readonly { code: string; detail: string }[]> {
  try {
    const { acting, reasons } = await safety.ask(peer);
    return acting ? reasons : [{ code: 'no-leader', detail: 'no leader acts now' }];
  } catch (thrown) {
    const { code, message } = asAgentError(thrown);
    return [{ code: 'leader-unreachable', detail: `${code}: ${message}` }];
  }
}
