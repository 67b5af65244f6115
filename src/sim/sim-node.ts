/**
 * One simulated machine and the process on it: the real step machine and catalog, driven as the
 * agent drives them, over a clock, a disk and a network that may fail. What happens is told to an
 * observer, which holds the checks; nothing in here judges.
 * A process that is stopped or suspended keeps its connections; what reaches it waits.
 */
import { present } from '../base/assert.ts';
import type { LogIndex, Ms, PeerId, Term } from '../base/brand.ts';
import type { Now } from '../base/clock.ts';
import type { Consensus, Event, Ready } from '../consensus/api.ts';
import { createConsensus } from '../consensus/consensus.ts';
import { decodeMessage, encodeMessage, type Message } from '../wire/consensus-message.ts';
import type { Entry } from '../wire/entry.ts';
import { createNodeStanding } from './node-standing.ts';
import type { SimNode, SimNodeDeps, SimNodeOptions } from './sim-node-face.ts';

export type { SimNode, SimNodeDeps, SimNodeOptions } from './sim-node-face.ts';

export function createSimNode(deps: SimNodeDeps, options: SimNodeOptions): SimNode {
  const { queue, prng, clock, disk, catalog, observer } = deps;
  let core: Consensus | null = null;
  let halted = false;
  let life = 0;
  let damage: string | null = null;
  let startedMs: Ms = 0;
  let lastLifeMs: Ms = 0;
  let awakeSinceMs: Ms = 0;
  let leads = false;
  let term: Term = 0;
  let waiting: Event[] = [];
  let toApply: Entry[] = [];
  let applying = false;
  let wakeAtMs = Number.POSITIVE_INFINITY;

  const now = (): Now => clock.now(queue.nowMs());
  const standing = createNodeStanding({
    ...{ id: options.id, queue, catalog, prng: prng.fork() },
    wallMs: () => clock.wallMs(queue.nowMs()),
    tell: (facts) => enqueue({ type: 'local', facts }),
  });

  const node: SimNode = {
    number: options.number,
    id: options.id,
    epoch: options.epoch,
    clock,
    disk,
    catalog,
    certificate: present(deps.certificateOf(options.id), `certificate of ${options.id}`),
    timing: undefined as never,
    bootstrap: false,
    applyMs: 0.2,
    applyStuck: false,
    freedMs: Number.NEGATIVE_INFINITY,
    troubled: false,
    admitted: false,
    state: () => (core === null ? 'absent' : halted ? 'stopped' : 'running'),
    standing: standing.view,
    core: () => core,
    now,
    damage: () => damage,
    startedMs: () => startedMs,
    lastLifeMs: () => lastLifeMs,
    awakeSinceMs: () => awakeSinceMs,
    leads: () => leads && core !== null,
    term: () => term,
    start,
    end,
    stop: () => {
      halted = true;
    },
    resume,
    post,
    receive: (from, frame) => {
      const message = decodeMessage(frame);
      const certificate = deps.certificateOf(from);
      post({ type: 'message', from, certificate, message });
    },
    checkpoint: (keep) => {
      catalog.checkpoint();
      const index = catalog.checkpointIndex() - keep;
      if (index > 0) post({ type: 'compact', index });
    },
  };

  function start(): void {
    const opened = disk.open(options.epoch);
    damage = 'damage' in opened ? opened.damage : null;
    if ('damage' in opened) {
      observer.onDamage(node, opened.damage);
      return;
    }
    life += 1;
    halted = false;
    waiting = [];
    toApply = [];
    applying = false;
    wakeAtMs = Number.POSITIVE_INFINITY;
    startedMs = queue.nowMs();
    awakeSinceMs = startedMs;
    leads = false;
    term = opened.restored.hardState.term;
    clock.restart(startedMs);
    const { restored } = opened;
    core = createConsensus({
      id: node.id,
      certificate: node.certificate,
      clusterId: options.clusterId,
      epoch: options.epoch,
      session: prng.hex(16),
      timing: node.timing,
      prng: prng.fork(),
      bootstrap: node.bootstrap && restored.snapshot === null && restored.entries.length === 0,
      restored: { ...restored, appliedIndex: catalog.appliedIndex() },
      now: now(),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
    observer.onStart(node);
    standing.onStart();
    post({ type: 'tick' });
  }

  function end(kind: 'kill' | 'power'): void {
    if (core === null) return;
    life += 1;
    lastLifeMs = queue.nowMs() - startedMs;
    core = null;
    waiting = [];
    toApply = [];
    applying = false;
    const left = disk.crash();
    if (kind === 'power') catalog.losePower();
    observer.onEnd(node, `${kind}; of the last batch: ${left}`);
  }

  function resume(): void {
    if (!halted) return;
    halted = false;
    awakeSinceMs = queue.nowMs();
    if (core === null) return;
    const late = waiting;
    waiting = [];
    // A woken process sees its timers and its sockets in any order.
    if (prng.chance(0.5)) late.unshift({ type: 'tick' });
    else late.push({ type: 'tick' });
    for (const event of late) enqueue(event);
  }

  /** Facts that somebody puts upon the node count together with what its catalog says. */
  function post(event: Event): void {
    if (event.type === 'local') enqueue({ type: 'local', facts: standing.merged(event.facts) });
    else enqueue(event);
  }

  function enqueue(event: Event): void {
    if (core === null) return;
    if (halted) {
      waiting.push(event);
      return;
    }
    observer.onStep(node, event);
    core.step(now(), event);
    drain(core);
    observer.afterStep(node);
    arm();
  }

  function drain(of: Consensus): void {
    const ready = of.ready();
    for (const { to, message } of ready.messages) send(to, message);
    for (const fact of ready.facts) {
      if (fact.type === 'state-changed') {
        leads = fact.state === 'leader';
        term = fact.term;
      }
      observer.onFact(node, fact);
    }
    if (ready.persist.length > 0) persist(ready.persist);
    if (ready.apply.length > 0) {
      toApply.push(...ready.apply);
      applyLater();
    }
    for (const { ref, outcome } of ready.outcomes) observer.onOutcome(node, ref, outcome);
    for (const { ref, outcome } of ready.reads) observer.onRead(node, ref, outcome);
    for (const answer of ready.orders) observer.onOrder(node, answer);
    for (const want of ready.sendSnapshots) deps.onSnapshotWanted(want);
    if (ready.compactTo !== null) {
      const meta = of.snapshotMeta(ready.compactTo);
      if (meta !== null) disk.compact(meta);
    }
  }

  function send(to: PeerId, message: Message): void {
    const frame = encodeMessage(message);
    observer.onSend(node, to, message, frame);
    deps.send(to, frame);
  }

  function persist(jobs: Ready['persist']): void {
    const ofLife = life;
    for (const job of jobs) {
      term = Math.max(term, job.hardState?.term ?? 0);
      observer.onPersist(node, job);
    }
    disk.persist(jobs, (job) => {
      if (ofLife !== life) return;
      observer.onDurable(node, job);
      if (job.installSnapshot !== null) {
        if (toApply.length > 0) applyNow();
        deps.installSnapshot(job.installSnapshot.ref);
        observer.onInstalled(node, job.installSnapshot.meta.index);
        standing.onApplied(null);
      }
      post({ type: 'persisted', id: job.id });
    });
  }

  function applyLater(): void {
    if (applying || toApply.length === 0) return;
    applying = true;
    const ofLife = life;
    const attempt = (): void => {
      if (ofLife !== life) return;
      if (node.applyStuck || halted) {
        queue.in(20, attempt);
        return;
      }
      applying = false;
      if (toApply.length > 0) applyNow();
      applyLater();
    };
    queue.in(node.applyMs * prng.range(0.5, 1.5), attempt);
  }

  function applyNow(): void {
    const entries = toApply;
    toApply = [];
    const results = catalog.apply(entries);
    observer.onApplied(node, entries, results);
    standing.onApplied(entries);
    const index: LogIndex = present(entries.at(-1), 'an applied entry').index;
    post({ type: 'applied', index, results });
  }

  function arm(): void {
    if (core === null || halted) return;
    const due = clock.trueMsOf(core.nextWakeMs());
    if (due >= wakeAtMs) return;
    // Timers are late, never early.
    wakeAtMs = Math.max(due, queue.nowMs()) + 0.01;
    const ofLife = life;
    const atMs = wakeAtMs;
    queue.at(atMs, () => {
      if (ofLife !== life || wakeAtMs !== atMs) return;
      wakeAtMs = Number.POSITIVE_INFINITY;
      wake();
    });
  }

  function wake(): void {
    if (core === null) return;
    if (!halted && now().monoMs < core.nextWakeMs()) arm();
    else if (!halted) post({ type: 'tick' });
  }

  return node;
}
