/**
 * The authority's secret key on this node: every master has it, nobody else. A node that becomes a
 * master asks another one for it; a node that is no master any more deletes its copy.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ms, PeerId } from '../../base/brand.ts';
import { AgentError, asAgentError } from '../../base/error.ts';
import type { Mesh } from '../../mesh/api.ts';
import { writeDurably } from '../../mesh/identity.ts';
import { type AuthorityPair, authorityPairSchema, encodeEnrolment } from '../../wire/enrolment.ts';
import { decodeNodeMessage } from '../../wire/node-message.ts';
import { secretFile } from './authority.ts';
import { signStatement } from './signatures.ts';
import type { Trust } from './trust.ts';

const askTimeoutMs: Ms = 5000;
/** Asked by a master for the secret; answered to masters alone. */
export const authorityRequest = 'authority';

export interface VaultDeps {
  readonly dir: string;
  readonly secret: AuthorityPair | null;
  readonly trust: Trust;
  readonly mesh: Mesh;
  /** Other masters that could be asked. */
  readonly masters: () => readonly PeerId[];
  readonly event: (type: string, data: Record<string, unknown>) => void;
}

export interface Vault {
  secret(): AuthorityPair | null;
  /** Makes the folder hold what this node's role asks for; throws when nobody could be asked. */
  settle(): Promise<void>;
  /** What another master is told. */
  answer(): Uint8Array;
}

export function createVault(deps: VaultDeps): Vault {
  const { trust, mesh } = deps;
  const path = join(deps.dir, secretFile);
  let { secret } = deps;

  /** Believed only if it signs what this node's authority is known by. */
  async function mustSign(pair: AuthorityPair): Promise<void> {
    const probe = await signStatement(pair, 'authority', { iss: trust.clusterId });
    await trust.verifier().verify('authority', probe);
  }

  async function ask(): Promise<AuthorityPair> {
    const linked = new Set(mesh.links().flatMap((link) => (link.connected ? link.peerId : [])));
    let last = 'no master is linked';
    for (const master of deps.masters()) {
      if (!linked.has(master)) continue;
      try {
        const nothing = new Uint8Array(0);
        const options = { timeoutMs: askTimeoutMs };
        const answer = await mesh.request(master, authorityRequest, nothing, options);
        const pair = decodeNodeMessage('authority', authorityPairSchema, answer);
        await mustSign(pair);
        return pair;
      } catch (thrown) {
        last = asAgentError(thrown).message;
      }
    }
    throw new AgentError('unavailable', `no master gave the authority key: ${last}`);
  }

  return {
    secret: () => secret,
    settle: async () => {
      const { role } = trust.own().member;
      if (role === 'master' && secret === null) {
        const pair = await ask();
        await writeDurably(path, `${JSON.stringify({ version: 1, pair })}\n`);
        secret = pair;
        deps.event('authority-received', {});
      } else if (role !== 'master' && secret !== null) {
        secret = null;
        await rm(path, { force: true });
        deps.event('authority-deleted', {});
      }
    },
    answer: () => {
      if (secret === null) throw new AgentError('unavailable', 'this node has no authority key');
      return encodeEnrolment(secret);
    },
  };
}
