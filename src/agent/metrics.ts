/**
 * The agent's own figures in one Prometheus registry. Names start with `bellwether_`; no label is
 * a peer id, so the number of series doesn't grow with the cluster. Gauges read their source when
 * the page is asked for; only the stage histograms are fed as work passes.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Stage = 'queue' | 'fsync' | 'commit' | 'apply' | 'answer';

export interface AgentMetrics {
  readonly registry: Registry;
  stage(stage: Stage, ms: number): void;
  count(name: CounterName, by?: number): void;
  /** A gauge whose value is asked for at each scrape. */
  gauge(name: string, help: string, read: () => number): void;
  /** Recent event-loop lag, ms: p99 since the last call of `resetLag`. */
  lagMs(): { mean: number; p99: number; max: number };
  resetLag(): void;
  stop(): void;
}

const counters = {
  frames_undecodable: 'Frames of peers that did not decode',
  frames_dropped: 'Frames that could not be queued for a peer',
  frames_sent: 'Consensus frames sent',
  frames_received: 'Consensus frames received',
  proposals: 'Proposals made by this node',
  proposals_failed: 'Proposals that were refused or whose outcome is unknown',
  elections: 'Changes of state seen by this node',
  snapshots_sent: 'Catalog snapshots streamed to others',
  snapshots_received: 'Catalog snapshots received whole',
  snapshots_failed: 'Snapshot streams that failed or did not verify',
  compactions: 'Times the log was cut at its beginning',
  orders_executed: 'Orders of a leader executed here',
  orders_refused: 'Orders refused by the fence',
  challenges_passed: 'Copies that proved possession to this leader',
  challenges_failed: 'Copies that failed to prove possession to this leader',
  gossip_refused: 'Gossip records that were refused',
  failures: 'Work that failed and will be tried again, or was given up',
  plan_rounds: 'Rounds of the planner on this node',
  plan_actions: 'Actions that the planner of this node yielded',
} as const;
export type CounterName = keyof typeof counters;

const stageBucketsMs = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096];

export function createMetrics(): AgentMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'bellwether_' });
  const stages = new Histogram({
    name: 'bellwether_write_stage_ms',
    help: 'Milliseconds a batch of writes spent per stage',
    labelNames: ['stage'],
    buckets: stageBucketsMs,
    registers: [registry],
  });
  const byStage = new Map<Stage, { observe(value: number): void }>(
    (['queue', 'fsync', 'commit', 'apply', 'answer'] as const).map((stage) => [
      stage,
      stages.labels(stage),
    ]),
  );
  const byName = new Map<CounterName, Counter>();
  for (const [name, help] of Object.entries(counters)) {
    const counter = new Counter({ name: `bellwether_${name}_total`, help, registers: [registry] });
    byName.set(name as CounterName, counter);
  }
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const toMs = (ns: number): number => (Number.isFinite(ns) ? Math.max(0, ns / 1e6 - 10) : 0);
  return {
    registry,
    stage: (stage, ms) => byStage.get(stage)?.observe(ms),
    count: (name, by = 1) => byName.get(name)?.inc(by),
    gauge: (name, help, read) => {
      new Gauge({
        name: `bellwether_${name}`,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      });
    },
    lagMs: () => ({
      mean: toMs(delay.mean),
      p99: toMs(delay.percentile(99)),
      max: toMs(delay.max),
    }),
    resetLag: () => delay.reset(),
    stop: () => delay.disable(),
  };
}
