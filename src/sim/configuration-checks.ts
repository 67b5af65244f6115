/**
 * Changes of the configuration. A joint configuration may be left only when it is committed: when
 * its entry is durable on a majority of the new voters and on a majority of the old ones. The disks
 * of the simulation are open to us, so that is looked up and not believed.
 */
import type { LogIndex, PeerId } from '../base/brand.ts';
import type { Configuration, PersistJob } from '../consensus/api.ts';
import { decodeConfiguration } from '../wire/configuration.ts';
import type { Fail } from './log-checks.ts';
import type { SimNode } from './sim-node.ts';

export interface ConfigurationChecks {
  onStart(node: SimNode): void;
  onPersist(node: SimNode, job: PersistJob): void;
  /** Joint changes that were left. */
  changes(): number;
}

interface Known {
  readonly index: LogIndex;
  readonly hash: string;
  readonly configuration: Configuration;
}

export interface ConfigurationCheckDeps {
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
  let changes = 0;

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
        const before = log.at(-1);
        const left = before !== undefined && before.configuration.outgoing !== null;
        const own = node.leads() && node.term() === term;
        if (left && own && configuration.outgoing === null) checkLeft(node, before);
        log.push({ index, hash, configuration });
      }
    },
    changes: () => changes,
  };
}
