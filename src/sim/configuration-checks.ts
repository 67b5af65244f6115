/**
 * Changes of the configuration. Nobody votes whose record says that it may not. While the cluster
 * is paused only a person changes voters, and who has left or was forgotten is a member again only
 * when it was asked to join anew. A joint configuration may be left only when it is committed: when
 * its entry is durable on a majority of the new voters and on a majority of the old ones. The disks
 * of the simulation are open to us, so that is looked up and not believed.
 */
import type { LogIndex, Ms, PeerId } from '../base/brand.ts';
import type { Configuration, PersistJob } from '../consensus/api.ts';
import { decodeConfiguration } from '../wire/configuration.ts';
import type { Fail } from './log-checks.ts';
import type { SimNode } from './sim-node.ts';

export interface ConfigurationChecks {
  onStart(node: SimNode): void;
  onPersist(node: SimNode, job: PersistJob): void;
  /** Somebody asked for a change of voters. */
  excuse(untilMs: Ms): void;
  /** Somebody asked for this peer to be let in anew. */
  expectAnew(peer: PeerId): void;
  /** Joint changes that were left. */
  changes(): number;
}

interface Known {
  readonly index: LogIndex;
  readonly hash: string;
  readonly configuration: Configuration;
}

export interface ConfigurationCheckDeps {
  readonly nowMs: () => Ms;
  readonly fail: Fail;
  readonly nodes: () => readonly SimNode[];
}

function holds(node: SimNode, { index, hash }: Known): boolean {
  const { snapshot, entries } = node.disk.durable();
  const base = snapshot?.index ?? 0;
  return index <= base || entries[index - base - 1]?.hash === hash;
}

export function createConfigurationChecks(deps: ConfigurationCheckDeps): ConfigurationChecks {
  const { fail, nodes } = deps;
  const logs = new Map<PeerId, Known[]>();
  const anew = new Set<PeerId>();
  let excusedUntilMs: Ms = -1;
  let changes = 0;

  /** What a leader writes after `before`. */
  function checkWritten(node: SimNode, before: Known, next: Configuration): void {
    const { outgoing, departed = [] } = before.configuration;
    if (outgoing !== null && next.outgoing === null) checkLeft(node, before);
    const entered = outgoing === null && next.outgoing !== null;
    if (entered && node.standing().paused && deps.nowMs() > excusedUntilMs)
      fail('paused-voters', `${node.id} changes the voters to ${next.voters} while paused`);
    for (const { peerId } of departed)
      if (!anew.has(peerId) && next.members.some((member) => member.peerId === peerId))
        fail('forgotten-back', `${peerId} is a member again and did not join anew`);
  }

  function majorityHolds(voters: readonly PeerId[], known: Known): boolean {
    const holders = nodes().filter((node) => voters.includes(node.id) && holds(node, known));
    return holders.length * 2 > voters.length;
  }

  function checkLeft(node: SimNode, joint: Known): void {
    const { voters, outgoing } = joint.configuration;
    changes += 1;
    if (majorityHolds(voters, joint) && majorityHolds(outgoing ?? voters, joint)) return;
    fail('joint-left-early', `${node.id} leaves the joint configuration of entry ${joint.index}`);
  }

  function checkRights(node: SimNode, index: LogIndex, configuration: Configuration): void {
    const { members, voters } = configuration;
    const wrong = voters.find((peer) => members.some((one) => one.peerId === peer && !one.votes));
    if (wrong === undefined) return;
    fail('voter-without-right', `entry ${index} of ${node.id} lets ${wrong} vote, which may not`);
  }

  return {
    onStart: (node) => {
      const { snapshot, entries } = node.disk.durable();
      const log: Known[] = [];
      if (snapshot !== null) {
        const { configurationIndex, configuration } = snapshot;
        log.push({ index: configurationIndex, hash: '', configuration });
      }
      for (const { kind, index, hash, data } of entries)
        if (kind === 'config') log.push({ index, hash, configuration: decodeConfiguration(data) });
      logs.set(node.id, log);
    },
    onPersist: (node, job) => {
      const log = logs.get(node.id);
      if (log === undefined) return;
      if (job.installSnapshot !== null) {
        const { configurationIndex, configuration } = job.installSnapshot.meta;
        log.splice(0, log.length, { index: configurationIndex, hash: '', configuration });
      }
      const { cutBackTo } = job;
      while (cutBackTo !== null && (log.at(-1)?.index ?? 0) > cutBackTo) log.pop();
      for (const { kind, index, hash, term, data } of job.append) {
        if (kind !== 'config') continue;
        const configuration = decodeConfiguration(data);
        checkRights(node, index, configuration);
        const before = log.at(-1);
        const own = node.leads() && node.term() === term;
        if (before !== undefined && own) checkWritten(node, before, configuration);
        log.push({ index, hash, configuration });
      }
    },
    excuse: (untilMs) => {
      excusedUntilMs = Math.max(excusedUntilMs, untilMs);
    },
    expectAnew: (peer) => {
      anew.add(peer);
    },
    changes: () => changes,
  };
}
