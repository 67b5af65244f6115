/**
 * Fields that several routes share: content ids, versions for compare-and-set, deadlines, cursors,
 * freshness. What a caller sends becomes a value here or is refused by name.
 */
import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CID } from 'multiformats/cid';
import { z } from 'zod';
import type { Agent, Fresh } from '../agent/api.ts';
import type { CidText } from '../base/brand.ts';
import { AgentError } from '../base/error.ts';
import type { Command, CommandResult } from '../wire/command.ts';
import { ProblemError } from './problem.ts';

export const timeoutMsDefault = 10_000;
const timeoutMsMax = 60_000;

/** Any CID as CIDv1 in base32; throws `bad-request`. */
export function cidOf(text: string): CidText {
  try {
    return CID.parse(text).toV1().toString();
  } catch (cause) {
    throw new AgentError(
      'bad-request',
      `cid: got '${text.slice(0, 80)}'. It takes a CID such as bafy... or Qm...`,
      { cause },
    );
  }
}

export const timeoutMs = z.coerce.number().int().min(1).max(timeoutMsMax).default(timeoutMsDefault);
export const consistency = z.enum(['local', 'linearizable']).default('local');
export const limit = z.coerce.number().int().min(1).max(1000).default(100);
export const after = z.string().max(1024).optional();
export const expectedVersion = z.coerce.number().int().min(0).optional();

/** What every answer from this node's own copy says about its age. */
export const freshness = {
  appliedIndex: z.int().min(0),
  staleMs: z.number().nullable(),
};

function tellFreshness(reply: FastifyReply, fresh: Omit<Fresh<unknown>, 'value'>) {
  reply.header('bellwether-applied-index', String(fresh.appliedIndex));
  if (fresh.staleMs !== null)
    reply.header('bellwether-stale-ms', String(Math.round(fresh.staleMs)));
  return { appliedIndex: fresh.appliedIndex, staleMs: fresh.staleMs };
}

/** `body` with its freshness, in the JSON and in the headers. */
export function withFreshness<T extends object>(
  reply: FastifyReply,
  fresh: Omit<Fresh<unknown>, 'value'>,
  body: T,
): T & { appliedIndex: number; staleMs: number | null } {
  return { ...body, ...tellFreshness(reply, fresh) };
}

/** The expected version from `If-Match`, `If-None-Match: *` or the query; null: whatever it is. */
export function expectedVersionOf(
  request: FastifyRequest,
  fromQuery: number | undefined,
): number | null {
  const match = request.headers['if-match'];
  const noneMatch = request.headers['if-none-match'];
  const given = [match, noneMatch, fromQuery].filter((value) => value !== undefined);
  if (given.length === 0) return null;
  if (given.length > 1)
    throw new AgentError(
      'bad-request',
      'give one of If-Match, If-None-Match and expectedVersion, not several',
    );
  if (fromQuery !== undefined) return fromQuery;
  if (noneMatch !== undefined) {
    if (noneMatch === '*') return 0;
    throw new AgentError(
      'bad-request',
      `If-None-Match: got '${noneMatch}'. A write takes only * (it must not exist yet)`,
    );
  }
  const version = /^"(\d{1,15})"$/.exec(match ?? '')?.[1];
  if (version === undefined)
    throw new AgentError(
      'bad-request',
      `If-Match: got '${match}'. It takes one version in quotes, such as "3"`,
    );
  return Number(version);
}

/** The caller's `Idempotency-Key` with the hash of what the request asks for. */
function idempotencyOf(request: FastifyRequest, command: Command) {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key !== 'string' || key.length < 1 || key.length > 255)
    throw new AgentError('bad-request', 'Idempotency-Key: it takes 1 to 255 characters, once');
  // The command is all that a request asks for: a repeat with another deadline is still the same.
  return { key, requestHash: hash('sha256', JSON.stringify(command), 'hex') };
}

/** Proposes for the caller and answers with the result of applying it, refused or not. */
export function proposeFor(
  agent: Agent,
  request: FastifyRequest,
  command: Command,
  timeout: number,
): Promise<CommandResult> {
  return agent.propose(command, {
    idempotency: idempotencyOf(request, command),
    timeoutMs: timeout,
  });
}

/** A refusal by the catalog as the problem that it is. */
export function refusalOf(result: Extract<CommandResult, { ok: false }>): ProblemError {
  const { code, detail, version } = result;
  return new ProblemError(code, detail, version === undefined ? {} : { currentVersion: version });
}

/** The result of a command that was applied with success; throws the refusal otherwise. */
export function appliedOf(result: CommandResult): Extract<CommandResult, { ok: true }> {
  if (!result.ok) throw refusalOf(result);
  return result;
}
