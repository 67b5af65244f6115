/**
 * What the process answers to the shell. Scripts depend on these numbers: they are documented in
 * docs/cli.md and don't change their meaning.
 */
import type { ErrorCode } from '../base/error.ts';

export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  'not found': 3,
  conflict: 4,
  'no leader': 5,
  refused: 6,
  'outcome unknown': 7,
  'no agent': 8,
  'not now': 9,
  'not built': 10,
} as const;
export type ExitName = keyof typeof exitCodes;

const byErrorCode: Readonly<Record<ErrorCode, ExitName>> = {
  'bad-request': 'usage',
  'not-found': 'not found',
  conflict: 'conflict',
  'not-leader': 'no leader',
  'no-quorum': 'no leader',
  forbidden: 'refused',
  unauthorized: 'refused',
  'epoch-mismatch': 'refused',
  'cluster-mismatch': 'refused',
  'outcome-unknown': 'outcome unknown',
  overloaded: 'not now',
  unavailable: 'not now',
  timeout: 'not now',
  stopped: 'not now',
  'session-expired': 'not now',
  'not-built': 'not built',
  'daemon-external': 'conflict',
  'daemon-off': 'conflict',
  'cooling-down': 'not now',
  'too-large': 'usage',
  'token-wrong': 'refused',
  'token-used': 'refused',
  'token-expired': 'refused',
  'network-key-mismatch': 'refused',
  'certificate-missing': 'refused',
  'certificate-invalid': 'refused',
  'certificate-expired': 'refused',
  'certificate-revoked': 'refused',
  'authority-retired': 'refused',
  'role-not-certified': 'refused',
  damaged: 'failure',
  'disk-full': 'failure',
  'already-running': 'failure',
  'port-in-use': 'failure',
  internal: 'failure',
};

export function exitCodeOf(code: ErrorCode): number {
  return exitCodes[byErrorCode[code]];
}

/** An error with an exit code of its own, where the error's code alone does not decide it. */
export class ExitError extends Error {
  override readonly name = 'ExitError';
  readonly exit: ExitName;
  constructor(exit: ExitName, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.exit = exit;
  }
}
