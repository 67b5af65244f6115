/**
 * The agent's configuration: one schema for the file, the environment and the flags. Every field
 * carries its unit and its default; rules across fields are listed in `crossFieldMistakes`. Unknown
 * keys are mistakes, so a typo never becomes a silent default.
 */
import { z } from 'zod';
import type { Timing } from '../consensus/api.ts';
import { defaultTiming, validateTiming } from '../consensus/timing.ts';
import { daemonTypes } from '../daemons/api.ts';
import { type DaemonsOptions, daemonMistakes, daemonsSchema } from '../daemons/options.ts';
import { roles } from '../wire/member.ts';

const ms = z.int().min(1).max(86_400_000);
const port = z.int().min(0).max(65_535);

const timingPresets = {
  /** One machine or one network: the timing that every measured figure refers to. */
  lan: { ...defaultTiming, repairGraceMs: 600_000 },
  /** Sites with up to 150 ms between them. */
  wan: {
    heartbeatMs: 300,
    leaseMs: 1500,
    electionMsMin: 1800,
    electionMsMax: 2700,
    patienceMs: 600,
    holdMs: 30_000,
    takeoverCooldownMs: 60_000,
    voterGraceMs: 180_000,
    repairGraceMs: 1_800_000,
  },
} as const;

const timingSchema = z.strictObject({
  /** Where the keys below take their defaults from. @default lan */
  preset: z.enum(['lan', 'wan']).optional(),
  heartbeatMs: ms.optional(),
  /** At least heartbeatMs x 3. */
  leaseMs: ms.optional(),
  /** At least leaseMs x 1.11. */
  electionMsMin: ms.optional(),
  electionMsMax: ms.optional(),
  /** How long a lower candidate waits for a higher rank in all. */
  patienceMs: ms.optional(),
  /** How long a higher rank must be steady before it gets the lead by hand-over. */
  holdMs: ms.optional(),
  takeoverCooldownMs: ms.optional(),
  /** After this a dead voter is swapped for a standby. */
  voterGraceMs: ms.optional(),
  /** After this the copies of a dead node are made anew elsewhere. */
  repairGraceMs: ms.optional(),
});

const contentSchema = z.strictObject({
  /** At most this many bytes of blocks here; null: what the disk holds. @default null */
  storeBytesMax: z.int().min(1_048_576).nullable().optional(),
  /** Bytes of the disk that are never used. @default 268435456 */
  reserveBytes: z.int().min(0).optional(),
  /** Port of the content host; 0 takes a free one. @default 0 */
  port: port.optional(),
});

const logSchema = z.strictObject({
  /** Entries that stay in the log for members that lag; older ones come as a snapshot. */
  keepEntries: z.int().min(10).max(10_000_000).optional(),
  /** Applied entries after which the log is cut again. */
  cutEntries: z.int().min(10).max(10_000_000).optional(),
});

export const configSchema = z.strictObject({
  role: z.enum(roles, { error: `must be one of ${roles.join(', ')}` }),
  /** The node's name in the cluster. @default the host name */
  nodeId: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, {
    error: 'must be 1 to 63 of a-z, 0-9, dot and hyphen, starting with a letter or digit',
  }),
  /** Failure zone, used to spread copies. @default default */
  zone: z.string().min(1).max(63),
  /** Folder for everything this node keeps. @default ~/.bellwether */
  data: z.string().min(1),
  httpHost: z.string().min(1),
  httpPort: port,
  /** Further names that a `Host` header may carry. @default none */
  httpHosts: z.array(z.string().min(1).max(253)).max(32),
  /** Address the mesh listens on. @default 0.0.0.0 */
  meshHost: z.string().min(1),
  /** @default 4101; 0 takes a free one */
  meshPort: port,
  /** Multiaddrs told to others instead of the listening ones (NAT, containers). @default none */
  announce: z.array(z.string().startsWith('/')).max(16),
  /** It listens nowhere and only dials others; leechers only. @default false */
  dialOutOnly: z.boolean(),
  /** Where other nodes listen: multiaddrs or host:port. @default none */
  peers: z.array(z.string().min(3).max(512)).max(256),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']),
  /** In an empty folder and without peers: make a new cluster (masters only). @default false */
  startCluster: z.boolean(),
  /**
   * File with the network key, 64 hex digits. While a node has it, the key is not rotated.
   * @default <data>/network.key
   */
  networkKeyFile: z.string().min(1).nullable(),
  /** Order among nodes of one role, 0..999; higher leads. @default 0 */
  rank: z.int().min(0).max(999),
  /** Whether a worker may lead when no master can. @default true */
  workersMayLead: z.boolean(),
  timing: timingSchema,
  content: contentSchema,
  log: logSchema,
  /** The daemons on this machine. @default all off */
  daemons: daemonsSchema,
});
type RawConfig = z.infer<typeof configSchema>;

