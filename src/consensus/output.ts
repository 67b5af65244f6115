/**
 * What `ready()` hands out. Persist jobs are built step by step and closed when they are taken or
 * when a cut must not be mixed with what came before it. Whatever depends on a write is held back
 * here until the job that carries the write is durable; heartbeats and requests are never held.
 */
import type { LogIndex, Ms, PeerId, Term } from '../base/brand.ts';
import type { Message } from '../wire/consensus-message.ts';
import type { Entry } from '../wire/entry.ts';
import type { Fact, HardState, PersistJob, Ready, SnapshotMeta } from './api.ts';

type Item<K extends keyof Ready> = Ready[K] extends readonly (infer T)[] ? T : never;

type Held =
  | { readonly type: 'message'; readonly to: PeerId; readonly message: Message }
  | { readonly type: 'order'; readonly answer: Item<'orders'> };

interface Outstanding {
  readonly id: number;
  /** What this job makes durable, unless a later cut takes it back. */
  end: LogIndex | null;
  readonly sinceMs: Ms;
}

interface Building {
  hardState: HardState | null;
  cutBackTo: LogIndex | null;
  append: Entry[];
  installSnapshot: { meta: SnapshotMeta; ref: string } | null;
}

const newBuilding = (): Building => ({
  hardState: null,
  cutBackTo: null,
  append: [],
  installSnapshot: null,
});

export class Output {
  messages: Item<'messages'>[] = [];
  outcomes: Item<'outcomes'>[] = [];
  reads: Item<'reads'>[] = [];
  orders: Item<'orders'>[] = [];
  sendSnapshots: Item<'sendSnapshots'>[] = [];
  facts: Fact[] = [];
  compactTo: LogIndex | null = null;
  /** Newest job that carries the hard state; 0: it is as durable as at the start. */
  hardStateJob = 0;
  durableJob = 0;
  outstanding: Outstanding[] = [];
  /** Recent time from taking a job to its completion. */
  fsyncMs: Ms = 0;
  #jobs: PersistJob[] = [];
  #building: Building | null = null;
  #nextJob = 1;
  #held = new Map<number, Held[]>();

  /** The newest job that exists, taken or still being built. */
  get newestJob(): number {
    return this.#building ? this.#nextJob : this.#nextJob - 1;
  }

  saveHardState(hardState: HardState): number {
    this.#building ??= newBuilding();
    this.#building.hardState = hardState;
    this.hardStateJob = this.#nextJob;
    return this.#nextJob;
  }

  append(entry: Entry): number {
    this.#building ??= newBuilding();
    this.#building.append.push(entry);
    return this.#nextJob;
  }

  /** Every later claim of an earlier job ends at `index`. */
  cutBackTo(index: LogIndex, nowMs: Ms): number {
    const open = this.#building;
    if (open && (open.append.length > 0 || open.cutBackTo !== null || open.installSnapshot))
      this.closeJob(nowMs);
    for (const job of this.outstanding) if (job.end !== null) job.end = Math.min(job.end, index);
    this.#building ??= newBuilding();
    this.#building.cutBackTo = index;
    return this.#nextJob;
  }

  installSnapshot(meta: SnapshotMeta, ref: string, nowMs: Ms): number {
    if (this.#building) this.closeJob(nowMs);
    for (const job of this.outstanding) job.end = null;
    this.#building = { ...newBuilding(), installSnapshot: { meta, ref } };
    return this.#nextJob;
  }

  closeJob(nowMs: Ms): void {
    if (!this.#building) return;
    const id = this.#nextJob;
    this.#nextJob += 1;
    const { append, installSnapshot } = this.#building;
    const end = append.at(-1)?.index ?? installSnapshot?.meta.index ?? null;
    this.#jobs.push({ id, ...this.#building });
    this.outstanding.push({ id, end, sinceMs: nowMs });
    this.#building = null;
  }

  send(to: PeerId, message: Message): void {
    this.messages.push({ to, message });
  }

  /** Sends once `job` is durable. */
  sendAfter(job: number, to: PeerId, message: Message): void {
    if (job <= this.durableJob) this.send(to, message);
    else this.#hold(job, { type: 'message', to, message });
  }

  answerOrderAfter(job: number, answer: Item<'orders'>): void {
    if (job <= this.durableJob) this.orders.push(answer);
    else this.#hold(job, { type: 'order', answer });
  }

  #hold(job: number, held: Held): void {
    const list = this.#held.get(job);
    if (list) list.push(held);
    else this.#held.set(job, [held]);
  }

  /** Releases what waited for `id`; answers how far the log is durable now. */
  persisted(id: number, term: Term, nowMs: Ms): LogIndex {
    let end = 0;
    const last = this.outstanding.findLast((job) => job.id <= id);
    if (last) this.fsyncMs = this.fsyncMs * 0.8 + (nowMs - last.sinceMs) * 0.2;
    while (this.outstanding[0] && this.outstanding[0].id <= id)
      end = Math.max(end, this.outstanding.shift()?.end ?? 0);
    for (let job = this.durableJob + 1; job <= id; job += 1) {
      for (const held of this.#held.get(job) ?? []) {
        if (held.type === 'order') this.orders.push(held.answer);
        // An acknowledgement of an older term came too late: the term has moved on meanwhile.
        else if (held.message.term >= term) this.messages.push(held);
      }
      this.#held.delete(job);
    }
    this.durableJob = Math.max(this.durableJob, id);
    return end;
  }

  take(apply: readonly Entry[], applySoon: boolean, nowMs: Ms): Ready {
    this.closeJob(nowMs);
    const ready: Ready = {
      persist: this.#jobs,
      messages: this.messages,
      apply,
      applySoon,
      outcomes: this.outcomes,
      reads: this.reads,
      orders: this.orders,
      sendSnapshots: this.sendSnapshots,
      compactTo: this.compactTo,
      facts: this.facts,
    };
    if (this.#jobs.length > 0) this.#jobs = [];
    if (this.messages.length > 0) this.messages = [];
    if (this.outcomes.length > 0) this.outcomes = [];
    if (this.reads.length > 0) this.reads = [];
    if (this.orders.length > 0) this.orders = [];
    if (this.sendSnapshots.length > 0) this.sendSnapshots = [];
    if (this.facts.length > 0) this.facts = [];
    this.compactTo = null;
    return ready;
  }
}
