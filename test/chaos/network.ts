/**
 * A network of namespaces: every node has one of its own, linked to this process's by a pair of
 * interfaces, and this process's namespace routes between them. So all traffic between nodes passes
 * its FORWARD chain, where it can be cut, lost and reset, while clients here reach every node.
 * Must run in network and mount namespaces of its own (round.ts is started so), so that whatever
 * happens the kernel takes everything away with the last process.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createLinkProxies, type LinkProxies } from './link-proxy.ts';
import { line } from './shell.ts';

export const meshPort = 4101;
export const contentPort = 4102;
export const httpPort = 9099;

export interface Network {
  readonly address: (node: number) => string;
  readonly namespace: (node: number) => string;
  /** What `from` sends no longer reaches `to`. */
  cut(from: number, to: number): Promise<void>;
  /** Both ends of whatever passes between the two get a reset. */
  reset(a: number, b: number): Promise<void>;
  /** A share of all packets between nodes is lost; 0 ends it. */
  loss(share: number): Promise<void>;
  /** A node's link carries so few kilobits a second. */
  thin(node: number, kilobits: number): Promise<void>;
  /** Every chunk between nodes is late by so much; only where `proxied`. */
  delay(ms: number, jitterMs: number): void;
  /** Takes all faults away, delay apart. */
  heal(): Promise<void>;
  close(): void;
}

const addressOf = (node: number): string => `10.77.${node + 1}.2`;
const namespaceOf = (node: number): string => `n${node + 1}`;
const linkOf = (node: number): string => `link${node + 1}`;

async function addNode(node: number): Promise<void> {
  const [link, ns] = [linkOf(node), namespaceOf(node)];
  await line(`ip netns add ${ns}`);
  await line(`ip link add ${link} type veth peer name eth0 netns ${ns}`);
  await line(`ip addr add 10.77.${node + 1}.1/24 dev ${link}`);
  await line(`ip link set ${link} up`);
  for (const command of [
    `ip addr add ${addressOf(node)}/24 dev eth0`,
    'ip link set lo up',
    'ip link set eth0 up',
    `ip route add default via 10.77.${node + 1}.1`,
  ])
    await line(`ip -n ${ns} ${command.slice(3)}`);
}

/** Every pair of nodes talks through a proxy of ours. */
async function redirect(nodes: number, proxies: LinkProxies): Promise<void> {
  for (let from = 0; from < nodes; from++)
    for (let to = 0; to < nodes; to++) {
      if (from === to) continue;
      for (const port of [meshPort, contentPort]) {
        const at = await proxies.open({ from, to, host: addressOf(to), port });
        await line(
          `iptables -w -t nat -A PREROUTING -s ${addressOf(from)} -d ${addressOf(to)} -p tcp ` +
            `--dport ${port} -j REDIRECT --to-ports ${at}`,
        );
      }
    }
}

export async function createNetwork(options: {
  readonly nodes: number;
  readonly proxied: boolean;
}): Promise<Network> {
  mkdirSync('/run/netns', { recursive: true });
  await line('mount -t tmpfs tmpfs /run/netns');
  await line('ip link set lo up');
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  const all = Array.from({ length: options.nodes }, (_, i) => i);
  for (const node of all) await addNode(node);
  const proxies = options.proxied ? createLinkProxies() : null;
  if (proxies !== null) await redirect(options.nodes, proxies);
  const thinned = new Set<number>();
  // Between nodes: forwarded where they talk directly, ours to take in where they are proxied.
  const chain = proxies === null ? 'FORWARD' : 'INPUT';
  const between = proxies === null ? '' : ` ! --sport ${httpPort}`;

  return {
    address: addressOf,
    namespace: namespaceOf,
    cut: async (from, to) => {
      if (proxies !== null) proxies.hold(from, to);
      else await line(`iptables -w -A FORWARD -s ${addressOf(from)} -d ${addressOf(to)} -j DROP`);
    },
    reset: async (a, b) => {
      if (proxies !== null) return proxies.reset(a, b);
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const)
        await line(
          `iptables -w -A FORWARD -s ${addressOf(from)} -d ${addressOf(to)} -p tcp ` +
            '-j REJECT --reject-with tcp-reset',
        );
    },
    loss: async (share) => {
      const rule = `-p tcp -s 10.77.0.0/16${between} -m statistic --mode random --probability`;
      if (share > 0) await line(`iptables -w -A ${chain} ${rule} ${share} -j DROP`);
    },
    thin: async (node, kilobits) => {
      if (thinned.has(node)) return;
      thinned.add(node);
      const rate = `root tbf rate ${kilobits}kbit burst 16kb latency 400ms`;
      await line(`tc qdisc add dev ${linkOf(node)} ${rate}`);
      await line(`tc -n ${namespaceOf(node)} qdisc add dev eth0 ${rate}`);
    },
    delay: (ms, jitterMs) => {
      if (proxies === null) throw new Error('only a proxied network can be late');
      proxies.delay(ms, jitterMs);
    },
    heal: async () => {
      await line('iptables -w -F FORWARD');
      await line('iptables -w -F INPUT');
      proxies?.heal();
      for (const node of thinned) {
        await line(`tc qdisc del dev ${linkOf(node)} root`);
        await line(`tc -n ${namespaceOf(node)} qdisc del dev eth0 root`);
      }
      thinned.clear();
    },
    close: () => proxies?.close(),
  };
}
