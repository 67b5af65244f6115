/** Log lines by backend: a daemon's own output, or the agent's events for what has no process. */
import { type BackendName, type DashboardDeps, daemonOf } from './names.ts';

const eventsMax = 1000;
const stamp = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))/;
const levels = /\b(trace|debug|info|warn(?:ing)?|error|fatal|panic)\b/i;

interface Line {
  readonly timestamp: string | null;
  readonly level: string;
  readonly message: string;
  readonly extra: Record<string, unknown>;
}

/** What a line tells of itself, in whatever format its daemon writes. */
function lineOf(text: string): Line {
  const found = stamp.exec(text)?.[1];
  const parsed = found === undefined ? Number.NaN : Date.parse(found);
  const level = levels.exec(text)?.[1]?.toLowerCase() ?? 'info';
  return {
    timestamp: Number.isNaN(parsed) ? null : new Date(parsed).toISOString(),
    level: level === 'warning' ? 'warn' : level,
    message: text,
    extra: {},
  };
}

/** Events of the mesh and of health for libp2p, those of content for the embedded store. */
const isAbout: Readonly<Record<'libp2p' | 'embedded', RegExp>> = {
  libp2p: /^(mesh|member|hello|frame|gossip|peer|health)/,
  embedded: /^(pin|content|copy|block|store|repair|trim|challenge)/,
};

async function linesOf(deps: DashboardDeps, backend: BackendName, lines: number): Promise<Line[]> {
  if (backend === 'libp2p' || backend === 'embedded')
    return deps
      .events(0, eventsMax)
      .filter(({ type }) => isAbout[backend].test(type))
      .map(({ at, type, data }) => ({ timestamp: at, level: 'info', message: type, extra: data }));
  const type = daemonOf[backend];
  const output = type === null ? null : deps.daemons.one(type).output;
  return output === null ? [] : (await output.tail(lines)).lines.map(lineOf);
}

export async function logsOf(
  deps: DashboardDeps,
  backend: BackendName,
  { lines, level }: { lines: number; level?: string | undefined },
) {
  const wanted = level?.toLowerCase() === 'warning' ? 'warn' : level?.toLowerCase();
  const found = await linesOf(deps, backend, wanted === undefined ? lines : 1000);
  return found
    .filter((line) => wanted === undefined || line.level === wanted)
    .slice(-lines)
    .reverse()
    .map((line, i) => {
      const [date = '', time = ''] = (line.timestamp ?? '').split('T');
      return {
        id: `${backend}-${line.timestamp ?? 'unknown'}-${i}`,
        backend,
        ...line,
        formatted_time: time.slice(0, 8),
        formatted_date: date,
      };
    });
}
