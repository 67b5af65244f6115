/**
 * The agent's own figures in one Prometheus registry. Names start with `bellwether_`; no label is
 * a peer id, so the number of series doesn't grow with the cluster. Gauges read their source when
 * the page is asked for; only the stage histograms are fed as work passes.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { createLoopLag } from './loop-lag.ts';

export type Stage = 'queue' | 'fsync' | 'commit' | 'apply' | 'answer';

export interface AgentMetrics {
  readonly registry: Registry;
  stage(stage: Stage, ms: number): void;
  count(name: CounterName, by?: number): void;
  /** A gauge whose value is asked for at each scrape. */
  gauge(name: string, help: string, read: () => number): void;
  /**
   * Gauges of one name told apart by one label, asked for at each scrape: what is no longer there
   * is gone from the page, and at most `labelsMax` are shown.
   */
  gauges(name: string, help: string, label: string, read: () => Record<string, number>): void;
  /** How late the event loop was since the last call, 99th percentile, ms. */
  recentLagMs(): number;
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
  peers_refused: 'Messages refused because of what the certificate of their sender allows',
  frames_unjudged: 'Messages that came before the certificate of their sender',
  connections_refused: 'Connections that did not pass a handshake, or whose content host is nobody',
  tokens_refused: 'Machines that came with a wrong, used or expired join token',
  certificates_issued: 'Certificates that this node signed',
  gossip_refused: 'Gossip records that were refused',
  failures: 'Work that failed and will be tried again, or was given up',
  plan_rounds: 'Rounds of the planner on this node',
  plan_actions: 'Actions that the planner of this node yielded',
} as const;
export type CounterName = keyof typeof counters;

/** Values of one label: members come and go, the page stays bounded. */
const labelsMax = 200;

const stageBucketsMs = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096];
const delayBucketsMs = [1, 2, 5, 10, 20, 30, 40, 50, 75, 100, 200, 500, 1000, 5000];

/** What the process uses, read when the page is asked for: nothing is watched in between. */
function addProcessFigures(registry: Registry): void {
  const registers = [registry];
  new Counter({
    name: 'bellwether_process_cpu_seconds_total',
    help: 'Processor time of the process, seconds',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  const memory = {
    process_resident_memory_bytes: ['Resident memory of the process', 'rss'],
    nodejs_heap_size_used_bytes: ['Heap in use by the main thread', 'heapUsed'],
    nodejs_external_memory_bytes: ['Memory outside of the heap', 'external'],
  } as const;
  for (const [name, [help, field]] of Object.entries(memory))
    new Gauge({
      name: `bellwether_${name}`,
      help,
      registers,
      collect() {
        this.set(process.memoryUsage()[field]);
      },
    });
  new Gauge({
    name: 'bellwether_process_start_time_seconds',
    help: 'Start of the process, seconds since the Unix epoch',
    registers,
  }).set(Math.round(performance.timeOrigin / 1000));
}

export function createMetrics(): AgentMetrics {
  const registry = new Registry();
  addProcessFigures(registry);
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
  const delays = new Histogram({
    name: 'bellwether_event_loop_delay_ms',
    help: 'How late the event loop of the main thread was, sampled',
    buckets: delayBucketsMs,
    registers: [registry],
  });
  const lag = createLoopLag((lateMs) => delays.observe(lateMs));
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
    gauges: (name, help, label, read) => {
      new Gauge({
        name: `bellwether_${name}`,
        help,
        labelNames: [label],
        registers: [registry],
        collect() {
          this.reset();
          for (const [value, figure] of Object.entries(read()).slice(0, labelsMax))
            this.set({ [label]: value }, figure);
        },
      });
    },
    recentLagMs: () => lag.recentP99Ms(),
    stop: () => lag.stop(),
  };
}