export interface AgentTiming extends Timing {
  readonly repairGraceMs: number;
}

export interface Config
  extends Readonly<Omit<RawConfig, 'timing' | 'content' | 'log' | 'daemons'>> {
  readonly log: { readonly keepEntries: number; readonly cutEntries: number };
  readonly timing: AgentTiming;
  readonly content: {
    readonly storeBytesMax: number | null;
    readonly reserveBytes: number;
    readonly port: number;
  };
  readonly daemons: DaemonsConfig;
}

export type DaemonsConfig = DaemonsOptions &
  Required<Pick<DaemonsOptions, 'coolDownMs' | 'unresponsiveMs' | 'checkMs'>>;

const defaultDaemons = { coolDownMs: 300_000, unresponsiveMs: 10_000, checkMs: 1000 } as const;

/** The whole configuration out of a checked one: presets and defaults filled in. */
export function completeConfig(raw: RawConfig): Config {
  const { preset = 'lan', ...timing } = raw.timing;
  const { content, log } = raw;
  return {
    ...raw,
    timing: { ...timingPresets[preset], ...timing },
    content: {
      storeBytesMax: content.storeBytesMax ?? null,
      reserveBytes: content.reserveBytes ?? 268_435_456,
      port: content.port ?? 0,
    },
    log: { keepEntries: log.keepEntries ?? 10_000, cutEntries: log.cutEntries ?? 20_000 },
    daemons: { ...defaultDaemons, ...raw.daemons },
  };
}

/** Rules that no single field shows; each mistake is one sentence that names the fields. */
export function crossFieldMistakes(config: Config): string[] {
  const mistakes: string[] = [];
  const { repairGraceMs: _, ...timing } = config.timing;
  for (const mistake of validateTiming(timing)) mistakes.push(`timing: ${mistake}`);
  if (config.rank > 0 && (config.role === 'leecher' || config.role === 'witness'))
    mistakes.push(`rank ${config.rank}: a ${config.role} never leads, so a rank has no meaning`);
  if (config.dialOutOnly && config.role !== 'leecher')
    mistakes.push(
      `dialOutOnly: a ${config.role} may vote, and voters must be reachable; only a leecher may ` +
        'listen nowhere',
    );
  if (config.dialOutOnly && config.announce.length > 0)
    mistakes.push('dialOutOnly: a node that listens nowhere has nothing to announce');
  if (config.startCluster && config.peers.length === 0 && config.role !== 'master')
    mistakes.push(
      'startCluster: without peers it makes a new cluster, which only a master can; role is ' +
        config.role,
    );
  if (config.httpPort !== 0 && config.httpPort === config.meshPort)
    mistakes.push(`httpPort and meshPort are both ${config.httpPort}`);
  for (const type of daemonTypes) {
    const options = config.daemons[type];
    if (options !== undefined) mistakes.push(...daemonMistakes(type, options));
  }
  return mistakes;
}
