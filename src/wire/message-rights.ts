/**
 * Which consensus message a certificate allows. Whoever may not lead sends nothing that only a
 * candidate or leader says; whoever may not vote sends no vote. Everything else (fetching, reading,
 * proposing, acknowledging) every member may.
 */
import type { Message } from './consensus-message.ts';
import type { Certificate } from './member.ts';

const leaderSpeech: ReadonlySet<Message['type']> = new Set([
  'pre-vote',
  'vote',
  'heartbeat',
  'append',
  'timeout-now',
  'takeover',
]);
const voterSpeech: ReadonlySet<Message['type']> = new Set(['pre-vote-reply', 'vote-reply']);

/** What the sender lacks for this message, in words; null: it is allowed. */
export function lacksRight(certificate: Certificate, message: Message): string | null {
  const { name, role, leads, votes } = certificate;
  if (leaderSpeech.has(message.type) && !leads)
    return `${name} is certified as ${role} and may not lead: ${message.type}`;
  // Whoever may not vote answers that it doesn't; only a grant is a claim.
  if (voterSpeech.has(message.type) && !votes && 'granted' in message && message.granted)
    return `${name} is certified as ${role} and may not vote: ${message.type}`;
  return null;
}
