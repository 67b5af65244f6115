/**
 * Finds out whether others can dial this node, by asking a few linked voters to do so, and dials
 * back for others. The finding goes into the health record, so that every node can tell who can't
 * be dialled by whom, and to the step machine, which makes no voter of a node that nobody reaches.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { asAgentError } from '../../base/error.ts';
import {
  askedMax,
  badForMs,
  type Dialable,
  type DialBack,
  goodForMs,
  judgeDialable,
  unknownDialable,
} from '../../health/dialable.ts';
import {
  decodeNodeMessage,
  dialBackAnswerSchema,
  dialBackRequest,
  encodeNodeMessage,
} from '../../wire/node-message.ts';
import type { Node } from '../node.ts';

const dialMs: Ms = 4000;
const askMs: Ms = dialMs + 2000;
/** Before it is known at all it is looked at this often: a promotion may wait for it. */
const unknownForMs: Ms = 500;

export interface DialBackWatch {
  start(): void;
  stop(): void;
  found(): Dialable;
}

export function createDialBack(deps: {
  readonly node: Pick<Node, 'mesh' | 'peers' | 'directory'>;
  readonly clock: Clock;
  /** It listens nowhere, by its configuration. */
  readonly dialOutOnly: boolean;
  readonly onFound: (found: Dialable) => void;
}): DialBackWatch {
  const { mesh, peers, directory } = deps.node;
  let found = unknownDialable;
  let timer: NodeJS.Timeout | null = null;
  let running = false;

  async function ask(by: PeerId): Promise<DialBack> {
    try {
      const nothing = new Uint8Array(0);
      const answer = await mesh.request(by, dialBackRequest, nothing, { timeoutMs: askMs });
      const { reached } = decodeNodeMessage('dial-back', dialBackAnswerSchema, answer);
      return { by, reached };
    } catch (thrown) {
      // One that does not dial back (an older version) takes nothing away from anybody.
      const { code } = asAgentError(thrown);
      return { by, reached: code === 'not-built' ? true : null };
    }
  }

  /** Those that will have to reach it first. */
  function helpers(): PeerId[] {
    const { voters } = directory.configuration();
    const links = mesh.links().filter(({ connected }) => connected);
    const voting = ({ peerId }: { peerId: PeerId }): number => (voters.includes(peerId) ? 0 : 1);
    return links
      .sort((a, b) => voting(a) - voting(b))
      .slice(0, askedMax)
      .map(({ peerId }) => peerId);
  }

  async function round(): Promise<void> {
    const inbound = mesh
      .links()
      .some(
        ({ connected, direction }) => connected && (direction === 'in' || direction === 'both'),
      );
    const answers = inbound ? [] : await Promise.all(helpers().map(ask));
    const next = judgeDialable(found, { inbound, answers });
    const changed = JSON.stringify(next) !== JSON.stringify(found);
    found = next;
    if (changed) deps.onFound(found);
  }

  function schedule(inMs: Ms): void {
    timer = setTimeout(() => {
      // Every failure in it is an answer of its own.
      void round().finally(() => {
        const { dialable } = found;
        if (running) schedule(dialable === null ? unknownForMs : dialable ? goodForMs : badForMs);
      });
    }, inMs);
    timer.unref();
  }

  peers.serve(dialBackRequest, 'member', async (from) => {
    const reached = await mesh.reaches(from, { timeoutMs: dialMs });
    return encodeNodeMessage({ reached });
  });

  return {
    start: () => {
      running = true;
      if (deps.dialOutOnly) {
        found = { dialable: false, notBy: [] };
        deps.onFound(found);
      } else schedule(0);
    },
    stop: () => {
      running = false;
      if (timer !== null) clearTimeout(timer);
    },
    found: () => found,
  };
}
