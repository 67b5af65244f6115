/**
 * Another authority while everything runs. `rotate` gives the new secret to the masters and then
 * lets the log say that it follows; from there on it signs, both count, and members take a
 * certificate of it. `retire` ends the former ones: that is a person's act, because it is meant for
 * the case that somebody who had the old secret is not trusted any more.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import type { Command } from '../../wire/command.ts';
import {
  type AuthorityPair,
  authorityPairSchema,
  encodeEnrolment,
  trustedMax,
} from '../../wire/enrolment.ts';
import { decodeNodeMessage } from '../../wire/node-message.ts';
import type { AuthorityReport, AuthorityRetired, AuthorityRotated } from '../api.ts';
import type { Directory } from '../directory.ts';
import type { PeerService } from '../peer-service.ts';
import { generateAuthority, kidOf } from './signatures.ts';
import { signRetirement, signSuccession } from './succession.ts';
import type { Trust } from './trust.ts';
import { mustBePair, type Vault } from './vault.ts';

/** From master to master: keep this secret until the log says that it follows. */
const nextRequest = 'authority-next';
const askTimeoutMs: Ms = 5000;

export interface RotationDeps {
  readonly trust: Trust;
  readonly clock: Clock;
  readonly vault: Vault;
  readonly directory: Directory;
  readonly peers: PeerService;
  /** The secret that signs; throws where this node has none. */
  readonly authority: () => AuthorityPair;
  readonly applied: (command: Command) => Promise<unknown>;
  /** Returns when trust knows everything that was acknowledged before. */
  readonly catchUp: () => Promise<void>;
  readonly ask: (
    peer: PeerId,
    name: string,
    body: Uint8Array,
    timeoutMs: Ms,
  ) => Promise<Uint8Array>;
  readonly linked: () => readonly PeerId[];
  readonly openTokens: () => Promise<number>;
  readonly event: (type: string, data: Record<string, unknown>) => void;
}

export interface Rotation {
  authorities(): AuthorityReport;
  rotateAuthority(): Promise<AuthorityRotated>;
  retireAuthority(force: boolean): Promise<AuthorityRetired>;
}

export function createRotation(deps: RotationDeps): Rotation {
  const { trust, clock, directory } = deps;
  const keys = trust.authorities;

  function authorities(): AuthorityReport {
    const [signer, accepted] = [keys.signer(), new Set(keys.accepted())];
    const known = keys.followed()?.keys.map(({ x }) => x) ?? [];
    const stateOf = (x: string) =>
      x === signer ? 'signing' : accepted.has(x) ? 'accepted' : 'retired';
    const members = directory.configuration().members.map(({ name, peerId, role }) => {
      const by = trust.known(peerId)?.by ?? null;
      const authority = by === null ? null : kidOf(by);
      return { name, peerId, role, authority, followed: by === signer };
    });
    return {
      authorities: [...new Set([...known, ...accepted])].map((x) => {
        return { fingerprint: kidOf(x), state: stateOf(x) };
      }),
      members,
      statementsIgnored: trust.ignored(),
    };
  }

  /** null: it has it; otherwise why not, from a master that could be asked or could not. */
  async function give(next: AuthorityPair, to: PeerId): Promise<AgentError | null> {
    try {
      await deps.ask(to, nextRequest, encodeEnrolment(next), askTimeoutMs);
      return null;
    } catch (thrown) {
      return asAgentError(thrown);
    }
  }

  /** Every linked master has it afterwards; one that refuses it stops the rotation. */
  async function giveToMasters(
    next: AuthorityPair,
  ): Promise<{ held: string[]; waiting: string[] }> {
    const linked = new Set(deps.linked());
    const others = directory
      .configuration()
      .members.filter(({ role, peerId }) => role === 'master' && peerId !== directory.self);
    const answers = await Promise.all(others.map(({ peerId }) => give(next, peerId)));
    const held = [trust.own().member.name];
    const waiting: string[] = [];
    for (const [i, { name, peerId }] of others.entries()) {
      const error = answers[i] ?? null;
      if (error !== null && linked.has(peerId))
        throw new AgentError(
          error.code,
          `nothing was changed: ${name} did not take the new secret: ${error.message}`,
          { cause: error },
        );
      (error === null ? held : waiting).push(name);
    }
    return { held, waiting };
  }

  async function rotateAuthority(): Promise<AuthorityRotated> {
    await deps.catchUp();
    const from = deps.authority();
    if (keys.papers().trusted.length >= trustedMax)
      throw new AgentError(
        'conflict',
        `${trustedMax} authorities count at the same time; end the former ones first: authority ` +
          'retire',
      );
    const to = await generateAuthority();
    await deps.vault.hold(to);
    const { held: heldBy, waiting } = await giveToMasters(to);
    const statement = await signSuccession(trust.clusterId, { from, to }, clock.wallMs());
    await deps.applied({ type: 'authority.put', kind: 'succession', statement });
    await deps.catchUp();
    if (keys.signer() !== to.x)
      throw new AgentError(
        'conflict',
        `another master was first: the authority is ${kidOf(keys.signer())} now`,
      );
    await deps.vault.settle();
    const [fingerprint, was] = [kidOf(to.x), kidOf(from.x)];
    deps.event('authority-rotated', { authority: fingerprint, was });
    return { fingerprint, was, heldBy, waiting };
  }

  async function retireAuthority(force: boolean): Promise<AuthorityRetired> {
    await deps.catchUp();
    const by = deps.authority();
    const former = keys.papers().trusted.filter((x) => x !== by.x);
    if (former.length === 0)
      throw new AgentError(
        'conflict',
        `${kidOf(by.x)} is the only authority that counts; another one is made by: authority ` +
          'rotate',
      );
    const behind = authorities().members.filter(({ followed }) => !followed);
    const names = behind.map(({ name }) => name);
    if (behind.length > 0 && !force)
      throw new AgentError(
        'conflict',
        `not certified by ${kidOf(by.x)} yet, as far as this node saw: ${names.join(', ')}; wait ` +
          'for them, forget them, or --force: they would have to ask for a certificate first',
      );
    const before = await deps.openTokens();
    const statement = await signRetirement(trust.clusterId, by, former, clock.wallMs());
    await deps.applied({ type: 'authority.put', kind: 'retirement', statement });
    await deps.catchUp();
    const retired = former.filter((x) => keys.refusal(x) !== null).map(kidOf);
    if (retired.length < former.length)
      throw new AgentError('conflict', 'the authority changed meanwhile; look at: authority ls');
    deps.event('authority-retired', { authority: kidOf(by.x), retired });
    const tokensEnded = before - (await deps.openTokens());
    return { fingerprint: kidOf(by.x), retired, behind: names, tokensEnded };
  }

  deps.peers.serve(nextRequest, 'master', async (from, body) => {
    const { role, name } = trust.own().member;
    if (role !== 'master')
      throw new AgentError('role-not-certified', `${name} is a ${role} and holds no secret`);
    const next = decodeNodeMessage('authority', authorityPairSchema, body);
    await mustBePair(next, trust.clusterId);
    await deps.vault.hold(next);
    deps.event('authority-held', { authority: kidOf(next.x), from: directory.nameOf(from) });
    return new Uint8Array(0);
  });
  return { authorities, rotateAuthority, retireAuthority };
}
