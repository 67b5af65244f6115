/**
 * The failure detector on a real mesh: carries out its probes and requests for help, feeds it what
 * comes, and wakes it when it wants. A request that merely takes long is no result: the detector's
 * own deadline decides, which its standstills postpone.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { asAgentError } from '../../base/error.ts';
import type { DetectorAction, FailureDetector } from '../../health/failure-detector.ts';
import type { ProbeResult } from '../../health/probes.ts';
import {
  decodeNodeMessage,
  encodeNodeMessage,
  probeRequest,
  type ReachAnswer,
  reachAnswerSchema,
  reachRequest,
  reachSchema,
} from '../../wire/node-message.ts';
import type { Node } from '../node.ts';

/** A request is given up after this; long past every deadline of the detector that matters. */
const requestMsMax: Ms = 5000;
/** How long a helper waits for the one it asks about. */
const reachMs: Ms = 400;

export interface Prober {
  start(): void;
  stop(): void;
  /** After any input: does what is due. */
  turn(): void;
}

export interface ProberDeps {
  readonly node: Pick<Node, 'mesh' | 'peers'>;
  readonly clock: Clock;
  readonly detector: FailureDetector;
  readonly onSay: () => void;
  readonly onChanged: (change: Extract<DetectorAction, { type: 'changed' }>) => void;
}

export function createProber(deps: ProberDeps): Prober {
  const { node, clock, detector } = deps;
  let timer: NodeJS.Timeout | null = null;
  let running = false;
  const nowMs = (): Ms => clock.now().monoMs;

  const ask = (peer: PeerId, timeoutMs: Ms): Promise<Uint8Array> =>
    node.mesh.request(peer, probeRequest, new Uint8Array(0), { timeoutMs, linkedOnly: true });

  function tell(result: ProbeResult): void {
    if (!running) return;
    detector.result(result, nowMs());
    turn();
  }

  function probe(id: number, peer: PeerId): void {
    ask(peer, requestMsMax).then(
      () => tell({ type: 'answered', id, peer }),
      (thrown: unknown) => {
        const { code } = asAgentError(thrown);
        // An older node that knows no such request lives all the same.
        if (code === 'not-built') tell({ type: 'answered', id, peer });
        else if (code !== 'timeout') tell({ type: 'no-link', id, peer });
      },
    );
  }

  function askHelp(id: number, helper: PeerId, peer: PeerId): void {
    const body = encodeNodeMessage({ peer });
    node.mesh
      .request(helper, reachRequest, body, { timeoutMs: requestMsMax, linkedOnly: true })
      .then(
        (bytes) => {
          const { answer } = decodeNodeMessage('reach', reachAnswerSchema, bytes);
          tell({ type: 'helped', id, helper, answer });
        },
        (thrown: unknown) => {
          // It answered, if only that it can't help.
          if (asAgentError(thrown).code !== 'timeout')
            tell({ type: 'helped', id, helper, answer: 'unknown' });
        },
      );
  }

  async function help(body: Uint8Array): Promise<Uint8Array> {
    const { peer } = decodeNodeMessage('reach', reachSchema, body);
    const say = (answer: ReachAnswer['answer']): Uint8Array => encodeNodeMessage({ answer });
    if (peer === node.mesh.peerId) return say('reached');
    if (!detector.knowsLink(peer)) return say('unknown');
    try {
      await ask(peer, reachMs);
      return say('reached');
    } catch (thrown) {
      return say(asAgentError(thrown).code === 'not-built' ? 'reached' : 'not-reached');
    }
  }

  function turn(): void {
    if (!running) return;
    let says = false;
    for (const action of detector.step(nowMs()))
      if (action.type === 'say') says = true;
      else if (action.type === 'changed') deps.onChanged(action);
      else if (action.type === 'probe') probe(action.id, action.peer);
      else askHelp(action.id, action.helper, action.peer);
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(turn, Math.max(1, detector.nextWakeMs() - nowMs()));
    timer.unref();
    if (says) deps.onSay();
  }

  return {
    turn,
    start: () => {
      running = true;
      node.peers.serve(probeRequest, 'member', () => new Uint8Array(0));
      node.peers.serve(reachRequest, 'member', (_, body) => help(body));
      turn();
    },
    stop: () => {
      running = false;
      if (timer !== null) clearTimeout(timer);
    },
  };
}
