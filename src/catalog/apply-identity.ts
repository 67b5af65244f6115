/**
 * Join tokens, certificates and revocations. A token is used once in the whole cluster because its
 * use is an entry of the log; whether it has expired is decided by the time that the entry carries.
 * A floor only ever rises.
 */
import type { CommandResult, SimpleCommand } from '../wire/command.ts';
import { type ApplyContext, conflict, done, refused } from './apply-context.ts';
import type { CertificateRow, TokenRow } from './identity-schema.ts';

type Of<T extends SimpleCommand['type']> = Extract<SimpleCommand, { type: T }>;

export function applyTokenPut(context: ApplyContext, command: Of<'token.put'>): CommandResult {
  const { tables, limits, index } = context;
  const { id, hash, grant, expiresAtMs } = command;
  const known = tables.tokens.get(id);
  if (known !== null) return conflict(context, `token ${id}`, known.made_index);
  const unused = { used_by: null, used_at_ms: null };
  tables.tokens.put(
    { id, hash, grant_text: grant, expires_at_ms: expiresAtMs, made_index: index, ...unused },
    null,
  );
  tables.counters.add('tokens', 1);
  if (tables.counters.get('tokens') > limits.tokensMax) {
    tables.tokens.remove(tables.tokens.select('ORDER BY made_index LIMIT 1').get() as TokenRow);
    tables.counters.add('tokens', -1);
  }
  return done(context, index);
}

export function applyTokenUse(context: ApplyContext, command: Of<'token.use'>): CommandResult {
  const { tables, atMs, index } = context;
  const { id, hash, peer } = command;
  const token = tables.tokens.get(id);
  if (token === null || token.hash !== hash)
    return refused(context, 'token-wrong', 'this cluster knows no such join token');
  if (token.used_by !== null && token.used_by !== peer)
    return refused(
      context,
      'token-used',
      `the join token was used by ${token.used_by}; make another with: token create`,
    );
  if (token.used_by === null && atMs > token.expires_at_ms)
    return refused(
      context,
      'token-expired',
      `the join token expired ${Math.round((atMs - token.expires_at_ms) / 1000)} s ago; ` +
        'make another with: token create',
    );
  if (token.used_by === null)
    tables.tokens.put({ ...token, used_by: peer, used_at_ms: atMs }, token);
  return done(context, index, { grant: token.grant_text });
}

/** Whether it counts is for whoever verifies it; here it gets its place in the one order. */
function keepStatement(
  context: ApplyContext,
  kind: 'revocation' | 'succession' | 'retirement',
  statement: string,
): CommandResult {
  const { tables, limits, index, atMs } = context;
  const known = tables.statements.get(statement);
  if (known !== null) return done(context, known.at_index);
  const [counter, most] =
    kind === 'revocation'
      ? (['statements.revocation', limits.revocationStatementsMax] as const)
      : (['statements.authority', limits.authorityStatementsMax] as const);
  if (tables.counters.get(counter) >= most)
    return refused(context, 'overloaded', `the log holds ${most} signed statements of this kind`);
  tables.statements.put({ statement, kind, at_index: index, at_ms: atMs }, null);
  tables.counters.add(counter, 1);
  return done(context, index);
}

export const applyAuthority = (
  context: ApplyContext,
  command: Of<'authority.put'>,
): CommandResult => keepStatement(context, command.kind, command.statement);

export function applyRevocation(
  context: ApplyContext,
  command: Of<'certificate.revoke'>,
): CommandResult {
  const { tables, limits, index, atMs } = context;
  const { peer, name, floor, reason, statement } = command;
  const known = tables.revocations.get(peer);
  if (known === null && tables.counters.get('revocations') >= limits.revocationsMax)
    return refused(
      context,
      'overloaded',
      `${limits.revocationsMax} certificates are revoked; rotate the authority instead`,
    );
  // Also where an unsigned one was there before: that one may count for nothing.
  const kept = statement === undefined ? null : keepStatement(context, 'revocation', statement);
  if (kept?.ok === false) return kept;
  if (known !== null && known.floor >= floor) return done(context, known.at_index);
  tables.revocations.put({ peer, name, floor, reason, at_index: index, at_ms: atMs }, known);
  if (known === null) tables.counters.add('revocations', 1);
  return done(context, index);
}

/**
 * Generations rise in the whole cluster, not only per key: a key that comes back after its row made
 * room still gets one above all that it ever had.
 */
export function applyCertificate(
  context: ApplyContext,
  command: Of<'certificate.put'>,
): CommandResult {
  const { tables, limits, index } = context;
  const { peer, generation, certificate } = command;
  const newest = tables.certificates.select('ORDER BY generation DESC, peer LIMIT 1').get();
  const highest = (newest as CertificateRow | undefined)?.generation ?? 1;
  if (generation <= highest) return conflict(context, 'the newest certificate', highest);
  const known = tables.certificates.get(peer);
  tables.certificates.put({ peer, generation, certificate, at_index: index }, known);
  if (known === null) tables.counters.add('certificates', 1);
  if (tables.counters.get('certificates') > limits.certificatesMax) {
    const unused = 'WHERE peer NOT IN (SELECT peer FROM members) ORDER BY generation, peer LIMIT 1';
    const oldest = tables.certificates.select(unused).get() as CertificateRow | undefined;
    if (oldest !== undefined && oldest.peer !== peer) {
      tables.certificates.remove(oldest);
      tables.counters.add('certificates', -1);
    }
  }
  return done(context, generation);
}
