/**
 * The one error class for everything that can go wrong by input or environment. `code` is a closed
 * union, so callers switch on it; the HTTP status and the exit code are derived from it at the
 * edge.
 */
export type ErrorCode =
  | 'bad-request' // the caller's input is wrong; the text names field, value and what is accepted
  | 'not-found'
  | 'conflict' // compare-and-set failed: the version is not the expected one
  | 'forbidden' // this node may not do that (a leecher's port refuses writes)
  | 'unauthorized' // no or wrong token
  | 'not-leader' // no leader is known or it changed meanwhile; nothing was done
  | 'no-quorum' // a leader cannot reach a majority; nothing was done
  | 'overloaded' // a bounded queue is full; nothing was done, try later
  | 'outcome-unknown' // it may or may not have happened; ask again with the same idempotency key
  | 'session-expired'
  | 'epoch-mismatch' // the peer belongs to another epoch of the cluster
  | 'cluster-mismatch' // the peer belongs to another cluster
  | 'token-wrong' // a join token that is mistyped, or that the cluster never made
  | 'token-used' // a join token lets one machine in, once
  | 'token-expired'
  | 'network-key-mismatch' // the other side has another network key
  | 'certificate-missing' // a peer that has shown no certificate
  | 'certificate-invalid' // not signed by this cluster's authority, or not for this key
  | 'certificate-expired' // its time is over, or has not come, by this node's clock
  | 'certificate-revoked'
  | 'authority-retired' // signed by a key of the authority that counts no more
  | 'role-not-certified' // the certificate does not allow what is asked or configured
  | 'damaged' // a stored file fails its check; the text names file and offset
  | 'disk-full'
  | 'already-running' // another agent holds the data folder
  | 'port-in-use'
  | 'timeout'
  | 'unavailable' // content or a peer can't be reached now
  | 'too-large'
  | 'not-built' // the feature is not there yet; the text says so
  | 'daemon-external' // the daemon is only watched; whoever runs it starts and stops it
  | 'daemon-off' // the daemon is switched off in the configuration
  | 'cooling-down' // the daemon was healed a moment ago; wait or force
  | 'stopped' // the agent is stopping
  | 'internal';

export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Whatever was thrown, as an AgentError; anything unknown becomes `internal`. */
export function asAgentError(thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new AgentError('internal', message, { cause: thrown });
}
