/**
 * The keys of the private network that count on this node now. They are asked for at every
 * connection and changed while everything runs: first on disk, then in force on both hosts, and
 * only then told to the others. After a rotation the folder holds `network-keys.json`, which rules
 * from there on; `network.key` is kept at the key that is sent, for the daemons and for people.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { AgentError } from '../../base/error.ts';
import type { NetworkKeyRecord } from '../../catalog/query-identity.ts';
import { writeDurably } from '../../mesh/identity.ts';
import { loadNetworkKey } from '../../mesh/network-key.ts';
import {
  type NetworkKeys,
  networkKeyFingerprint,
  networkKeyHex,
  networkKeysMax,
  onlyNetworkKey,
  swarmKeyText,
} from '../../wire/network-key.ts';

export const networkKeyFile = 'network.key';
const ringFile = 'network-keys.json';

const ringSchema = z
  .object({
    version: z.literal(1),
    /** The log that this was read from, and the index of its last change there. */
    epoch: z.string(),
    index: z.int().min(0),
    sending: networkKeyHex,
    accepted: z.array(networkKeyHex).min(1).max(networkKeysMax),
  })
  .refine(({ sending, accepted }) => accepted.includes(sending));
type Ring = z.infer<typeof ringSchema>;

/** By fingerprint: what this node has in force. */
export interface KeysTold {
  readonly accepts: readonly string[];
  readonly sends: string;
  /** The configured file that the first key came from, or null. */
  readonly file: string | null;
}

export interface KeyRing {
  keys(): NetworkKeys;
  told(): KeysTold;
  /** Called before a change is told; what it returns is waited for. */
  onChange(listener: (keys: NetworkKeys) => Promise<void> | void): void;
  /** Called once a change is in force. */
  onTold(listener: () => void): void;
  /** What the log says; resolves once it is durable and in force. One change at a time. */
  adopt(records: readonly NetworkKeyRecord[], epoch: string): Promise<void>;
}

export interface KeyPlace {
  readonly dir: string;
  /** `networkKeyFile` of the configuration. */
  readonly file: string | null;
}

async function readRing(path: string): Promise<Ring | null> {
  if (!existsSync(path)) return null;
  const damaged = (cause?: unknown): AgentError =>
    new AgentError('damaged', `${path} is not what was written there`, { cause });
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw damaged(cause);
  }
  const parsed = ringSchema.safeParse(value);
  if (!parsed.success) throw damaged(parsed.error);
  return parsed.data;
}

/** A configured file that the rotation has left behind must not seem to count. */
function refuseStale(ring: Ring, file: string, text: string): void {
  const { sending } = onlyNetworkKey(text);
  if (ring.accepted.includes(sending)) return;
  throw new AgentError(
    'bad-request',
    `networkKeyFile: ${file} holds the key ${networkKeyFingerprint(sending)}; the network key ` +
      `was rotated and is ${networkKeyFingerprint(ring.sending)} now (${ringFile} in the data ` +
      'folder): take networkKeyFile out of the configuration',
  );
}

async function open({ dir, file }: KeyPlace): Promise<{ ring: Ring | null; keys: NetworkKeys }> {
  const ring = await readRing(join(dir, ringFile));
  const path = file ?? join(dir, networkKeyFile);
  if (ring === null)
    return { ring, keys: onlyNetworkKey(await loadNetworkKey(path, { create: false })) };
  if (file !== null) refuseStale(ring, file, await loadNetworkKey(file, { create: false }));
  return { ring, keys: { sending: ring.sending, accepted: ring.accepted } };
}

/** The key that a node with this folder sends, as the text of a swarm key file; null: none yet. */
export async function sendingKeyText({ dir, file }: KeyPlace): Promise<string | null> {
  const places = [join(dir, ringFile), file ?? join(dir, networkKeyFile)];
  if (!places.some((path) => existsSync(path))) return null;
  return swarmKeyText((await open({ dir, file })).keys.sending);
}

export async function openKeyRing(place: KeyPlace): Promise<KeyRing> {
  const { dir, file } = place;
  let { ring, keys } = await open(place);
  const listeners: ((keys: NetworkKeys) => Promise<void> | void)[] = [];
  const hearers: (() => void)[] = [];
  let working: Promise<void> = Promise.resolve();
  const toldOf = ({ sending, accepted }: NetworkKeys): KeysTold => ({
    accepts: accepted.map(networkKeyFingerprint),
    sends: networkKeyFingerprint(sending),
    file,
  });
  let told = toldOf(keys);

  /** The copy for daemons and people; a crash between the two files leaves it one key behind. */
  async function copyOut(): Promise<void> {
    if (ring !== null && file === null)
      await writeDurably(join(dir, networkKeyFile), swarmKeyText(ring.sending));
  }

  async function change(records: readonly NetworkKeyRecord[], epoch: string): Promise<void> {
    const [newest] = records;
    const sending = records.find(({ state }) => state === 'sending');
    if (newest === undefined || sending === undefined) return;
    // After a crash the catalog may be behind what this folder has already promised.
    const known = ring?.epoch === epoch ? ring.index : -1;
    if (newest.atIndex <= known) return;
    const accepted = records.map(({ key }) => key);
    const next: Ring = { version: 1, epoch, index: newest.atIndex, sending: sending.key, accepted };
    await writeDurably(join(dir, ringFile), `${JSON.stringify(next)}\n`);
    ring = next;
    keys = { sending: next.sending, accepted: next.accepted };
    for (const listener of listeners) await listener(keys);
    await copyOut();
    told = toldOf(keys);
    for (const hear of hearers) hear();
  }

  await copyOut();
  return {
    keys: () => keys,
    told: () => told,
    onChange: (listener) => void listeners.push(listener),
    onTold: (listener) => void hearers.push(listener),
    adopt: (records, epoch) => {
      const next = working.then(() => change(records, epoch));
      working = next.catch(() => undefined); // whoever asked for it is told
      return next;
    },
  };
}
