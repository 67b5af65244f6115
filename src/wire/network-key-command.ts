/**
 * Commands by which the private network's key is changed while everything runs: one is added and
 * accepted by everybody, then sent by everybody, and at last the older ones are dropped. The key
 * itself is in the entry, since every member has to know it; it leaves the log for nowhere else.
 */
import { z } from 'zod';
import { fingerprintSchema, networkKeyHex } from './network-key.ts';

const owner = z.string().min(1).max(128);

const networkKeyAdd = z.looseObject({
  type: z.literal('network-key.add'),
  /** Keys of another cluster count for nothing, as after a restore, and make room. */
  cluster: z.string().min(1).max(64),
  /** The key that is sent now: the log may not know it yet. */
  current: networkKeyHex,
  key: networkKeyHex,
  owner,
});

const networkKeySend = z.looseObject({
  type: z.literal('network-key.send'),
  fingerprint: fingerprintSchema,
  owner,
  /** The leader's own decision, not a person's. */
  automatic: z.boolean(),
});

/** Drops every key but the one that is sent. */
const networkKeyRetire = z.looseObject({
  type: z.literal('network-key.retire'),
  /** The key that stays. */
  keep: fingerprintSchema,
  owner,
});

export const networkKeyCommands = [networkKeyAdd, networkKeySend, networkKeyRetire] as const;
