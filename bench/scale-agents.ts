/**
 * Several agents in one process, for `npm run bench -- scale`: started one after the other from
 * folders that are there already, told and asked over the process's channel. Runs bundled, with
 * counters of what gossip sends planted into the bundle.
 */
import { createAgent } from '../src/agent/agent.ts';
import type { Agent } from '../src/agent/api.ts';
import { loadConfig } from '../src/agent/config.ts';

export interface Planned {
  readonly name: string;
  readonly role: string;
  readonly data: string;
  readonly port: number;
  /** host:port of the first node; null: this is it. */
  readonly seed: string | null;
}

export type Asked =
  | { readonly type: 'start'; readonly agents: readonly Planned[] }
  | { readonly type: 'look'; readonly about: string };

export interface Look {
  readonly name: string;
  readonly leader: string | null;
  readonly acting: boolean;
  readonly members: number;
  /** How this agent sees the member it was asked about. */
  readonly state: string | null;
}

export type Said =
  | { readonly type: 'started'; readonly name: string }
  | {
      readonly type: 'look';
      readonly looks: readonly Look[];
      readonly gossipBytes: number;
      readonly cpuMs: number;
      readonly rssBytes: number;
      readonly lagMs: number;
    };

const counters = globalThis as unknown as { gossipBytes?: number };
const agents = new Map<string, Agent>();
let lagMs = 0;

const say = (said: Said): void => void process.send?.(said);

async function start({ name, role, data, port, seed }: Planned): Promise<void> {
  const flags = {
    ...{
      role,
      nodeId: name,
      data,
      meshHost: '127.0.0.1',
      meshPort: port,
      logLevel: process.env.SCALE_LOG ?? 'silent',
    },
    ...(seed === null ? { startCluster: true } : { peers: [seed] }),
  };
  const agent = createAgent(loadConfig({ file: null, env: {}, flags }), {
    onFatal: (error) => {
      process.stderr.write(`${name}: ${error.stack}\n`);
      process.exit(1);
    },
  });
  agents.set(name, agent);
  await agent.start();
  say({ type: 'started', name });
}

async function look(name: string, agent: Agent, about: string): Promise<Look> {
  const { leader, acting } = agent.leader();
  // One that is still on its way in knows no members.
  const page = agent.readiness().unmet.includes('joined') ? {} : await agent.status();
  const { members = [] } = page as { members?: { name: string; state: string }[] };
  const state = members.find((member) => member.name === about)?.state ?? null;
  return { name, leader: leader?.name ?? null, acting, members: members.length, state };
}

async function onAsked(asked: Asked): Promise<void> {
  if (asked.type === 'start') {
    for (const plan of asked.agents) await start(plan);
    return;
  }
  const looks = await Promise.all(
    [...agents].map(([name, agent]) => look(name, agent, asked.about)),
  );
  const { user, system } = process.cpuUsage();
  const gossipBytes = counters.gossipBytes ?? 0;
  const cpuMs = (user + system) / 1000;
  say({ type: 'look', looks, gossipBytes, cpuMs, rssBytes: process.memoryUsage.rss(), lagMs });
  lagMs = 0;
}

process.on('message', (asked: Asked) => {
  onAsked(asked).catch((error: Error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  });
});
// Nobody asks any more: the comparison is over or was ended.
process.on('disconnect', () => process.exit(0));
let dueMs = performance.now() + 50;
setInterval(() => {
  lagMs = Math.max(lagMs, performance.now() - dueMs);
  dueMs = performance.now() + 50;
}, 50);
