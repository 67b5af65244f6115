/** One authority for the tests, and certificates by it or by a stranger. */
import { claimsFor, signCertificate } from '../../../src/agent/trust/authority.ts';
import { generateAuthority } from '../../../src/agent/trust/signatures.ts';
import { type LastRefusal, openTrust, type Trust } from '../../../src/agent/trust/trust.ts';
import type { Claims } from '../../../src/wire/certificate.ts';
import type { Role } from '../../../src/wire/member.ts';

export const clusterId = 'c'.repeat(32);
export const issuedMs = Date.UTC(2026, 0, 1);
export const pair = await generateAuthority();
export const stranger = await generateAuthority();

export interface Wanted {
  readonly name?: string;
  readonly role?: Role;
  readonly by?: typeof pair;
  readonly change?: Partial<Claims>;
}

/** A signed certificate; `change` goes over what an authority would write. */
export function certify(peerId: string, wanted: Wanted = {}): Promise<string> {
  const { name = peerId, role = 'worker', by = pair, change = {} } = wanted;
  const subject = { peerId, name, role, zone: 'z', rank: 0, workersMayLead: true };
  return signCertificate(by, { ...claimsFor(clusterId, subject, issuedMs), ...change });
}

export async function trustOf(
  self: string,
  options: {
    wallMs?: () => number;
    refusals?: LastRefusal[];
    role?: Role;
    unsignedUntil?: number;
  } = {},
): Promise<Trust> {
  const { wallMs = () => issuedMs, refusals = [], role = 'worker', unsignedUntil } = options;
  return openTrust({
    self,
    clock: { now: () => ({ monoMs: 5, skippedMs: 0 }), wallMs },
    papers: {
      authority: { version: 1, clusterId, trusted: [pair.x], unsignedUntil },
      certificate: await certify(self, { role }),
      secret: null,
      next: [],
    },
    onRefused: (refusal) => refusals.push(refusal),
  });
}
