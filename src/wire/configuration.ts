/**
 * The configuration of a cluster: who belongs to it and who votes. It is the data of a `config`
 * entry and part of every snapshot. While `outgoing` is set a joint change is under way and every
 * decision needs a majority of both halves.
 */
import { z } from 'zod';
import type { PeerId } from '../base/brand.ts';
import { encode as encodeCbor } from './cbor.ts';
import { checked, fromCbor } from './checked.ts';
import { type Certificate, certificateSchema, roles } from './member.ts';

/** Members and voters; `outgoing` is the old half while a joint change is under way. */
export interface Configuration {
  readonly members: readonly Certificate[];
  readonly voters: readonly PeerId[];
  readonly outgoing: readonly PeerId[] | null;
  /** Members that stop being members when the joint change ends. */
  readonly leaving?: readonly PeerId[] | undefined;
  /** Who is no member any more, oldest first; none of them is admitted unless it joins anew. */
  readonly departed?: readonly Departure[] | undefined;
  /** Version of the state that the entries from here on make; see `stateVersionOf`. */
  readonly stateVersion?: number | undefined;
}

/** The newest state that this program understands. */
export const stateVersionKnown = 1;

/**
 * What a node must understand to apply entries under this configuration. Raised by an entry, once
 * every member can, before the first command that older programs would refuse is proposed.
 */
export function stateVersionOf({ stateVersion }: Configuration): number {
  return stateVersion ?? 1;
}

const departureSchema = z.looseObject({
  peerId: z.string().min(1).max(128),
  name: z.string().min(1).max(63),
  role: z.enum(roles),
  /** `left` by itself, or `forgotten` by a person while it was away. */
  how: z.enum(['left', 'forgotten']),
  /** Wall time of whoever asked. */
  atMs: z.number(),
  by: z.string().max(128),
});
export type Departure = Readonly<z.infer<typeof departureSchema>>;

/** Departures that are remembered; the oldest give way. */
export const departedMax = 256;

/** Largest cluster, members. */
export const membersMax = 1000;
/** Most voters that a configuration may name in one half. */
export const votersMax = 15;

const peerId = z.string().min(1).max(128);

export const configurationSchema = z.looseObject({
  members: z.array(certificateSchema).max(membersMax),
  voters: z.array(peerId).max(votersMax),
  outgoing: z.array(peerId).max(votersMax).nullable(),
  leaving: z.array(peerId).max(votersMax).optional(),
  departed: z.array(departureSchema).max(departedMax).optional(),
  stateVersion: z.int().min(1).optional(),
});

export const emptyConfiguration: Configuration = { members: [], voters: [], outgoing: null };

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const { leaving = [], departed = [] } = configuration;
  return encodeCbor({ ...configuration, leaving, departed });
}

/** The configuration, checked; throws `bad-request` naming the field. */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  return checked('configuration', configurationSchema, fromCbor('configuration', bytes));
}

const changeSchema = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.literal('admit'),
    member: certificateSchema,
    anew: z.boolean().optional(),
  }),
  z.looseObject({
    type: z.literal('forget'),
    peerId,
    how: z.enum(['left', 'forgotten']).optional(),
    atMs: z.number().optional(),
    by: z.string().max(128).optional(),
  }),
  z.looseObject({ type: z.literal('voters'), voters: z.array(peerId).min(1).max(votersMax) }),
  z.looseObject({ type: z.literal('role'), member: certificateSchema }),
]);

/** A change of the configuration that somebody asked for. */
export type ConfigurationChange =
  | {
      readonly type: 'admit';
      readonly member: Certificate;
      /** It joins anew: that it left or was forgotten before does not count. */
      readonly anew?: boolean | undefined;
    }
  | {
      readonly type: 'forget';
      readonly peerId: PeerId;
      readonly how?: Departure['how'] | undefined;
      readonly atMs?: number | undefined;
      readonly by?: string | undefined;
    }
  /** Voters by hand; the automatic rule makes its own. */
  | { readonly type: 'voters'; readonly voters: readonly PeerId[] }
  /** Another role of a member; who may not vote any more stops being a voter by it. */
  | { readonly type: 'role'; readonly member: Certificate };

export function encodeChange(change: ConfigurationChange): Uint8Array {
  return encodeCbor(change);
}

export function decodeChange(bytes: Uint8Array): ConfigurationChange {
  const what = 'configuration change';
  return checked(what, changeSchema, fromCbor(what, bytes));
}
