/**
 * Reads the configuration: defaults, then the YAML file, then BELLWETHER_* variables, then flags.
 * All mistakes are collected and told at once, each with the field and where it came from; nothing
 * is adjusted in silence. The result is frozen.
 */
import { existsSync, readFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { AgentError } from '../base/error.ts';
import { type Config, completeConfig, configSchema, crossFieldMistakes } from './config-schema.ts';
import { certificateFile } from './trust/authority.ts';

export type { Config } from './config-schema.ts';

export interface ConfigSources {
  readonly file: string | null;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** camelCase names of the command line's options, only those that were given. */
  readonly flags: Readonly<Record<string, unknown>>;
}

type Kind = 'text' | 'number' | 'flag' | 'list';

/** How a text from the environment or a flag becomes a value. */
const fields: Readonly<Record<string, Kind>> = {
  role: 'text',
  nodeId: 'text',
  zone: 'text',
  data: 'text',
  httpHost: 'text',
  httpPort: 'number',
  httpHosts: 'list',
  meshHost: 'text',
  meshPort: 'number',
  announce: 'list',
  dialOutOnly: 'flag',
  peers: 'list',
  logLevel: 'text',
  startCluster: 'flag',
  networkKeyFile: 'text',
  rank: 'number',
  workersMayLead: 'flag',
};

const variableOf = (field: string): string =>
  `BELLWETHER_${field.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;

/** A text as the kind asks; what doesn't fit stays text, so that the schema names it. */
function typedValue(kind: Kind, given: unknown): unknown {
  if (typeof given !== 'string') return given;
  const text = given.trim();
  if (kind === 'number') return /^-?\d+$/.test(text) ? Number(text) : given;
  if (kind === 'flag') return text === 'true' || text === '1' || (text !== 'false' && given);
  if (kind === 'list')
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  return given;
}

/** A host name as the name of a node. */
export function nodeNameOf(host: string): string {
  return host
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-')
    .slice(0, 63);
}

/** What a data folder's certificate says, unverified: the agent checks it when it starts. */
const peeked = z.object({ name: z.string(), role: z.string(), zone: z.string() });

/** Role, name and zone are the certificate's where nobody says otherwise. */
function certifiedDefaults(data: unknown): Record<string, unknown> {
  const file = typeof data === 'string' ? join(data, certificateFile) : null;
  if (file === null || !existsSync(file)) return {};
  const [, payload = ''] = readFileSync(file, 'utf8').split('.');
  try {
    const claims = peeked.parse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')));
    return { nodeId: claims.name, role: claims.role, zone: claims.zone };
  } catch (cause) {
    throw new AgentError('damaged', `${file} holds no certificate`, { cause });
  }
}

function defaults(): Record<string, unknown> {
  return {
    nodeId: nodeNameOf(hostname()),
    zone: 'default',
    data: join(homedir(), '.bellwether'),
    httpHost: '127.0.0.1',
    httpPort: 9099,
    httpHosts: [],
    meshHost: '0.0.0.0',
    meshPort: 4101,
    announce: [],
    dialOutOnly: false,
    peers: [],
    logLevel: 'info',
    startCluster: false,
    networkKeyFile: null,
    rank: 0,
    workersMayLead: true,
    timing: {},
    content: {},
    log: {},
    daemons: {},
  };
}

function readFile(file: string, mistakes: string[]): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    mistakes.push(`config file ${file} can't be read: ${(cause as Error).message}`);
    return {};
  }
  try {
    const value: unknown = parseYaml(text);
    if (value === null) return {};
    if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
    mistakes.push(`config file ${file}: must be a mapping of names to values`);
  } catch (cause) {
    mistakes.push(`config file ${file} is not YAML: ${(cause as Error).message.split('\n')[0]}`);
  }
  return {};
}

function issueText(issue: z.core.$ZodIssue, origin: ReadonlyMap<string, string>): string {
  const path = issue.path.join('.');
  const from = origin.get(String(issue.path[0] ?? ''));
  const where = from === undefined ? path : `${path} (${from})`;
  if (issue.code === 'unrecognized_keys') {
    const prefix = path === '' ? '' : `${path}.`;
    return issue.keys.map((key) => `${prefix}${key}: no such setting`).join('\n');
  }
  return `${where}: ${issue.message}`;
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value;
}

/** `--start-daemon`: the named ones are managed, whatever else the file says about them. */
function withManaged(daemons: unknown, named: unknown): Record<string, unknown> {
  const section = { ...(daemons as Record<string, unknown> | null) };
  const types = typedValue('list', named === true ? 'ipfs' : named) as readonly string[];
  for (const type of types)
    section[type] = { ...(section[type] as Record<string, unknown> | null), mode: 'managed' };
  return section;
}

/** The configuration of an agent; throws `bad-request` whose text lists every mistake. */
export function loadConfig(sources: ConfigSources): Config {
  const mistakes: string[] = [];
  const origin = new Map<string, string>();
  const merged = defaults();
  if (sources.file !== null)
    for (const [key, value] of Object.entries(readFile(sources.file, mistakes))) {
      merged[key] = value;
      origin.set(key, `in ${sources.file}`);
    }
  for (const [field, kind] of Object.entries(fields)) {
    const text = sources.env[variableOf(field)];
    if (text === undefined || text === '') continue;
    merged[field] = typedValue(kind, text);
    origin.set(field, variableOf(field));
  }
  for (const [field, value] of Object.entries(sources.flags)) {
    if (value === undefined) continue;
    if (field === 'startDaemon') {
      merged.daemons = withManaged(merged.daemons, value);
      continue;
    }
    const kind = fields[field];
    merged[field] = kind === undefined ? value : typedValue(kind, value);
    origin.set(field, 'on the command line');
  }
  for (const [field, value] of Object.entries(certifiedDefaults(merged.data)))
    if (!origin.has(field)) merged[field] = value;
  const parsed = configSchema.safeParse(merged);
  if (!parsed.success)
    mistakes.push(...parsed.error.issues.map((issue) => issueText(issue, origin)));
  const config = parsed.success ? completeConfig(parsed.data) : null;
  if (config !== null) mistakes.push(...crossFieldMistakes(config));
  if (config === null || mistakes.length > 0)
    throw new AgentError('bad-request', `configuration:\n  ${mistakes.join('\n  ')}`);
  return freeze({ ...config, data: resolve(config.data) });
}
