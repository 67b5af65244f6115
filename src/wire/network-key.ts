/**
 * The pre-shared key of the private network: its text forms, the fingerprint by which people and
 * other nodes call it, and the few keys that count at one time. One is sent, all are accepted, so
 * that a key can be changed while everything runs. A key is never shown; its fingerprint is.
 */
import { hash } from 'node:crypto';
import { z } from 'zod';
import { AgentError } from '../base/error.ts';

const header = '/key/swarm/psk/1.0.0/';
/** Keys that count at the same time. */
export const networkKeysMax = 4;

export const networkKeyHex = z.string().regex(/^[0-9a-f]{64}$/);
export const fingerprintSchema = z.string().regex(/^[0-9a-f]{8}$/);

/** Each as 64 hex digits. */
export interface NetworkKeys {
  /** Whoever is dialled hears this one. */
  readonly sending: string;
  /** Whoever dials may use any of these; `sending` is one of them. */
  readonly accepted: readonly string[];
}

/** The canonical text of a key given as a swarm key file or as 64 hex digits. */
export function parseNetworkKey(text: string): string {
  const lines = text.trim().split(/\r?\n/);
  const hex = lines.length === 1 ? lines[0] : lines[2];
  const known = lines.length === 1 || (lines[0] === header && lines[1] === '/base16/');
  if (!known || lines.length > 3 || !hex || !/^[0-9a-fA-F]{64}$/.test(hex))
    throw new AgentError(
      'bad-request',
      'network key: expected 64 hex digits, or a swarm key file (/key/swarm/psk/1.0.0/, /base16/)',
    );
  return swarmKeyText(hex.toLowerCase());
}

/** The text of a swarm key file, which kubo reads too. */
export function swarmKeyText(hex: string): string {
  return `${header}\n/base16/\n${hex}\n`;
}

/** The 64 hex digits of a key in either form. */
export function networkKeyHexOf(text: string): string {
  return parseNetworkKey(text).split('\n')[2] ?? '';
}

/** The one key that is there before any other was made. */
export function onlyNetworkKey(text: string): NetworkKeys {
  const sending = networkKeyHexOf(text);
  return { sending, accepted: [sending] };
}

/** Tells keys apart and gives nothing of them away. */
export function networkKeyFingerprint(hex: string): string {
  return hash('sha256', Buffer.from(hex, 'hex'), 'hex').slice(0, 8);
}
