/**
 * The URL under which the status port is told to others. A port that listens everywhere is told by
 * an address of this machine, since nobody can call 0.0.0.0.
 */
import type { NetworkInterfaceInfo } from 'node:os';

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

const loopbackOf: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** The first address beyond loopback; IPv4 before IPv6, which a port on `::` answers as well. */
function ownAddress(everywhere: string, interfaces: Interfaces): string | undefined {
  const found = Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));
  const four = found.find(({ family }) => family === 'IPv4');
  const six = everywhere === '::' ? found.find(({ family }) => family === 'IPv6') : undefined;
  return (four ?? six)?.address;
}

export function statusUrlOf(host: string, port: number, interfaces: Interfaces): string {
  const loopback = loopbackOf[host];
  const told = loopback === undefined ? host : (ownAddress(host, interfaces) ?? loopback);
  return `http://${told.includes(':') ? `[${told}]` : told}:${port}`;
}
