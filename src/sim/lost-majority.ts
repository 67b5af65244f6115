/**
 * The last act of some seeds, after the cluster has come to rest: a majority of the voters is lost,
 * as far as anybody knows for good, and one that is left begins a new epoch. Then the lost ones are
 * back and go on in the old one, both write and give orders, it burns again, and some of the others
 * give up the old epoch. The new one must come to rest without those that don't.
 */
import { present } from '../base/assert.ts';
import type { Ms } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import { encodeEnvelope } from '../wire/command.ts';
import type { EpochChecks } from './epoch-checks.ts';
import type { Faults } from './faults.ts';
import { epochStartMs } from './proposer.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

export interface LostMajority {
  /** Loses a majority and begins the new epoch; false where no voter could be left. */
  begin(): boolean;
  /** It burns for a while, and others come over. */
  burn(faults: Faults): void;
  /** Slots of members, whatever their epoch. */
  slots(): readonly number[];
}

const burnMs: Ms = 12_000;
const strikesMax = 7;
/** A majority may be lost some time before anybody does something about it. */
const aloneMsMax: Ms = 3000;

export function createLostMajority(world: World, prng: Prng): LostMajority {
  const { queue } = world;
  let slots: number[] = [];
  const run = (ms: Ms): void => queue.runUntil(queue.nowMs() + ms);
  const members = (): SimNode[] => slots.map((slot) => present(world.nodes[slot], 'a member'));

  /** Something of its own in the log of whoever leads there. */
  function write(node: SimNode, checks: Pick<EpochChecks, 'clients'>): void {
    const command = { type: 'session.open' as const, node: 'stray' };
    const atMs = epochStartMs + Math.floor(queue.nowMs());
    const data = encodeEnvelope({
      ...{ v: 1, session: prng.hex(16), seq: 0, atMs, idempotency: null, command },
    });
    const ref = checks.clients.open({
      ...{ kind: 'propose', node, sentMs: queue.nowMs(), floor: 0, row: null },
      done: () => undefined,
    });
    node.post({ type: 'propose', ref, data, deadlineMs: node.now().monoMs + 2000 });
  }

  function begin(): boolean {
    const leader = world.nodes.find((node) => node.leads() && node.epoch === world.epoch());
    const status = leader?.core()?.status(leader.now());
    if (status === undefined) return false;
    const { voters, members: all } = status.configuration;
    slots = world.nodes
      .filter((node) => node.core() !== null && all.some(({ peerId }) => peerId === node.id))
      .map(({ number }) => number);
    const voting = members().filter(({ id }) => voters.includes(id));
    const able = voting.filter(({ certificate }) => certificate.leads);
    if (voting.length < 2 || voting.length < voters.length || able.length === 0) return false;
    const survivor = prng.pick(able);
    const others = prng.shuffle(voting.filter((node) => node !== survivor));
    const fewest = voting.length - Math.floor(voting.length / 2);
    const lost = others.slice(0, fewest + prng.int(others.length - fewest + 1));
    for (const node of lost) world.end(node.number, prng.chance(0.5) ? 'kill' : 'power');
    // What nobody acknowledges may be in its log all the same.
    for (let i = prng.int(4); i > 0; i--) write(survivor, world);
    run(prng.range(0, aloneMsMax));
    const old = { clients: world.clients, epoch: world.epoch() };
    world.end(survivor.number, 'kill');
    world.forceEpoch(survivor.number);
    world.start(survivor.number);
    for (const node of lost) queue.in(prng.range(0, 4000), () => world.start(node.number));
    strays(old, queue.nowMs() + burnMs);
    return true;
  }

  /** Who is still in the old epoch writes there, and acting leaders of both give orders to all. */
  function strays(
    old: { readonly clients: EpochChecks['clients']; epoch: string },
    until: Ms,
  ): void {
    queue.in(prng.range(50, 400), () => {
      const there = members().filter((node) => node.epoch === old.epoch);
      const node = there.length === 0 ? null : prng.pick(there);
      if (node?.state() === 'running') write(node, old);
      world.giveOrder(prng.pick(slots));
      if (queue.nowMs() < until) strays(old, until);
    });
  }

  function comeOver(slot: number): void {
    const node = present(world.nodes[slot], 'a member');
    if (node.epoch === world.epoch()) return;
    world.end(slot, 'kill');
    world.rejoin(slot);
    queue.in(prng.range(1, 500), () => world.start(slot));
  }

  return {
    begin,
    slots: () => slots,
    burn: (faults) => {
      for (let strikes = prng.int(strikesMax); strikes > 0; strikes--)
        queue.in(prng.range(0, burnMs), () => faults.strike());
      // A learner comes whenever it likes; of the voters all, some or none do.
      const share = prng.pick([0, 0.5, 1]);
      for (const slot of slots) {
        const { votes } = present(world.nodes[slot], 'a member').certificate;
        if (!votes || prng.chance(share)) queue.in(prng.range(500, burnMs), () => comeOver(slot));
      }
      run(burnMs + 1000);
    },
  };
}
