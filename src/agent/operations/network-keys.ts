/**
 * Rotation of the private network's key while everything runs: a new key is accepted by everybody
 * before anybody sends it, and the old one is dropped only after everybody sends the new one. Who
 * has come how far is what each member says of itself in signed gossip. A member that was seen to
 * follow has the key on disk, so what was seen once stays true, whoever asks and however old it is.
 */
import { randomBytes } from 'node:crypto';
import type { Ms, PeerId } from '../../base/brand.ts';
import { AgentError } from '../../base/error.ts';
import type { NetworkKeyRecord } from '../../catalog/query-identity.ts';
import type { Command } from '../../wire/command.ts';
import type { HealthGossip } from '../../wire/health-record.ts';
import { networkKeyFingerprint } from '../../wire/network-key.ts';
import type { MemberHealth } from '../health/api.ts';
import type { KeyRing } from '../trust/key-ring.ts';
import type { NetworkKeyFollower, NetworkKeyOperations, NetworkKeysState } from './api.ts';

export interface NetworkKeysDeps {
  readonly clusterId: string;
  readonly ring: KeyRing;
  readonly members: () => readonly { readonly name: string; readonly peerId: PeerId }[];
  readonly healthOf: (peer: PeerId) => Pick<MemberHealth, 'state' | 'record'>;
  readonly query: (name: string, args: unknown) => Promise<unknown>;
  /** This node's copy is as new as what was acknowledged by now, and its keys are those. */
  readonly catchUp: () => Promise<void>;
  /** Throws when it was refused. */
  readonly commit: (command: Command) => Promise<void>;
  /** This node leads, may act, and nothing is paused. */
  readonly mayDecide: () => boolean;
  readonly event: (type: string, data: Record<string, unknown>) => void;
  readonly onFailure: (text: string, error: unknown) => void;
}

export interface NetworkKeys extends NetworkKeyOperations {
  /** Where this node leads: switches to an added key once every running member accepts it. */
  round(): void;
}

type Said = NonNullable<HealthGossip['networkKeys']>;

const iso = (ms: Ms): string => new Date(ms).toISOString();
const list = (parts: readonly string[]): string => parts.join('; ');
const runs = ({ state }: NetworkKeyFollower): boolean => state === 'alive' || state === 'suspect';

const underWay = (next: string): AgentError =>
  new AgentError('conflict', `the key ${next} was added and is not sent yet: switch first`);

/** Why a member has not followed to `target`, or null. */
function whyBehind(said: Said | null, target: string, mustSend: boolean): string | null {
  if (said === null) return 'has not said which keys it accepts: not seen yet, or an older program';
  if (!said.accepts.includes(target)) return `does not accept ${target} yet`;
  if (mustSend && said.sends !== target) return `still sends ${said.sends}`;
  return null;
}

