/**
 * `demo --script failover`: loses the leader, the next one, and a worker, and shows what stays true
 * meanwhile. One JSON object tells what was measured; its shape is part of the product's surface.
 */
import { randomBytes } from 'node:crypto';
import type { Client } from './client.ts';
import {
  createActs,
  type Killed,
  killLeader,
  repairAfterLoss,
  type Scene,
  takeBack,
} from './demo-acts.ts';
import type { DemoOptions } from './demo-command.ts';
import { addParts, type PinnedPart, partsOf, sameBack, waitForPins } from './demo-content.ts';
import type { FlockNode } from './demo-flock.ts';
import { nodeRows, onStage, type Stage } from './demo-stage.ts';
import { asked, pageOf, until } from './demo-watch.ts';
import { createWriter, type Writer } from './demo-writer.ts';
import { exitCodes } from './exit-code.ts';
import type { Io } from './io.ts';
import { sizeOf } from './table.ts';

const copies = { min: 2, max: 3 };
const replicatedMsMax = 90_000;
const caughtUpMsMax = 20_000;

const rounded = (ms: number): number => Math.round(ms * 10) / 10;

async function replicate(stage: Stage, parts: Awaited<ReturnType<typeof partsOf>>) {
  const leader = stage.flock.node(stage.leader.name);
  const { pins, acceptedMs } = await addParts(leader.client(), parts, copies);
  const cids = pins.map(({ cid }) => cid);
  const reports = await waitForPins(() => leader, cids, replicatedMsMax);
  const verified = reports.map((pin) => pin.verified);
  return {
    pins,
    told: {
      files: pins.reduce((sum, { tree }) => sum + tree.files, 0),
      bytes: pins.reduce((sum, { tree }) => sum + tree.bytes, 0),
      seconds: Math.round(performance.now() - acceptedMs) / 1000,
      minReplicas: Math.min(...verified),
      verified: reports.every((pin) => pin.verified >= copies.min),
    },
  };
}

/** Waits until every living node has applied what the leader has committed. */
async function caughtUp(scene: Scene, leaderName: string): Promise<void> {
  const { flock } = scene.stage;
  const leader = await until('the status of the leader', caughtUpMsMax, () =>
    pageOf(flock.node(leaderName)),
  );
  for (const node of flock.living())
    await until(`${node.name} has applied all`, caughtUpMsMax, async () => {
      const page = await pageOf(node);
      return page !== null && page.log.appliedIndex >= leader.log.commitIndex ? true : null;
    });
}

async function auditAll(scene: Scene, writer: Writer) {
  let lost = 0;
  let doubled = 0;
  for (const node of scene.stage.flock.living()) {
    const audit = await writer.audit(node);
    lost += audit.lost;
    doubled += audit.doubled;
  }
  return { acknowledged: writer.acknowledged(), lost, doubled };
}

async function indexOf(client: Client): Promise<string> {
  const { entries } = await client.call<{ entries: unknown[] }>(
    'GET',
    '/v1/index/content_metadata',
    { query: { limit: 1000 } },
  );
  return JSON.stringify(entries);
}

async function judgeLeecher(
  scene: Scene,
  leader: FlockNode,
  pins: readonly PinnedPart[],
  leecherAudit: { lost: number },
) {
  const client = scene.stage.flock.node('leecher-1').client();
  const same: boolean[] = [];
  for (const pin of pins) same.push(await sameBack(client, pin));
  const refusal = await client
    .call('PUT', '/v1/index/knowledge_graph/refused', { json: {} })
    .then(() => null)
    .catch((thrown: { code?: string }) => thrown.code ?? 'unknown');
  const sameIndex = (await indexOf(client)) === (await indexOf(leader.client()));
  return {
    everLed: scene.leecherLed(),
    readEqual: leecherAudit.lost === 0 && sameIndex,
    getEqual: same.every(Boolean),
    writeRefused: refusal === 'forbidden',
  };
}

/** The script on a flock that has a leader, whoever runs its agents. */
export async function performFailover(
  stage: Stage,
  parts: Awaited<ReturnType<typeof partsOf>>,
  say: (text: string) => void,
) {
  const { pins, told: replication } = await replicate(stage, parts);
  say(`${sizeOf(replication.bytes)} have ${replication.minReplicas} verified copies or more`);
  const writer = createWriter(stage.flock.node('worker-1'), randomBytes(4).toString('hex'));
  const scene = createActs(stage, { pins, copies, writer, say });
  writer.start();
  scene.watchLeecher();
  try {
    const leaderBefore = stage.leader;
    const first: Killed = await killLeader(scene, leaderBefore);
    const second: Killed = await killLeader(scene, first.leader);
    const takeover = await takeBack(scene, leaderBefore.name, second.leader);
    const repair = await repairAfterLoss(scene, 'worker-2', takeover.leader.name);
    await writer.stop();
    await caughtUp(scene, takeover.leader.name);
    const writes = await auditAll(scene, writer);
    const leecherAudit = await writer.audit(stage.flock.node('leecher-1'));
    const leader = stage.flock.node(takeover.leader.name);
    const leecher = await judgeLeecher(scene, leader, pins, leecherAudit);
    return {
      nodes: nodeRows(stage.flock),
      electionMs: rounded(stage.electionMs),
      leaderBefore,
      leaderAfter: first.leader,
      failoverMs: rounded(first.failoverMs),
      actingMs: rounded(first.actingMs),
      replication,
      writes,
      workerLed: { ...second.leader, failoverMs: rounded(second.failoverMs) },
      takeover: {
        from: second.leader.name,
        to: takeover.leader.name,
        term: takeover.leader.term,
        longestWriteGapMs: rounded(takeover.longestWriteGapMs),
      },
      repair,
      leecher,
    };
  } finally {
    await scene.end();
    await asked(() => writer.stop());
  }
}

type Told = Awaited<ReturnType<typeof performFailover>>;

/** What the script claims; all of it has to hold. */
export function failoverHolds(told: Told): boolean {
  const { leaderBefore, leaderAfter, workerLed, takeover, writes, leecher } = told;
  return (
    leaderBefore.role === 'master' &&
    leaderAfter.role === 'master' &&
    leaderAfter.name !== leaderBefore.name &&
    workerLed.role === 'worker' &&
    takeover.to === leaderBefore.name &&
    told.replication.verified &&
    told.repair.verified &&
    writes.acknowledged > 0 &&
    writes.lost === 0 &&
    writes.doubled === 0 &&
    !leecher.everLed &&
    leecher.readEqual &&
    leecher.getEqual &&
    leecher.writeRefused
  );
}

export async function runFailoverScript(options: DemoOptions, io: Io): Promise<number> {
  const parts = await partsOf(options.files);
  const bytes = parts.reduce((sum, { tree }) => sum + tree.bytes, 0);
  const say = (text: string): void => io.err(`${text}\n`);
  const place = { keep: options.keep, bytes, usualPorts: false, daemons: false, say };
  const told = await onStage(place, io, (stage) => performFailover(stage, parts, say));
  const ok = failoverHolds(told);
  const all = { ok, ...told };
  io.out(options.json ? `${JSON.stringify(all)}\n` : `${JSON.stringify(all, null, 2)}\n`);
  return ok ? exitCodes.ok : exitCodes.failure;
}
