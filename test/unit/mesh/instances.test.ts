/** Two runs of one key: proved by both words, never by a restart, a silence or a liar. */
import { cp } from 'node:fs/promises';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { afterEach, expect, test } from 'vitest';
import { AgentError } from '../../../src/base/error.ts';
import type { Clash } from '../../../src/mesh/api.ts';
import { createInstances, type Instances } from '../../../src/mesh/instances.ts';
import {
  clashRequest,
  decodeInstanceWord,
  encodeInstance,
  instanceRequest,
  provesClash,
} from '../../../src/wire/instance.ts';
import { acquaint, createFlock, type Flock, peerOf, until } from './flock.ts';

let flock: Flock | null = null;
afterEach(() => flock?.stop());

interface Line {
  readonly to: Instances;
  /** What the run behind it answers instead. */
  readonly lie?: (name: string, body: Uint8Array) => Promise<Uint8Array>;
}

const keyOf = async () => {
  const privateKey = await generateKeyPair('Ed25519');
  return { privateKey, self: peerIdFromPrivateKey(privateKey).toString() };
};

async function setUp() {
  const [twin, witness] = [await keyOf(), await keyOf()];
  const clashes: Clash[] = [];
  let lines: readonly Line[] = [];
  let nowMs = 0;
  const run = (who: typeof twin): Instances =>
    createInstances<Line>({
      ...who,
      monoMs: () => nowMs,
      connections: () => lines,
      addressOf: (line) => `at ${lines.indexOf(line)}`,
      ask: ({ to, lie }, name, body) =>
        (lie ?? ((n, b) => to.answer(witness.self, n, b)))(name, body),
      onClash: (clash) => clashes.push(clash),
    });
  const settle = () => new Promise((resolve) => setTimeout(resolve, 20));
  return {
    run,
    twin,
    witness,
    clashes,
    settle,
    connect: (next: readonly Line[]) => {
      lines = next;
    },
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

test('two runs of one key are proved to the observer and to both of them', async () => {
  const { run, twin, witness, clashes, connect } = await setUp();
  connect([{ to: run(twin) }, { to: run(twin) }]);
  await run(witness).examine(twin.self);
  expect(clashes).toEqual([
    { peer: twin.self, self: false, addresses: ['at 0', 'at 1'], toldBy: null },
    { peer: twin.self, self: true, addresses: ['at 1'], toldBy: witness.self },
    { peer: twin.self, self: true, addresses: ['at 0'], toldBy: witness.self },
  ]);
});

test('two connections of one run are no clash, and are asked about once', async () => {
  const { run, twin, witness, clashes, connect, settle } = await setUp();
  const one = run(twin);
  connect([{ to: one }, { to: one }]);
  const observer = run(witness);
  await observer.examine(twin.self);
  const { instances_asked_total: asked } = observer.stats();
  observer.round([twin.self]);
  await settle();
  expect(observer.stats().instances_asked_total).toBe(asked);
  expect(clashes).toEqual([]);
});

test('the dead end of an earlier run proves nothing', async () => {
  const { run, twin, witness, clashes, connect } = await setUp();
  const silent = async (): Promise<Uint8Array> => {
    throw new AgentError('timeout', 'no answer');
  };
  const earlier = run(twin);
  connect([{ to: earlier, lie: silent }, { to: run(twin) }]);
  await run(witness).examine(twin.self);
  // It answered once, and was gone before it was told of the other.
  let answers = 0;
  const once = async (name: string, body: Uint8Array): Promise<Uint8Array> => {
    answers += 1;
    return answers === 1 ? earlier.answer(witness.self, name, body) : silent();
  };
  connect([{ to: earlier, lie: once }, { to: run(twin) }]);
  await run(witness).examine(twin.self);
  expect(answers).toBe(2);
  expect(clashes).toEqual([]);
});

test('a clash that lasts is proved again every few seconds', async () => {
  const { run, twin, witness, clashes, connect, pass, settle } = await setUp();
  connect([{ to: run(twin) }, { to: run(twin) }]);
  const observer = run(witness);
  await observer.examine(twin.self);
  observer.round([twin.self]);
  await settle();
  expect(clashes).toHaveLength(3);
  pass(5000);
  observer.round([twin.self]);
  await until(() => clashes.length === 6);
});

test('nobody is made to believe in a clash by words of another key or of another run', async () => {
  const { run, twin, witness, clashes } = await setUp();
  const [a, b, c] = [run(twin), run(twin), run(twin)];
  const liar = run(witness);
  const word = async (of: Instances, met: string | null) =>
    decodeInstanceWord(await of.answer('x', instanceRequest, encodeInstance({ met })));
  for (const other of [
    await word(liar, a.id), // signed by the liar's own key
    await word(b, c.id), // names another run
    await word(b, null),
    await word(a, a.id), // its own
    { ...(await word(b, c.id)), met: a.id }, // changed after it was signed
  ])
    await expect(
      a.answer(witness.self, clashRequest, encodeInstance({ other, address: null })),
    ).rejects.toMatchObject({ code: 'bad-request' });
  expect(clashes).toEqual([]);
});

test('only words that name each other overlap', () => {
  const [x, y] = ['1'.repeat(32), '2'.repeat(32)];
  expect(provesClash({ instance: x, met: y }, { instance: y, met: x })).toBe(true);
  for (const [a, b] of [
    [
      { instance: x, met: y },
      { instance: y, met: null },
    ],
    [
      { instance: x, met: null },
      { instance: y, met: x },
    ],
    [
      { instance: x, met: x },
      { instance: x, met: x },
    ],
    [
      { instance: x, met: y },
      { instance: y, met: y },
    ],
  ] as const)
    expect(provesClash(a, b)).toBe(false);
});

test('a folder that was copied: all three hear of it over the network; a restart is silent', async () => {
  flock = createFlock();
  const [a, b] = [await flock.node(), await flock.node()];
  await acquaint([a, b]);
  await a.mesh.stop();
  await until(() => b.mesh.links().every(({ connected }) => !connected));
  const copy = await flock.folder();
  await cp(a.dir, copy, { recursive: true });
  const again = await flock.node({}, { dir: a.dir });
  again.mesh.setPeers([peerOf(again), peerOf(b)]);
  await until(() => again.mesh.links().every(({ connected }) => connected));
  const twin = await flock.node({}, { dir: copy });
  expect([again, b].flatMap(({ clashes }) => clashes)).toEqual([]);
  twin.mesh.setPeers([peerOf(twin), peerOf(b)]);
  const peer = a.mesh.peerId;
  await until(() => [again, b, twin].every(({ clashes }) => clashes.length > 0));
  expect(b.clashes[0]).toMatchObject({ peer, self: false, toldBy: null });
  for (const { clashes } of [again, twin])
    expect(clashes[0]).toMatchObject({ peer, self: true, toldBy: b.mesh.peerId });
});
