/**
 * Who belongs to the simulated cluster, and the slow changes of it while it burns: nodes that join,
 * are forgotten, change their rights, or lose their disk and come back as somebody else.
 */
import { present } from '../base/assert.ts';
import type { PeerId } from '../base/brand.ts';
import type { Prng } from '../base/prng.ts';
import { type Certificate, type Role, rankOf, rightsOf } from '../wire/member.ts';
import type { Operator } from './operator.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

export interface Roster {
  /** Slots whose nodes are members or on their way to be. */
  active(): readonly number[];
  /** Starts slot `number` and has it admitted. */
  admit(number: number, done: () => void): void;
  /** One random change. */
  change(): void;
}

export interface RosterDeps {
  readonly world: World;
  readonly operator: Operator;
  readonly prng: Prng;
  /** Slots that wait to be admitted while it burns. */
  readonly spare: readonly number[];
}

const tries = 25;
/** A change that was asked for may still begin this much later. */
const shrinkMsMax = 20_000;

export function certificate(peerId: PeerId, role: Role, within: number): Certificate {
  const rights = rightsOf(role, true);
  return { peerId, name: peerId, role, rank: rankOf(role, within), zone: '', ...rights };
}

export function createRoster({ world, operator, prng, spare }: RosterDeps): Roster {
  const active: number[] = [];
  const waiting = [...spare];
  const departed: SimNode[] = [];
  let replaced = 0;
  let lastShrinkMs = Number.NEGATIVE_INFINITY;

  const nodeAt = (slot: number): SimNode => present(world.nodes[slot], 'a node');
  const voting = (): SimNode[] => active.map(nodeAt).filter((node) => node.certificate.votes);

  function admit(number: number, done: () => void): void {
    const node = nodeAt(number);
    if (!active.includes(number)) active.push(number);
    world.start(number);
    operator.change({ type: 'admit', member: node.certificate }, tries, (applied) => {
      if (applied) node.admitted = true;
      done();
    });
  }

  /** A person forgets it, or it leaves by itself; it is gone until it is asked to come anew. */
  function depart(): void {
    const candidates = active.map(nodeAt).filter((node) => node.admitted && !node.leads());
    if (candidates.length < 4) return;
    const node = prng.pick(candidates);
    lastShrinkMs = world.queue.nowMs();
    const how = prng.chance(0.5) ? 'left' : 'forgotten';
    operator.change({ type: 'forget', peerId: node.id, how }, 5, (applied) => {
      if (!applied) return;
      node.admitted = false;
      active.splice(active.indexOf(node.number), 1);
      departed.push(node);
      // Whoever forgets a node does not always switch it off as well.
      if (prng.chance(0.7)) world.end(node.number, 'kill');
      else if (node.state() === 'stopped') node.resume();
    });
  }

  /** Whoever is gone asks to be let in: as if nothing had been, or anew. */
  function comeBack(): void {
    const node = departed.shift();
    if (node === undefined || nodeAt(node.number) !== node) return;
    if (prng.chance(0.5)) {
      departed.push(node);
      operator.change({ type: 'admit', member: node.certificate }, 2, (applied) => {
        if (applied) world.fail('forgotten-back', `${node.id} is let in without joining anew`);
      });
      return;
    }
    world.configurations.expectAnew(node.id);
    active.push(node.number);
    world.start(node.number);
    operator.change({ type: 'admit', member: node.certificate, anew: true }, tries, (applied) => {
      if (applied) node.admitted = true;
    });
  }

  /** A worker may lead or not, or a node gets another rank within its role; then it restarts. */
  function changeRights(): void {
    const node = nodeAt(prng.pick(active));
    if (!node.admitted) return;
    const old = node.certificate;
    // Somebody must be left who may lead.
    const able = voting().filter((other) => other.certificate.leads).length;
    const may = old.role === 'worker' && (able > 2 || !old.leads);
    const leads = may && prng.chance(0.5) ? !old.leads : old.leads;
    const rank = rankOf(old.role, prng.int(4));
    const next = { ...old, leads, rank };
    operator.change({ type: 'role', member: next }, tries, (applied) => {
      if (!applied) return;
      world.end(node.number, 'kill');
      node.certificate = next;
      world.setCertificate(next);
      world.start(node.number);
    });
  }

  /** A flipped byte is found at the next start: the node is lost, and somebody new takes over. */
  function damage(): void {
    // A loss for good is borne only by three voters or more, and not in the middle of a change.
    const leader = world.nodes.find((node) => node.leads());
    const status = leader?.core()?.status(leader.now());
    if (status === undefined || status.configuration.outgoing !== null) return;
    if (replaced > 0 || status.configuration.voters.length < 3 || operator.busy() > 0) return;
    if (world.queue.nowMs() - lastShrinkMs < shrinkMsMax) return;
    const node = nodeAt(prng.pick(active));
    if (!node.admitted) return;
    world.end(node.number, 'power');
    const what = node.disk.flip(prng);
    if (what === null) {
      world.start(node.number);
      return;
    }
    replaced += 1;
    world.trace.line(world.queue.nowMs(), () => `--- a byte of ${what} of ${node.id} flips`);
    world.observer.expectDamage(node.id);
    world.start(node.number);
    if (node.damage() === null) return;
    active.splice(active.indexOf(node.number), 1);
    operator.change({ type: 'forget', peerId: node.id }, tries, (applied) => {
      if (!applied) return;
      const { role, rank } = node.certificate;
      const fresh = certificate(`${node.id}-new`, role, rank % 1000);
      world.replace(node.number, fresh);
      admit(node.number, () => undefined);
    });
  }

  function voters(): void {
    const chosen = prng.shuffle(voting().filter((node) => node.admitted)).map((node) => node.id);
    const count = Math.min(chosen.length, 1 + 2 * prng.int(3));
    lastShrinkMs = world.queue.nowMs();
    if (count > 0) operator.change({ type: 'voters', voters: chosen.slice(0, count) }, 3, () => {});
  }

  return {
    active: () => active,
    admit,
    change: () => {
      const kind = prng.int(9);
      const next = waiting[0];
      if (kind === 0 && next !== undefined) {
        waiting.shift();
        admit(next, () => undefined);
      } else if (kind <= 1) depart();
      else if (kind === 2) changeRights();
      else if (kind === 3) damage();
      else if (kind === 4) voters();
      else if (kind === 5) comeBack();
      else if (kind === 6) operator.transfer(null);
      else operator.transfer(nodeAt(prng.pick(active)).id);
    },
  };
}
