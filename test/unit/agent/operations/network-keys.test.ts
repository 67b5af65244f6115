/** The steps of a rotation: who has followed, what is refused and whom it names, and what a leader does by itself. */
import { expect, test } from 'vitest';
import { createNetworkKeys } from '../../../../src/agent/operations/network-keys.ts';
import type { NetworkKeyRecord } from '../../../../src/catalog/query-identity.ts';
import type { MemberState } from '../../../../src/health/failure-detector.ts';
import type { Command } from '../../../../src/wire/command.ts';
import type { HealthGossip } from '../../../../src/wire/health-record.ts';
import { networkKeyFingerprint } from '../../../../src/wire/network-key.ts';

type Said = HealthGossip['networkKeys'];
const [a, b] = ['a1'.repeat(32), 'b2'.repeat(32)] as [string, string];
const [pa, pb] = [networkKeyFingerprint(a), networkKeyFingerprint(b)];
const onA: Said = { accepts: [pa], sends: pa, file: null };
const acceptsB: Said = { accepts: [pa, pb], sends: pa, file: null };
const onB: Said = { accepts: [pa, pb], sends: pb, file: null };
const row = (key: string, state: NetworkKeyRecord['state']): NetworkKeyRecord => ({
  ...{ fingerprint: networkKeyFingerprint(key), key, cluster: 'c', state },
  ...{ atIndex: 1, sinceMs: 0, owner: 'ann' },
});

function setUp() {
  const world = {
    records: [] as NetworkKeyRecord[],
    said: { m: onA, w: onA } as Record<string, Said>,
    states: { m: 'alive', w: 'alive' } as Record<string, MemberState>,
    decides: true,
  };
  const commands: Command[] = [];
  const events: { type: string; data: Record<string, unknown> }[] = [];
  const only = { sending: a, accepted: [a] };
  const keys = createNetworkKeys({
    clusterId: 'c',
    ring: {
      keys: () => only,
      // As the ring has it once it took over what the catalog says.
      told: () => {
        const known = world.records.map(({ fingerprint }) => fingerprint);
        return { accepts: known.length === 0 ? [pa] : known, sends: pa, file: null };
      },
      onChange: () => undefined,
      onTold: () => undefined,
      adopt: async () => undefined,
    },
    members: () => Object.keys(world.said).map((name) => ({ name, peerId: name })),
    healthOf: (peer) => {
      const networkKeys = world.said[peer];
      const record = { type: 'health', networkKeys } as HealthGossip;
      return { state: world.states[peer] ?? 'alive', record };
    },
    query: async () => ({ keys: world.records }),
    catchUp: async () => undefined,
    commit: async (command) => {
      commands.push(command);
    },
    mayDecide: () => world.decides,
    event: (type, data) => events.push({ type, data }),
    onFailure: (_text, error) => {
      throw error;
    },
  });
  return { world, commands, events, keys };
}

test('before any rotation there is one key, and rotate adds another to it', async () => {
  const { keys, commands, events } = setUp();
  expect(await keys.show()).toMatchObject({
    ...{ sending: pa, next: null, keys: [{ fingerprint: pa, state: 'sending' }] },
    members: [{ name: 'm', follows: true, detail: null }, { name: 'w' }],
  });
  await keys.rotate('ann');
  expect(commands).toMatchObject([{ type: 'network-key.add', cluster: 'c', current: a }]);
  const [added] = commands;
  const made = added?.type === 'network-key.add' ? added.key : '';
  expect(made).toMatch(/^[0-9a-f]{64}$/);
  expect(events).toMatchObject([{ data: { fingerprint: networkKeyFingerprint(made) } }]);
  expect(JSON.stringify(events)).not.toContain(made);
});

test('rotate is refused where somebody could not follow, and names them', async () => {
  const { keys, world, commands } = setUp();
  world.said = { m: onA, w: { ...onA, file: '/etc/w.key' } };
  await expect(keys.rotate('ann')).rejects.toThrow('networkKeyFile is configured (w: /etc/w.key)');
  world.said = { m: onA, old: undefined };
  await expect(keys.rotate('ann')).rejects.toThrow('old has not said which keys it accepts');
  world.said = { m: onA, w: onA };
  world.records = [row(b, 'added'), row(a, 'sending')];
  await expect(keys.rotate('ann')).rejects.toThrow(`${pb} was added and is not sent yet`);
  expect(commands).toEqual([]);
  world.records = [];
  world.said = { m: onA, gone: undefined };
  world.states = { m: 'alive', gone: 'failed' };
  await keys.rotate('ann');
  expect(commands).toHaveLength(1);
});

test('switch waits for those who run, retire for everybody; force goes on without', async () => {
  const { keys, world, commands } = setUp();
  const how = { owner: 'ann', force: false };
  await expect(keys.switchOver(how)).rejects.toThrow('rotate adds one');
  await expect(keys.retire(how)).rejects.toThrow('nothing to retire');
  world.records = [row(b, 'added'), row(a, 'sending')];
  await expect(keys.switchOver(how)).rejects.toThrow(`w does not accept ${pb} yet`);
  await expect(keys.retire({ ...how, force: true })).rejects.toThrow('switch first');
  expect(commands).toEqual([]);
  await keys.switchOver({ ...how, force: true });
  world.said = { m: acceptsB, w: onA };
  world.states = { m: 'alive', w: 'failed' };
  await keys.switchOver(how);
  expect(commands.map(({ type }) => type)).toEqual(['network-key.send', 'network-key.send']);
  expect(commands[1]).toMatchObject({ fingerprint: pb, automatic: false });

  world.records = [row(b, 'sending'), row(a, 'accepted')];
  world.said = { m: onB, w: acceptsB };
  await expect(keys.retire(how)).rejects.toThrow(`w still sends ${pa}`);
  await keys.retire({ ...how, force: true });
  world.said = { m: onB, w: onB };
  await keys.retire(how);
  expect(commands.slice(2)).toMatchObject([{ keep: pb }, { keep: pb }]);
});

test('a leader switches once all that run accept the key, and only where it may decide', async () => {
  const { keys, world, commands, events } = setUp();
  const turn = async (): Promise<void> => {
    keys.round();
    await new Promise(setImmediate);
  };
  world.records = [row(b, 'added'), row(a, 'sending')];
  world.said = { m: acceptsB, w: onA };
  await turn();
  expect(commands).toEqual([]);
  world.said = { m: acceptsB, w: acceptsB };
  world.decides = false;
  await turn();
  expect(commands).toEqual([]);
  world.decides = true;
  await turn();
  expect(commands).toMatchObject([{ fingerprint: pb, automatic: true }]);
  expect(events).toMatchObject([{ type: 'network-key-switched', data: { automatic: true } }]);
});
