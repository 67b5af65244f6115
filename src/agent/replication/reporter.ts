/**
 * Tells the leader what this node holds: everything once after a change of leader or when asked,
 * then what has changed, and a sign of life in between. Level-triggered: a lost report costs a
 * period, because the leader sees the gap in the sequence and asks for everything.
 */
import type { CidText, EpochId, Ms, PeerId } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import type { ContentEngine, PinStatus } from '../../content/api.ts';
import { type Report, type ReportAnswer, reportPinsMax } from '../../wire/node-message.ts';

/** Changes within this time go in one report. */
const gatherMs = 40;
/** After a report that did not arrive: the leader may be just starting. */
const retryMs = 250;

export interface ReporterDeps {
  readonly engine: ContentEngine;
  readonly incarnation: number;
  /** Whether copies may be placed here (a leecher holds content only for itself). */
  readonly holdsContent: () => boolean;
  readonly epoch: () => EpochId;
  readonly leader: () => PeerId | null;
  /** The pause between two reports without news. */
  readonly periodMs: () => Ms;
  /** Sends to the leader, which may be this node. */
  readonly deliver: (leader: PeerId, report: Report) => Promise<ReportAnswer>;
  readonly onAnswer: (answer: ReportAnswer) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface Reporter {
  start(): void;
  stop(): Promise<void>;
  /** Something changed, or the leader did. */
  poke(): void;
  gone(cid: CidText): void;
}

export function createReporter(deps: ReporterDeps): Reporter {
  const { engine } = deps;
  const changed = new Map<CidText, PinStatus | null>();
  let seq = 0;
  let toldTo: PeerId | null = null;
  let timer: NodeJS.Timeout | null = null;
  let timerAtMs = 0;
  let sending: Promise<void> | null = null;
  let running = false;

  function arm(afterMs: Ms): void {
    if (!running) return;
    const atMs = performance.now() + afterMs;
    if (timer !== null && timerAtMs <= atMs) return;
    if (timer !== null) clearTimeout(timer);
    timerAtMs = atMs;
    timer = setTimeout(() => {
      timer = null;
      sending ??= send()
        .then(() => (changed.size > 0 && toldTo !== null ? gatherMs : deps.periodMs()))
        .catch((error: unknown) => {
          toldTo = null;
          deps.onFailure('the report did not reach the leader', error);
          return retryMs;
        })
        .then((pauseMs) => {
          sending = null;
          arm(pauseMs);
        });
    }, afterMs);
  }

  async function part(
    statuses: PinStatus[],
    gone: CidText[],
    full: boolean,
    more: boolean,
  ): Promise<Report> {
    const pins = statuses.map((status) => ({ ...status }));
    seq += 1;
    const usage = await engine.usage();
    const { incarnation } = deps;
    const holdsContent = deps.holdsContent();
    const epoch = deps.epoch();
    return { epoch, incarnation, seq, full, more, pins, gone, usage, holdsContent };
  }

  async function sendAll(leader: PeerId): Promise<void> {
    changed.clear();
    const pins = await engine.pins();
    for (let from = 0; from === 0 || from < pins.length; from += reportPinsMax) {
      const slice = pins.slice(from, from + reportPinsMax);
      const report = await part(slice, [], from === 0, from + reportPinsMax < pins.length);
      const answer = await deps.deliver(leader, report);
      deps.onAnswer(answer);
      if (!answer.leads) throw new AgentError('not-leader', `${leader} does not lead any more`);
      if (answer.resend) return;
    }
    toldTo = leader;
  }

  async function sendChanges(leader: PeerId): Promise<void> {
    const batch = [...changed].slice(0, reportPinsMax);
    for (const [cid] of batch) changed.delete(cid);
    const pins = batch.flatMap(([, status]) => (status === null ? [] : [status]));
    const gone = batch.flatMap(([cid, status]) => (status === null ? [cid] : []));
    const answer = await deps.deliver(leader, await part(pins, gone, false, false));
    deps.onAnswer(answer);
    if (!answer.leads || answer.resend) {
      toldTo = null;
      if (answer.resend) arm(gatherMs);
    }
  }

  async function send(): Promise<void> {
    const leader = deps.leader();
    if (leader === null) return;
    if (leader !== toldTo) await sendAll(leader);
    else await sendChanges(leader);
  }

  return {
    start: () => {
      running = true;
      engine.onPinChange((status) => {
        changed.set(status.cid, status);
        arm(gatherMs);
      });
      arm(0);
    },
    stop: async () => {
      running = false;
      if (timer !== null) clearTimeout(timer);
      await sending;
    },
    poke: () => arm(gatherMs),
    gone: (cid) => {
      changed.set(cid, null);
      arm(gatherMs);
    },
  };
}
