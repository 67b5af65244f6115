/**
 * The peers of somebody else's cluster with their ids: who is given without one is dialled with the
 * cluster's secret and asked. One that does not answer is told and left out; only when nobody is
 * left to start from does the follower wait.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Endpoint } from '../api.ts';
import { CauseError } from '../cause.ts';
import { createDaemonClient } from '../daemon-client.ts';
import { type Foreign, peerIdOf } from './foreign.ts';

const templateSchema = z.looseObject({ cluster: z.looseObject({ secret: z.string().optional() }) });
const secretPattern = /^[0-9a-fA-F]{64}$/;

/** Who answers at a TCP multiaddr; `secret`: 64 hex digits, null: a cluster without one. */
export type AskPeerId = (
  address: string,
  secret: string | null,
  signal: AbortSignal,
) => Promise<string>;

export interface ForeignPeers {
  /** Every peer that could be told by its id; throws `dependency-down` when none is left. */
  resolve(foreign: Foreign, signal: AbortSignal): Promise<string[]>;
  /** As of the last `resolve`; before it, those that the configuration gives with their ids. */
  addresses(foreign: Foreign): string[];
  /** Who could not be asked, one sentence each. */
  silent(): readonly string[];
}

/** The cluster's secret as the configuration gives it: a file, or what followers start from. */
async function secretOf(foreign: Foreign, signal: AbortSignal): Promise<string | null> {
  const { secretFile, initUrl } = foreign;
  if (secretFile !== undefined) return readFileSync(secretFile, 'utf8').trim();
  if (initUrl === undefined) return null;
  const { origin, pathname, search, username, password } = new URL(initUrl);
  const encoded = Buffer.from(
    `${decodeURIComponent(username)}:${decodeURIComponent(password)}`,
  ).toString('base64');
  const authorization = username === '' ? null : `Basic ${encoded}`;
  const endpoint: Endpoint = { url: origin, authorization, tls: null };
  const client = createDaemonClient(endpoint);
  try {
    const told = await client.json(templateSchema, { path: `${pathname}${search}`, signal });
    return told.cluster.secret ?? null;
  } finally {
    await client.close();
  }
}

export function createForeignPeers(ask: AskPeerId): ForeignPeers {
  let known: readonly string[] | null = null;
  let silent: readonly string[] = [];

  async function resolve(foreign: Foreign, signal: AbortSignal): Promise<string[]> {
    const given = foreign.bootstrapPeers;
    const unknown = given.filter((address) => peerIdOf(address) === null);
    const secret = unknown.length === 0 ? null : await secretOf(foreign, signal);
    const wrong: string[] = [];
    const found = await Promise.all(
      given.map(async (address) => {
        if (peerIdOf(address) !== null) return address;
        try {
          const key = secret !== null && secretPattern.test(secret) ? secret : null;
          return `${address}/p2p/${await ask(address, key, signal)}`;
        } catch (thrown) {
          signal.throwIfAborted();
          const why = thrown instanceof Error ? thrown.message : String(thrown);
          wrong.push(`${address} did not tell its peer id: ${why}`);
          return null;
        }
      }),
    );
    known = found.filter((address) => address !== null);
    silent = wrong;
    if (known.length === 0 && given.length > 0 && foreign.initUrl === undefined)
      throw new CauseError('dependency-down', `follow.bootstrapPeers: ${wrong.join('; ')}`);
    return [...known];
  }

  return {
    resolve,
    addresses: (foreign) => [
      ...(known ?? foreign.bootstrapPeers.filter((address) => peerIdOf(address) !== null)),
    ],
    silent: () => silent,
  };
}
