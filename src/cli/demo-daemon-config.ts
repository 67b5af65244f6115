/**
 * What a node of the demo is told about its daemons: kubo everywhere, on this machine alone; the
 * service on masters, a follower elsewhere. Ports are given, so that five nodes share one machine.
 */
import type { Role } from '../wire/member.ts';

/** Shorter than usual, for the sake of watching. */
const timing = { coolDownMs: 20_000, unresponsiveMs: 5000, checkMs: 500 };

export async function daemonConfig(
  { name, role }: { readonly name: string; readonly role: Role },
  takePort: () => Promise<number>,
): Promise<Record<string, unknown>> {
  const ports = async (names: readonly string[]): Promise<Record<string, number>> => {
    const taken: Record<string, number> = {};
    for (const name of names) taken[name] = await takePort();
    return taken;
  };
  const managed = { mode: 'managed' };
  const kubo = { ...managed, network: 'local', ports: await ports(['rpc', 'gateway', 'swarm']) };
  const ofCluster =
    role === 'master'
      ? {
          ipfs_cluster_service: {
            ...managed,
            ports: await ports(['api', 'proxy', 'cluster', 'pinning']),
          },
        }
      : {
          // One follower wants its usual port, whoever else may be there.
          ipfs_cluster_follow: {
            ...managed,
            ports: await ports(name === 'worker-1' ? ['cluster'] : ['api', 'cluster']),
          },
        };
  return { workersMayLead: false, daemons: { ...timing, ipfs: kubo, ...ofCluster } };
}
