/**
 * Keeps this node certified: well before its certificate runs out, and also when it has run out
 * already, it gets the next one with the same rights; so it does when its authority has a
 * successor. A master signs its own; others ask a master.
 * The same rounds see to it that a master has the key to sign with, and nobody else.
 */
import type { Ms, PeerId } from '../../base/brand.ts';
import type { Clock } from '../../base/clock.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import type { Mesh } from '../../mesh/api.ts';
import { renewBeforeMs } from '../../wire/certificate.ts';
import { encodeEnrolment, renewSchema } from '../../wire/enrolment.ts';
import { decodeNodeMessage } from '../../wire/node-message.ts';
import { renewed, signCertificate } from './authority.ts';
import type { Trust } from './trust.ts';
import type { Vault } from './vault.ts';

const lookMs: Ms = 10 * 60_000;
/** After a failure, or an answer of the authority before, it is tried again this soon. */
const againMs: Ms = 5000;
const askTimeoutMs: Ms = 10_000;

export interface RenewalDeps {
  readonly trust: Trust;
  readonly vault: Vault;
  readonly mesh: Pick<Mesh, 'request'>;
  readonly clock: Clock;
  /** Masters that could be asked, the nearest first. */
  readonly masters: () => readonly PeerId[];
  /** Keeps the certificate in the data folder. */
  readonly write: (text: string) => Promise<void>;
  /** Tells the others. */
  readonly onRenewed: () => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface Renewal {
  start(): void;
  /** Looks soon: this node was certified in another role, or the authority has a successor. */
  poke(inMs?: Ms): void;
  stop(): Promise<void>;
}

export function createRenewal(deps: RenewalDeps): Renewal {
  const { trust, clock, mesh } = deps;
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  let again = false;
  let work: Promise<void> = Promise.resolve();

  /** The time of the certificate, or that of the authority that signed it, comes to its end. */
  function isDue(): boolean {
    const { claims, by } = trust.own();
    const { authorities } = trust;
    if (claims.exp * 1000 - clock.wallMs() < renewBeforeMs) return true;
    if (authorities.place(by) < authorities.place(authorities.newest())) return true;
    // It was certified in another role by an authority that is retired by now.
    return trust.judge(claims.sub).refusal?.code === 'authority-retired';
  }

  /** A master that had not read so far signed it with the one before. */
  const isBehind = (): boolean =>
    trust.authorities.place(trust.own().by) < trust.authorities.place(trust.authorities.signer());

  async function ask(): Promise<string> {
    const body = encodeEnrolment({ certificate: trust.own().text });
    let last = 'this node knows no other master';
    for (const master of deps.masters()) {
      try {
        const answer = await mesh.request(master, 'renew', body, { timeoutMs: askTimeoutMs });
        const { certificate, chain } = decodeNodeMessage('renewed', renewSchema, answer);
        if (chain !== undefined) await trust.authorities.offer(chain);
        return certificate;
      } catch (thrown) {
        last = asAgentError(thrown).message;
      }
    }
    throw new AgentError('unavailable', `no master renewed the certificate: ${last}`);
  }

  async function renew(): Promise<void> {
    const secret = deps.vault.secret();
    const next = renewed(trust.own().claims, clock.wallMs());
    const text = secret === null ? await ask() : await signCertificate(secret, next);
    await trust.setOwn(text);
    await deps.write(text);
    deps.onRenewed();
  }

  async function round(): Promise<void> {
    // First the certificate: a master whose own is of a retired authority gets no secret.
    if (isDue() && deps.vault.secret() === null) await renew();
    await deps.vault.settle();
    if (isDue()) await renew();
  }

  function look(): void {
    timer = null;
    work = round()
      .then(
        () => (isBehind() ? againMs : lookMs),
        (error: unknown) => {
          deps.onFailure('the certificate or its key was not renewed', error);
          return againMs;
        },
      )
      .then((inMs) => {
        if (!stopped) timer = setTimeout(look, again ? 0 : inMs);
        again = false;
      });
  }

  function poke(inMs: Ms = 0): void {
    if (stopped) return;
    // A look that is under way may have missed it.
    if (timer === null) again = true;
    else {
      clearTimeout(timer);
      timer = setTimeout(look, inMs);
    }
  }

  return {
    start: look,
    poke,
    stop: async () => {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      await work;
    },
  };
}
