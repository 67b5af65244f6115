/**
 * Agents with real daemons for the tests: kubo on every node, ipfs-cluster by role, everything on
 * loopback and on ports of its own. Daemons outlive a killed agent, so the end is graceful first,
 * and whatever is left of ours is ended by its pid.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { DaemonView } from '../../src/daemons/api.ts';
import { createFlock, type Flock, freePorts, getJson } from '../e2e/flock.ts';
import { daemonsFolder } from './binaries.ts';

const portsPerNode = 9;

export interface DaemonFlock extends Flock {
  daemons(name: string): Promise<DaemonView[]>;
  daemon(name: string, type: string): Promise<DaemonView | null>;
  end(): Promise<void>;
}

export interface DaemonFlockOptions {
  readonly names: readonly string[];
  readonly workersMayLead: boolean;
  /** Added to what every kubo is set to. */
  readonly kubo?: Readonly<Record<string, unknown>>;
  /** Goes over what the node's daemons are set to. */
  readonly daemonsOf?: (name: string) => Readonly<Record<string, unknown>>;
}

function daemonsConfig(ports: readonly number[]) {
  const [rpc, gateway, swarm, api, proxy, cluster, pinning, follow, followSwarm] = ports;
  const kubo = { mode: 'managed', network: 'local', ports: { rpc, gateway, swarm } };
  return {
    coolDownMs: 20_000,
    unresponsiveMs: 5000,
    checkMs: 500,
    ipfs: kubo,
    ipfs_cluster_service: { mode: 'by-role', ports: { api, proxy, cluster, pinning } },
    ipfs_cluster_follow: { mode: 'by-role', ports: { api: follow, cluster: followSwarm } },
  };
}

export async function createDaemonFlock(options: DaemonFlockOptions): Promise<DaemonFlock> {
  const { names, workersMayLead } = options;
  process.env.BELLWETHER_DAEMONS_DIR ??= daemonsFolder();
  const ports = await freePorts(names.length * portsPerNode);
  const flock = await createFlock({
    names,
    timing: { holdMs: 3000, voterGraceMs: 3000, repairGraceMs: 5000 },
    configOf: (name) => {
      const at = names.indexOf(name) * portsPerNode;
      const own = ports.slice(at, at + portsPerNode);
      const daemons = daemonsConfig(own);
      const ipfs = { ...daemons.ipfs, ...options.kubo };
      return { workersMayLead, daemons: { ...daemons, ipfs, ...options.daemonsOf?.(name) } };
    },
  });
  const pids = new Set<number>();

  async function daemons(name: string): Promise<DaemonView[]> {
    const url = `${flock.node(name).url}/v1/daemons`;
    const page = await getJson<{ daemons: DaemonView[] }>(url);
    for (const { pid } of page?.daemons ?? []) if (pid !== null) pids.add(pid);
    return page?.daemons ?? [];
  }

  function endLeftOver(): void {
    for (const pid of pids)
      try {
        process.kill(-pid, 'SIGKILL');
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown;
      }
  }

  return {
    ...flock,
    daemons,
    daemon: async (name, type) => (await daemons(name)).find((one) => one.type === type) ?? null,
    end: async () => {
      const living = flock.nodes.filter((node) => node.running());
      await Promise.all(living.map(({ name }) => daemons(name)));
      await Promise.race([
        Promise.all(living.map(({ name }) => flock.signal(name, 'SIGTERM'))),
        wait(30_000),
      ]);
      endLeftOver();
      await flock.stop();
    },
  };
}
