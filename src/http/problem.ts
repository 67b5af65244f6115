/**
 * Errors as the status port tells them: RFC 9457 problem documents with our `code`. One table maps
 * codes to HTTP statuses; a text always says what to do, and a stack never leaves the process.
 */
import type { FastifyReply } from 'fastify';
import { AgentError, asAgentError, type ErrorCode } from '../base/error.ts';

interface ProblemKind {
  readonly status: number;
  readonly title: string;
  /** Seconds after which the same request may succeed; null where repeating it is no use. */
  readonly retryAfterS: number | null;
}

const kind = (status: number, title: string, retryAfterS: number | null = null): ProblemKind => ({
  status,
  title,
  retryAfterS,
});

export const problemKinds: Readonly<Record<ErrorCode, ProblemKind>> = {
  'bad-request': kind(400, 'The request is wrong'),
  unauthorized: kind(401, 'The token is missing or wrong'),
  forbidden: kind(403, 'This node may not do that'),
  'token-wrong': kind(403, 'The join token is wrong'),
  'token-used': kind(403, 'The join token is used'),
  'token-expired': kind(403, 'The join token has expired'),
  'network-key-mismatch': kind(403, 'Another network key'),
  'certificate-missing': kind(403, 'No certificate was shown'),
  'certificate-invalid': kind(403, 'The certificate is not valid here'),
  'certificate-expired': kind(403, 'The certificate has expired'),
  'certificate-revoked': kind(403, 'The certificate is revoked'),
  'authority-retired': kind(403, 'Signed by a retired authority'),
  'role-not-certified': kind(403, 'The certificate does not allow it'),
  'not-found': kind(404, 'Not found'),
  conflict: kind(409, 'The version is not the expected one'),
  'epoch-mismatch': kind(409, 'Another epoch of the cluster'),
  'cluster-mismatch': kind(409, 'Another cluster'),
  'daemon-external': kind(409, 'The daemon is not ours to start or stop'),
  'daemon-off': kind(409, 'The daemon is switched off'),
  'cooling-down': kind(409, 'The daemon is cooling down'),
  'too-large': kind(413, 'Too large'),
  internal: kind(500, 'A bug in the agent'),
  damaged: kind(500, 'Stored data is damaged'),
  'already-running': kind(500, 'Another agent holds the data folder'),
  'port-in-use': kind(500, 'A port is in use'),
  'not-built': kind(501, 'Not built yet'),
  'not-leader': kind(503, 'No leader is known', 1),
  'no-quorum': kind(503, 'No quorum', 1),
  overloaded: kind(503, 'Too much at once', 1),
  'session-expired': kind(503, 'The session has expired', 1),
  unavailable: kind(503, 'Not reachable now', 5),
  stopped: kind(503, 'The agent is stopping', 5),
  timeout: kind(504, 'Not done in time', 1),
  'outcome-unknown': kind(504, 'It may or may not have happened', 1),
  'disk-full': kind(507, 'The disk is full'),
};

/** An AgentError with more members for the problem document, such as `currentVersion`. */
export class ProblemError extends AgentError {
  readonly members: Readonly<Record<string, unknown>>;
  constructor(code: ErrorCode, message: string, members: Readonly<Record<string, unknown>>) {
    super(code, message);
    this.members = members;
  }
}

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly [member: string]: unknown;
}

/** Fastify's own refusals carry a 4xx `statusCode`; they are the caller's doing and keep it. */
function clientStatusOf(thrown: unknown): number | null {
  if (!(thrown instanceof Error) || !('statusCode' in thrown)) return null;
  const { statusCode } = thrown;
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500
    ? statusCode
    : null;
}

function asRefusal(thrown: unknown): AgentError {
  const status = clientStatusOf(thrown);
  if (thrown instanceof AgentError || status === null) return asAgentError(thrown);
  const told = thrown instanceof Error ? thrown.message : String(thrown);
  const message =
    status === 415
      ? 'Content-Type: it takes application/json; for POST /v1/content ' +
        'application/octet-stream or application/x-tar'
      : told;
  return new AgentError(status === 413 ? 'too-large' : 'bad-request', message, { cause: thrown });
}

/** The document for whatever was thrown. Of an internal error only a neutral text is told. */
export function problemOf(thrown: unknown): Problem {
  const error = asRefusal(thrown);
  const { status, title } = problemKinds[error.code];
  const detail =
    error.code === 'internal'
      ? "this is a bug in the agent; its log has the details under 'http'"
      : error.message;
  const members = error instanceof ProblemError ? error.members : {};
  return { type: 'about:blank', title, status, detail, code: error.code, ...members };
}

const isApi = (path: string): boolean => path.startsWith('/api/');

/** Under /api/ errors are `{detail}`, and wrong fields 422 with one line each. */
function sendDetail(reply: FastifyReply, problem: Problem): FastifyReply {
  const { errors } = problem;
  if (!Array.isArray(errors)) {
    const detail =
      problem.status === 400 ? [{ loc: ['body'], msg: problem.detail, type: 'value_error' }] : null;
    return reply
      .code(detail === null ? problem.status : 422)
      .send({ detail: detail ?? problem.detail });
  }
  const lines = (errors as { field: string; text: string }[]).map(({ field, text }) => ({
    loc: field.split('.'),
    msg: text,
    type: 'value_error',
  }));
  return reply.code(422).send({ detail: lines });
}

/** Headers and body of a problem document. */
export function problemAnswer(problem: Problem): {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
} {
  const { retryAfterS } = problemKinds[problem.code];
  return {
    headers: {
      ...(retryAfterS === null ? {} : { 'retry-after': String(retryAfterS) }),
      ...(problem.status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
      'content-type': 'application/problem+json',
    },
    body: JSON.stringify(problem),
  };
}

/** Sends the problem document; the connection is closed where the request body wasn't read. */
export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const { headers, body } = problemAnswer(problem);
  if (!isApi(reply.request.url)) return reply.code(problem.status).headers(headers).send(body);
  const { 'content-type': _, ...others } = headers;
  return sendDetail(reply.headers(others), problem);
}
