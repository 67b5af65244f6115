/** What is told to others as the status port's URL. */
import type { NetworkInterfaceInfo } from 'node:os';
import { expect, test } from 'vitest';
import { statusUrlOf } from '../../../src/cli/status-url.ts';

const address = (text: string, internal = false): NetworkInterfaceInfo => {
  const rest = { address: text, netmask: '', mac: '', internal, cidr: null };
  return text.includes(':') ? { ...rest, family: 'IPv6', scopeid: 0 } : { ...rest, family: 'IPv4' };
};
const lo = [address('127.0.0.1', true), address('::1', true)];
const eth0 = [address('fe80::1'), address('2001:db8::5'), address('10.0.0.5')];

test.each([
  ['127.0.0.1', { lo, eth0 }, 'http://127.0.0.1:9099'],
  ['10.0.0.7', { lo, eth0 }, 'http://10.0.0.7:9099'],
  ['::1', { lo, eth0 }, 'http://[::1]:9099'],
  ['0.0.0.0', { lo, eth0 }, 'http://10.0.0.5:9099'],
  ['::', { lo, eth0 }, 'http://10.0.0.5:9099'],
  ['::', { lo, eth0: eth0.slice(0, 2) }, 'http://[2001:db8::5]:9099'],
  ['0.0.0.0', { lo, eth0: eth0.slice(0, 2) }, 'http://127.0.0.1:9099'],
  ['::', { lo }, 'http://[::1]:9099'],
])('a port on %s', (host, interfaces, url) => {
  expect(statusUrlOf(host, 9099, interfaces)).toBe(url);
});
