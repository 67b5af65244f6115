/**
 * Signing and verifying with Ed25519: compact JWS whose header names the key and the kind of the
 * statement, so that a grant can never pass for a certificate. The only place that uses `jose`.
 */
import {
  CompactSign,
  type CryptoKey,
  compactVerify,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  importJWK,
} from 'jose';
import { AgentError } from '../../base/error.ts';
import {
  type StatementKind,
  statementCharactersMax,
  statementKinds,
} from '../../wire/certificate.ts';
import type { AuthorityPair } from '../../wire/enrolment.ts';

const algorithm = 'EdDSA';
const kidLength = 16;
const typeOf = (kind: StatementKind): string => `bellwether-${kind}`;

/** Names a public key in headers and on pages. */
export const kidOf = (x: string): string => x.slice(0, kidLength);

/** What a statement calls itself, unverified; null: nothing that is known here. */
export function kindOf(text: string): StatementKind | null {
  try {
    const { typ } = decodeProtectedHeader(text);
    return statementKinds.find((kind) => typ === typeOf(kind)) ?? null;
  } catch (thrown) {
    if (thrown instanceof TypeError) return null;
    throw thrown;
  }
}

export async function generateAuthority(): Promise<AuthorityPair> {
  const { privateKey } = await generateKeyPair(algorithm, { crv: 'Ed25519', extractable: true });
  const { x, d } = await exportJWK(privateKey);
  if (x === undefined || d === undefined) throw new AgentError('internal', 'a key without parts');
  return { x, d };
}

export async function signStatement(
  pair: AuthorityPair,
  kind: StatementKind,
  payload: object,
): Promise<string> {
  const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', ...pair }, algorithm);
  const text = await new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg: algorithm, kid: kidOf(pair.x), typ: typeOf(kind) })
    .sign(key);
  if (text.length > statementCharactersMax)
    throw new AgentError('too-large', `${kind} of ${text.length} characters`);
  return text;
}

export interface Verified {
  readonly payload: Uint8Array;
  /** The public key that signed it. */
  readonly by: string;
}

export interface Verifier {
  /** Whether the signature is good, and whose it is; throws `certificate-invalid`. */
  verify(kind: StatementKind, text: string): Promise<Verified>;
}

/** Accepts the signatures of any of these public keys. */
export async function createVerifier(trusted: readonly string[]): Promise<Verifier> {
  const keys = new Map<string, { readonly x: string; readonly key: CryptoKey }>();
  for (const x of trusted) {
    const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x }, algorithm);
    if (key instanceof Uint8Array) throw new AgentError('internal', 'an Ed25519 key as bytes');
    keys.set(kidOf(x), { x, key });
  }
  return {
    async verify(kind, text) {
      const wrong = (why: string, cause?: unknown): AgentError =>
        new AgentError('certificate-invalid', `the ${kind} ${why}`, { cause });
      if (text.length > statementCharactersMax) throw wrong('is too long');
      try {
        const { payload, protectedHeader } = await compactVerify(
          text,
          ({ kid }) => {
            const known = keys.get(kid ?? '');
            if (known !== undefined) return known.key;
            throw wrong('is signed by an authority that this node does not know');
          },
          { algorithms: [algorithm] },
        );
        if (protectedHeader.typ !== typeOf(kind)) throw wrong(`is a ${protectedHeader.typ}`);
        return { payload, by: keys.get(protectedHeader.kid ?? '')?.x ?? '' };
      } catch (thrown) {
        if (thrown instanceof AgentError) throw thrown;
        throw wrong('does not carry a valid signature', thrown);
      }
    },
  };
}
