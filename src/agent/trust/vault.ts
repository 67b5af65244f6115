/**
 * The authority's secret key on this node: every master has it, nobody else. A node that becomes a
 * master asks another one for it; a node that is no master any more deletes its copy. The secret of
 * a successor is given to all masters before the log makes it the authority, so that a machine that
 * dies then takes nothing along; it waits in a file of its own and signs nothing until then.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ms, PeerId } from '../../base/brand.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import type { Mesh } from '../../mesh/api.ts';
import { type AuthorityPair, authorityPairSchema, encodeEnrolment } from '../../wire/enrolment.ts';
import { decodeNodeMessage } from '../../wire/node-message.ts';
import {
  nextSecretFile,
  nextSecretsMax,
  secretFile,
  writeNextSecrets,
  writeSecret,
} from './authority.ts';
import { createVerifier, kidOf, signStatement } from './signatures.ts';
import type { Trust } from './trust.ts';

const askTimeoutMs: Ms = 5000;
/** Asked by a master for the secret; answered to masters alone. */
export const authorityRequest = 'authority';

export interface VaultDeps {
  readonly dir: string;
  readonly secret: AuthorityPair | null;
  /** Of successors that the log did not bring yet. */
  readonly next: readonly AuthorityPair[];
  readonly trust: Trust;
  readonly mesh: Pick<Mesh, 'request'>;
  /** Other masters that could be asked, the nearest first. */
  readonly masters: () => readonly PeerId[];
  readonly event: (type: string, data: Record<string, unknown>) => void;
}

export interface Vault {
  /** What this node signs with; null: it has not the newest authority's secret. */
  secret(): AuthorityPair | null;
  /** Makes the folder hold what this node's role asks for; throws when nobody could be asked. */
  settle(): Promise<void>;
  /** Keeps the secret of a successor until the log makes it the authority. */
  hold(next: AuthorityPair): Promise<void>;
  /** What another master is told. */
  answer(): Uint8Array;
}

/** Throws where the two parts are not one key. */
export async function mustBePair(pair: AuthorityPair, clusterId: string): Promise<void> {
  const probe = await signStatement(pair, 'authority', { iss: clusterId }).catch(
    (cause: unknown) => {
      const why = 'the secret is not that of its public key';
      throw new AgentError('certificate-invalid', why, { cause });
    },
  );
  await (await createVerifier([pair.x])).verify('authority', probe);
}

export function createVault(deps: VaultDeps): Vault {
  const { trust, mesh } = deps;
  const path = join(deps.dir, secretFile);
  const nextPath = join(deps.dir, nextSecretFile);
  let { secret, next } = deps;
  let work: Promise<unknown> = Promise.resolve();

  const isSigner = (pair: AuthorityPair): boolean => pair.x === trust.authorities.signer();
  const held = (): AuthorityPair[] => (secret === null ? next.slice() : [secret, ...next]);
  const current = (): AuthorityPair | null => held().find(isSigner) ?? null;

  async function ask(): Promise<AuthorityPair> {
    let last = 'this node knows no other master';
    for (const master of deps.masters()) {
      try {
        const nothing = new Uint8Array(0);
        const options = { timeoutMs: askTimeoutMs };
        const answer = await mesh.request(master, authorityRequest, nothing, options);
        const pair = decodeNodeMessage('authority', authorityPairSchema, answer);
        // Believed only if it signs what this node's authority is known by.
        await mustBePair(pair, trust.clusterId);
        if (isSigner(pair)) return pair;
        last = `it has the authority ${kidOf(pair.x)}`;
      } catch (thrown) {
        last = asAgentError(thrown).message;
      }
    }
    throw new AgentError('unavailable', `no master gave the authority key: ${last}`);
  }

  async function take(pair: AuthorityPair): Promise<void> {
    await writeSecret(deps.dir, pair);
    secret = pair;
    // Whatever else waited was to follow the key that has its successor now.
    await rm(nextPath, { force: true });
    next = [];
  }

  async function settle(): Promise<void> {
    const { role } = trust.own().member;
    if (role !== 'master') {
      if (secret === null && next.length === 0) return;
      [secret, next] = [null, []];
      await rm(path, { force: true });
      await rm(nextPath, { force: true });
      deps.event('authority-deleted', {});
      return;
    }
    // The log is still read up to the place that brought it.
    if (secret !== null && trust.authorities.place(secret.x) < 0) return;
    if (secret !== null && isSigner(secret)) return;
    await take(next.find(isSigner) ?? (await ask()));
    deps.event('authority-received', { authority: kidOf(trust.authorities.signer()) });
  }

  /** One after the other: both write the same files. */
  function inTurn(act: () => Promise<void>): Promise<void> {
    const done = work.then(act);
    // Whoever asked hears of a failure; the next one begins anew.
    work = done.catch(() => undefined);
    return done;
  }

  return {
    secret: current,
    settle: () => inTurn(settle),
    hold: (pair) =>
      inTurn(async () => {
        const kept = [...next.filter(({ x }) => x !== pair.x), pair].slice(-nextSecretsMax);
        await writeNextSecrets(deps.dir, kept);
        next = kept;
      }),
    answer: () => {
      const pair = current();
      if (pair !== null) return encodeEnrolment(pair);
      throw new AgentError('unavailable', 'this node has not the secret of the newest authority');
    },
  };
}
