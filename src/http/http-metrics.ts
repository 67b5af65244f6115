/**
 * Counts and durations of the requests of this port, by route pattern (never by path, so that the
 * number of series stays fixed). Hand-made because it runs in every write: an observation is two
 * additions.
 */
const boundsS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

interface Series {
  readonly byStatus: Map<number, number>;
  readonly buckets: number[];
  sumS: number;
  count: number;
}

export interface HttpMetrics {
  /** Counts the requests of one route; asked for once, then called per request. */
  observer(route: string): (status: number, seconds: number) => void;
  /** Prometheus text. */
  render(): string;
}

const asLabel = (text: string): string => text.replace(/[\\"\n]/g, '_');

function renderDurations(route: string, series: Series): string[] {
  let below = 0;
  const name = 'bellwether_http_request_seconds';
  const lines = boundsS.map((bound, i) => {
    below += series.buckets[i] ?? 0;
    return `${name}_bucket{route="${route}",le="${bound}"} ${below}`;
  });
  return [
    ...lines,
    `${name}_bucket{route="${route}",le="+Inf"} ${series.count}`,
    `${name}_sum{route="${route}"} ${series.sumS}`,
    `${name}_count{route="${route}"} ${series.count}`,
  ];
}

export function createHttpMetrics(): HttpMetrics {
  const routes = new Map<string, Series>();
  return {
    observer(route) {
      const series: Series = {
        byStatus: new Map(),
        buckets: boundsS.map(() => 0),
        sumS: 0,
        count: 0,
      };
      routes.set(route, series);
      return (status, seconds) => {
        series.byStatus.set(status, (series.byStatus.get(status) ?? 0) + 1);
        const slot = boundsS.findIndex((bound) => seconds <= bound);
        if (slot >= 0) series.buckets[slot] = (series.buckets[slot] ?? 0) + 1;
        series.sumS += seconds;
        series.count += 1;
      };
    },
    render() {
      const counts: string[] = [];
      const durations: string[] = [];
      for (const [path, series] of routes) {
        const route = asLabel(path);
        for (const [status, count] of series.byStatus)
          counts.push(
            `bellwether_http_requests_total{route="${route}",status="${status}"} ${count}`,
          );
        durations.push(...renderDurations(route, series));
      }
      return [
        '# HELP bellwether_http_requests_total Requests answered, by route and status.',
        '# TYPE bellwether_http_requests_total counter',
        ...counts,
        '# HELP bellwether_http_request_seconds From the request line to the end of the answer.',
        '# TYPE bellwether_http_request_seconds histogram',
        ...durations,
        '',
      ].join('\n');
    },
  };
}
