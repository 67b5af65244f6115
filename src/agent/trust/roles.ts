/**
 * `role set`: another certificate for a member in place, under the same key. Rights are given after
 * the certificate says so and taken before it does: whoever loses its vote is out of the voters by
 * a joint change first, so that no vote is ever waited for that nobody would count. Every step may
 * be repeated; asking again finishes what was interrupted.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import type { CertificateRecord } from '../../catalog/query-identity.ts';
import type { ConfigurationChange } from '../../consensus/api.ts';
import type { Claims } from '../../wire/certificate.ts';
import type { Command, CommandResult } from '../../wire/command.ts';
import type { Certificate, Role } from '../../wire/member.ts';
import type { RoleSet } from '../api.ts';
import { claimsFor } from './authority.ts';
import { inRole, whyNotRole } from './role-rules.ts';
import type { Trust } from './trust.ts';

const proposeTimeoutMs: Ms = 10_000;
/** Longer than a change of voters waits for its majority. */
const reconfigureTimeoutMs: Ms = 15_000;
/** Two masters that certify at once take different generations. */
const triesMax = 4;

export interface IssuedCertificates {
  readonly certificates: readonly CertificateRecord[];
  /** Of former members too. */
  readonly highest: number;
}

export interface RolesDeps {
  readonly trust: Trust;
  readonly clock: Clock;
  readonly workersMayLead: boolean;
  /** Signs; throws `role-not-certified` where this node is no master. */
  readonly issue: (claims: Claims) => Promise<string>;
  readonly members: () => readonly Certificate[];
  readonly leader: () => PeerId | null;
  /** Up to date with everything that was acknowledged. */
  readonly issued: () => Promise<IssuedCertificates>;
  readonly propose: (command: Command, timeoutMs: Ms) => Promise<CommandResult>;
  readonly reconfigure: (change: ConfigurationChange, timeoutMs: Ms) => Promise<void>;
  readonly handOver: () => Promise<void>;
  readonly event: (type: string, data: Record<string, unknown>) => void;
}

export interface Roles {
  set(name: string, role: Role): Promise<RoleSet>;
  /** A certificate above all that this key ever had, in the log. */
  certify(claims: Claims): Promise<string>;
}

const sameRights = (a: Certificate, b: Certificate): boolean =>
  a.role === b.role && a.rank === b.rank && a.leads === b.leads && a.votes === b.votes;

export function createRoles(deps: RolesDeps): Roles {
  const { trust, clock } = deps;

  async function certify(claims: Claims): Promise<string> {
    for (let tries = 1; ; tries++) {
      const { highest } = await deps.issued();
      const gen = Math.max(highest, claims.gen) + 1;
      const certificate = await deps.issue({ ...claims, gen });
      const command = { type: 'certificate.put', peer: claims.sub, generation: gen } as const;
      const result = await deps.propose({ ...command, certificate }, proposeTimeoutMs);
      if (result.ok) return certificate;
      if (result.code !== 'conflict' || tries === triesMax)
        throw new AgentError(result.code, result.detail);
    }
  }

  /** Whether the newest certificate says so already. */
  async function isCertified(next: Certificate): Promise<boolean> {
    await trust.setIssued((await deps.issued()).certificates);
    const { certificate } = trust.judge(next.peerId);
    return certificate !== null && sameRights(certificate, next);
  }

  async function record(next: Certificate): Promise<void> {
    const known = deps.members().find(({ peerId }) => peerId === next.peerId);
    if (known && sameRights(known, next)) return;
    await deps.reconfigure({ type: 'role', member: next }, reconfigureTimeoutMs);
  }

  async function certifyAs(next: Certificate): Promise<void> {
    if (await isCertified(next)) return;
    const { peerId, name, role, zone } = next;
    const subject = { peerId, name, role, zone, rank: 0, workersMayLead: next.leads };
    const claims = claimsFor(trust.clusterId, subject, clock.wallMs());
    await certify({ ...claims, rank: next.rank });
  }

  /** A leader that will not lead any more gives the lead away before anything changes. */
  async function freeOfLead(next: Certificate): Promise<boolean> {
    if (deps.leader() !== next.peerId || next.leads) return false;
    try {
      await deps.handOver();
      return true;
    } catch (thrown) {
      const { code, message } = asAgentError(thrown);
      const detail = `${next.name} leads and could not hand the lead over: ${message}`;
      throw new AgentError(code, detail, { cause: thrown });
    }
  }

  async function set(name: string, role: Role): Promise<RoleSet> {
    const member = deps.members().find((one) => one.name === name);
    if (member === undefined) throw new AgentError('not-found', `no member is called ${name}`);
    const next = inRole(member, role, deps.workersMayLead);
    const { peerId } = next;
    const why = whyNotRole(deps.members(), peerId, next);
    if (why !== null) throw new AgentError('conflict', why);
    const steps = [() => record(next), () => certifyAs(next)];
    if (next.votes && !member.votes) steps.reverse();
    const changed = !(sameRights(member, next) && (await isCertified(next)));
    const handedOver = changed && (await freeOfLead(next));
    if (changed) for (const step of steps) await step();
    if (changed) deps.event('role-set', { name, peer: peerId, role, was: member.role });
    return { name, peerId, role, was: member.role, changed, handedOver };
  }

  return { set, certify };
}
