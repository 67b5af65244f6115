/** Scores: each reason alone costs exactly its deduction, and no score ever leaves 0..100. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DaemonFacts, daemonComponent } from '../../../src/health/daemon-score.ts';
import { agentComponent, machineComponent } from '../../../src/health/machine-score.ts';
import { type MeshFacts, meshComponent } from '../../../src/health/mesh-score.ts';
import {
  type Component,
  componentOf,
  criticalSlack,
  deductions,
  nodeScore,
  type ReasonCode,
} from '../../../src/health/score.ts';

const codes = Object.keys(deductions) as ReasonCode[];
const fineAgent = {
  ...{ storeWritable: true, loopLagMs: 3, contentUp: true, leaderKnown: true },
  identityClash: false,
};
const fineMachine = { memoryPercent: 50, diskPercent: 50, diskFreeBytes: 1e12 };
const fineMesh: MeshFacts = {
  members: 4,
  discovered: 4,
  wanted: 4,
  connected: 4,
  links: 4,
  roundTripsMs: [1, 2, 3],
  gossipAgeMs: 1000,
  upForMs: 100_000,
  oneSided: [],
};
const fineDaemon: DaemonFacts = {
  type: 'ipfs',
  state: 'running',
  detail: '',
  required: true,
  progress: null,
  findings: [],
};

/** Every way to get exactly one reason out of the facts. */
const alone: [ReasonCode, () => Component][] = [
  ['store-not-writable', () => agentComponent({ ...fineAgent, storeWritable: false })],
  ['event-loop-slow', () => agentComponent({ ...fineAgent, loopLagMs: 250 })],
  ['event-loop-stalled', () => agentComponent({ ...fineAgent, loopLagMs: 1000 })],
  ['content-down', () => agentComponent({ ...fineAgent, contentUp: false })],
  ['identity-clash', () => agentComponent({ ...fineAgent, identityClash: true })],
  ['no-leader', () => agentComponent({ ...fineAgent, leaderKnown: false })],
  ['disk-full', () => machineComponent({ ...fineMachine, diskFreeBytes: 1000, diskPercent: 99.9 })],
  ['disk-low', () => machineComponent({ ...fineMachine, diskPercent: 95.1 })],
  ['memory-high', () => machineComponent({ ...fineMachine, memoryPercent: 95.1 })],
  ['no-peers', () => meshComponent({ ...fineMesh, links: 0, connected: 0 })],
  ['low-connectivity', () => meshComponent({ ...fineMesh, connected: 1, links: 1 })],
  ['undiscovered-members', () => meshComponent({ ...fineMesh, discovered: 3 })],
  ['slow-round-trips', () => meshComponent({ ...fineMesh, roundTripsMs: [1, 501, 600] })],
  ['gossip-undelivered', () => meshComponent({ ...fineMesh, gossipAgeMs: 60_001 })],
  ['gossip-undelivered', () => meshComponent({ ...fineMesh, gossipAgeMs: null })],
  ['one-sided-link', () => meshComponent({ ...fineMesh, oneSided: ['b'] })],
  ...(
    [
      ['stopped', 'daemon-stopped'],
      ['starting', 'daemon-starting'],
      ['unresponsive', 'daemon-unresponsive'],
      ['cooling-down', 'daemon-cooling-down'],
      ['crash-loop', 'daemon-crash-loop'],
      ['stopping', 'daemon-stopped'],
    ] as const
  ).map(([state, code]): [ReasonCode, () => Component] => [
    code,
    () => daemonComponent({ ...fineDaemon, state, detail: 'why' }, 0),
  ]),
  ...codes
    .filter((code) => code.startsWith('daemon-'))
    .map((code): [ReasonCode, () => Component] => [
      code,
      () => daemonComponent({ ...fineDaemon, findings: [{ code, detail: 'why' }] }, 0),
    ]),
];

describe('each reason alone', () => {
  test.each(alone)('%s costs its deduction', (code, make) => {
    const component = make();
    expect(component.reasons.map((reason) => reason.code)).toEqual([code]);
    expect(component.reasons[0]?.deduction).toBe(deductions[code]);
    expect(component.score).toBe(100 - deductions[code]);
  });

  test('every reason that there is can come about', () => {
    const seen = new Set(alone.map(([code]) => code));
    expect(codes.filter((code) => !seen.has(code))).toEqual([]);
  });

  test('nothing wrong is 100', () => {
    const all = [
      agentComponent(fineAgent),
      machineComponent(fineMachine),
      meshComponent(fineMesh),
      daemonComponent(fineDaemon, 0),
    ];
    expect(nodeScore(all)).toMatchObject({ score: 100, reasons: [] });
  });

  test('a node that knows nobody else is not blamed for it', () => {
    const lone = { ...fineMesh, members: 0, discovered: 0, wanted: 0, connected: 0, links: 0 };
    expect(meshComponent({ ...lone, gossipAgeMs: null }).score).toBe(100);
  });
});

describe('the score of a node', () => {
  const component = fc.record({
    name: fc.constantFrom('agent', 'machine', 'mesh', 'ipfs', 'lotus'),
    found: fc.array(fc.constantFrom(...codes), { maxLength: 40 }),
    weight: fc.integer({ min: 0, max: 10 }),
    critical: fc.boolean(),
  });

  test('is a whole number from 0 to 100, whatever is wrong', () => {
    fc.assert(
      fc.property(fc.array(component, { maxLength: 10 }), (list) => {
        const components = list.map(({ name, found, weight, critical }) =>
          componentOf(
            name,
            found.map((code) => ({ code, detail: '' })),
            { weight, critical },
          ),
        );
        const { score } = nodeScore(components);
        for (const one of [score, ...components.map((each) => each.score)])
          expect(Number.isInteger(one) && one >= 0 && one <= 100).toBe(true);
      }),
    );
  });

  test('never rises by one more reason', () => {
    fc.assert(
      fc.property(component, component, fc.constantFrom(...codes), (a, b, more) => {
        const make = (one: typeof a, found: ReasonCode[]) =>
          componentOf(
            one.name,
            found.map((code) => ({ code, detail: '' })),
            one,
          );
        const before = nodeScore([make(a, a.found), make(b, b.found)]).score;
        const after = nodeScore([make(a, [...a.found, more]), make(b, b.found)]).score;
        expect(after).toBeLessThanOrEqual(before);
      }),
    );
  });

  test('is the mean by weight, capped by the worst critical component', () => {
    const part = (score: number, weight: number, critical: boolean): Component => ({
      name: 'x',
      score,
      weight,
      critical,
      reasons: [],
    });
    expect(nodeScore([part(100, 3, true), part(40, 1, false)]).score).toBe(85);
    expect(nodeScore([part(100, 9, true), part(0, 1, true)]).score).toBe(criticalSlack);
    expect(nodeScore([]).score).toBe(100);
  });
});