export function createNetworkKeys(deps: NetworkKeysDeps): NetworkKeys {
  const { ring } = deps;
  let deciding = false;

  async function records(): Promise<readonly NetworkKeyRecord[]> {
    const { keys } = (await deps.query('network-keys.list', {})) as { keys: NetworkKeyRecord[] };
    return keys.filter(({ cluster }) => cluster === deps.clusterId);
  }

  function keysOf(known: readonly NetworkKeyRecord[]): NetworkKeysState['keys'] {
    const only = { state: 'sending' as const, since: null, by: null };
    if (known.length === 0) return [{ fingerprint: ring.told().sends, ...only }];
    return known.map(({ fingerprint, state, sinceMs, owner }) => ({
      ...{ fingerprint, state, since: iso(sinceMs) },
      by: owner === '' ? null : owner,
    }));
  }

  async function show(): Promise<NetworkKeysState> {
    const keys = keysOf(await records());
    const fingerprintIn = (state: string): string | null =>
      keys.find((key) => key.state === state)?.fingerprint ?? null;
    const next = fingerprintIn('added');
    const sending = fingerprintIn('sending') ?? ring.told().sends;
    const members = deps.members().map(({ name, peerId }): NetworkKeyFollower => {
      const { state, record } = deps.healthOf(peerId);
      const said = record?.networkKeys ?? null;
      const detail = whyBehind(said, next ?? sending, next === null);
      return {
        ...{ name, peerId, state, follows: detail === null, detail },
        ...{ accepts: said?.accepts ?? null, sends: said?.sends ?? null, file: said?.file ?? null },
      };
    });
    return { keys, sending, next, members };
  }

  async function fresh(): Promise<NetworkKeysState> {
    await deps.catchUp();
    return show();
  }

  async function act(command: Command): Promise<NetworkKeysState> {
    await deps.commit(command);
    return fresh();
  }

  const behind = (state: NetworkKeysState): NetworkKeyFollower[] =>
    state.members.filter(({ follows }) => !follows);
  const sentences = (members: readonly NetworkKeyFollower[]): string =>
    list(members.map(({ name, detail }) => `${name} ${detail}`));

  async function rotate(owner: string): Promise<NetworkKeysState> {
    const { next, members } = await fresh();
    if (next !== null) throw underWay(next);
    const files = members.flatMap(({ name, file }) => (file === null ? [] : `${name}: ${file}`));
    if (files.length > 0)
      throw new AgentError(
        'conflict',
        `networkKeyFile is configured (${list(files)}): put that key into network.key of the ` +
          'data folder and take the setting out, else the next start would read the old key',
      );
    const silent = members.filter((member) => runs(member) && member.accepts === null);
    if (silent.length > 0)
      throw new AgentError(
        'conflict',
        `not every running member can follow: ${list(silent.map(({ name }) => name))} has not ` +
          'said which keys it accepts; it was not heard yet, or runs an older program',
      );
    const [sent] = (await records()).filter(({ state }) => state === 'sending');
    const current = sent?.key ?? ring.keys().sending;
    const key = randomBytes(32).toString('hex');
    const cluster = deps.clusterId;
    const state = await act({ type: 'network-key.add', cluster, current, key, owner });
    deps.event('network-key-added', { fingerprint: networkKeyFingerprint(key), by: owner });
    return state;
  }

  async function switchOver(how: { owner: string; force: boolean }): Promise<NetworkKeysState> {
    const state = await fresh();
    const { next } = state;
    if (next === null)
      throw new AgentError('conflict', 'there is no key to switch to: rotate adds one');
    const late = behind(state).filter(runs);
    if (late.length > 0 && !how.force)
      throw new AgentError(
        'conflict',
        `not every running member has followed: ${sentences(late)}; with force, those could not ` +
          'be dialled until they have',
      );
    return send(next, how.owner, false);
  }

  async function send(fingerprint: string, owner: string, automatic: boolean) {
    const state = await act({ type: 'network-key.send', fingerprint, owner, automatic });
    deps.event('network-key-switched', { fingerprint, by: owner, automatic });
    return state;
  }

  async function retire(how: { owner: string; force: boolean }): Promise<NetworkKeysState> {
    const state = await fresh();
    const { next, sending, keys } = state;
    if (next !== null) throw underWay(next);
    if (keys.length === 1)
      throw new AgentError('conflict', `the key ${sending} is the only one: nothing to retire`);
    const late = behind(state);
    if (late.length > 0 && !how.force)
      throw new AgentError(
        'conflict',
        `not every member was seen with ${sending}: ${sentences(late)}; with force, whoever ` +
          'missed it has to join anew',
      );
    const after = await act({ type: 'network-key.retire', keep: sending, owner: how.owner });
    const dropped = keys.flatMap(({ fingerprint }) => (fingerprint === sending ? [] : fingerprint));
    const missed = late.map(({ name }) => name);
    deps.event('network-keys-retired', { dropped, kept: sending, by: how.owner, missed });
    return after;
  }

  async function decide(): Promise<void> {
    const state = await show();
    if (state.next === null || behind(state).some(runs)) return;
    await send(state.next, 'leader', true);
  }

  return {
    show,
    rotate,
    switchOver,
    retire,
    round: () => {
      // With one key there is nothing to switch to, and nothing to ask the catalog for.
      if (deciding || ring.told().accepts.length < 2 || !deps.mayDecide()) return;
      deciding = true;
      decide()
        .catch((error: unknown) => deps.onFailure('the network key was not switched', error))
        .finally(() => {
          deciding = false;
        });
    },
  };
}
