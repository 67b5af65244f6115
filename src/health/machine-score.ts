/**
 * What is wrong with the agent's own process and the machine under it, from figures that cost
 * nothing to read.
 */
import type { Ms } from '../base/brand.ts';
import { type Component, componentOf, type Finding } from './score.ts';

const lagSlowMs: Ms = 250;
const lagStalledMs: Ms = 1000;
const memoryHighPercent = 95;
const diskLowShare = 0.05;
const diskFullBytes = 256 * 1024 * 1024;

export interface AgentFacts {
  readonly storeWritable: boolean;
  /** 99th percentile of the event loop's lag since the last look. */
  readonly loopLagMs: Ms;
  /** False where the node should hold content and its engine does not run. */
  readonly contentUp: boolean;
  readonly leaderKnown: boolean;
  /** Another machine runs with this node's key. */
  readonly identityClash: boolean;
}

export function agentComponent(facts: AgentFacts): Component {
  const findings: Finding[] = [];
  if (!facts.storeWritable)
    findings.push({ code: 'store-not-writable', detail: 'the log or catalog can not be written' });
  if (facts.identityClash)
    findings.push({ code: 'identity-clash', detail: "another machine runs with this node's key" });
  const lag = `the event loop was ${Math.round(facts.loopLagMs)} ms late (99th percentile)`;
  if (facts.loopLagMs >= lagStalledMs) findings.push({ code: 'event-loop-stalled', detail: lag });
  else if (facts.loopLagMs >= lagSlowMs) findings.push({ code: 'event-loop-slow', detail: lag });
  if (!facts.contentUp) findings.push({ code: 'content-down', detail: 'no content engine runs' });
  if (!facts.leaderKnown) findings.push({ code: 'no-leader', detail: 'no leader is known here' });
  return componentOf('agent', findings, { weight: 3, critical: true });
}

export interface MachineFacts {
  readonly memoryPercent: number;
  readonly diskPercent: number | null;
  readonly diskFreeBytes: number | null;
}

export function machineComponent(facts: MachineFacts): Component {
  const findings: Finding[] = [];
  const { diskFreeBytes, diskPercent, memoryPercent } = facts;
  const disk = `${diskFreeBytes} bytes are free where the data folder is`;
  if (diskFreeBytes !== null && diskFreeBytes < diskFullBytes)
    findings.push({ code: 'disk-full', detail: disk });
  else if (diskPercent !== null && diskPercent > 100 * (1 - diskLowShare))
    findings.push({ code: 'disk-low', detail: `${disk}, ${diskPercent} % is used` });
  if (memoryPercent > memoryHighPercent)
    findings.push({ code: 'memory-high', detail: `${memoryPercent} % of the memory is used` });
  return componentOf('machine', findings, { weight: 2, critical: true });
}
