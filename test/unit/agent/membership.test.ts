import { describe, expect, test } from 'vitest';
import type { Config } from '../../../src/agent/config.ts';
import { createDirectory } from '../../../src/agent/directory.ts';
import { createMembership, multiaddrOf } from '../../../src/agent/membership.ts';
import { AgentError } from '../../../src/base/error.ts';
import type { Mesh } from '../../../src/mesh/api.ts';
import type { ConfigurationChange } from '../../../src/wire/configuration.ts';
import { type Certificate, rankOf, rightsOf } from '../../../src/wire/member.ts';
import {
  admittedSchema,
  decodeNodeMessage,
  encodeNodeMessage,
  helloSchema,
  nodeProtocol,
} from '../../../src/wire/node-message.ts';
import { certify, clusterId, stranger, trustOf } from './papers.ts';

const epoch = 'e'.repeat(32);

function certificate(peerId: string, name: string): Certificate {
  return {
    peerId,
    name,
    role: 'worker',
    rank: rankOf('worker'),
    zone: 'z',
    ...rightsOf('worker', true),
  };
}

/** A membership of `self` over a mesh that the test answers. */
async function setUp(
  options: {
    leads?: boolean;
    leader?: string | null;
    cluster?: { clusterId: string | null; epoch: string | null };
    dial?: (address: string) => Promise<string>;
    answer?: (to: string, name: string, body: Uint8Array) => Promise<Uint8Array>;
  } = {},
) {
  const own = certificate('self', 'self');
  const changes: ConfigurationChange[] = [];
  const directory = createDirectory('self', () => own);
  directory.setConfiguration({
    members: [own, certificate('other', 'other')],
    voters: ['self'],
    outgoing: null,
  });
  const mesh = {
    peerId: 'self',
    addresses: () => ['/ip4/127.0.0.1/tcp/1'],
    links: () => [{ peerId: 'other', connected: true }],
    dial: options.dial ?? (async () => 'other'),
    request: options.answer ?? (async () => new Uint8Array(0)),
  } as unknown as Mesh;
  const membership = createMembership({
    config: { nodeId: 'self', workersMayLead: true } as Config,
    mesh,
    directory,
    clock: { now: () => ({ monoMs: 5, skippedMs: 0 }), wallMs: () => 5 },
    trust: await trustOf('self'),
    cluster: () => ({
      ...(options.cluster ?? { clusterId, epoch }),
      epochNumber: 1,
      parentEpoch: null,
    }),
    strayed: () => undefined,
    learnEpoch: () => undefined,
    statusUrl: () => null,
    leader: () => options.leader ?? null,
    leads: () => options.leads ?? true,
    reconfigure: async (change) => {
      changes.push(change);
    },
  });
  return { membership, directory, changes };
}

async function helloOf(peerId: string, change: Record<string, unknown> = {}) {
  return encodeNodeMessage({
    protocol: nodeProtocol,
    certificate: await certify(peerId),
    clusterId,
    epoch,
    epochNumber: 1,
    parentEpoch: null,
    version: '1',
    statusUrl: 'http://x',
    addresses: ['/ip4/1.2.3.4/tcp/5'],
    leader: null,
    members: [{ peerId: 'third', addresses: ['/ip4/9.9.9.9/tcp/9'] }],
    ...change,
  });
}
async function admitOf(peerId: string, name: string, change: Record<string, unknown> = {}) {
  const certificate = await certify(peerId, { name });
  return encodeNodeMessage({ peerId, certificate, epoch, forwarded: false, ...change });
}

describe('hello', () => {
  test('both sides learn who the other is and whom it knows', async () => {
    const { membership, directory } = await setUp();
    const body = await membership.onHello('new', await helloOf('new'));
    const answer = decodeNodeMessage('hello', helloSchema, body);
    expect(answer.certificate).toMatch(/^eyJ/);
    expect(answer.clusterId).toBe(clusterId);
    expect(directory.certificateOf('new')?.name).toBe('new');
    expect(directory.factsOf('new')).toMatchObject({ statusUrl: 'http://x', version: '1' });
    expect(directory.factsOf('third').addresses).toEqual(['/ip4/9.9.9.9/tcp/9']);
  });

  test('a machine that is being enrolled gets an answer and is nobody', async () => {
    const { membership, directory } = await setUp();
    await membership.onHello('new', await helloOf('new', { certificate: null }));
    expect(directory.certificateOf('new')).toBeNull();
  });

  test.each([
    ['somebody else’s certificate', 'liar', {}, {}, 'certificate-invalid'],
    ['another authority', 'new', { by: stranger }, {}, 'certificate-invalid'],
    ['another cluster', 'new', { change: { iss: 'd'.repeat(32) } }, {}, 'cluster-mismatch'],
    ['a time that is over', 'new', { change: { exp: 1 } }, {}, 'certificate-expired'],
    ['another epoch', 'new', {}, { epoch: 'd'.repeat(32) }, 'epoch-mismatch'],
    ['a protocol from the future', 'new', {}, { protocol: { min: 7, max: 9 } }, 'forbidden'],
  ])('%s is refused', async (_, from, wanted, change, code) => {
    const { membership, directory } = await setUp();
    const certificate = await certify('new', wanted);
    const hello = await helloOf('new', { certificate, ...change });
    await expect(membership.onHello(from, hello)).rejects.toMatchObject({ code });
    expect(directory.certificateOf(from)).toBeNull();
  });
});

describe('admission', () => {
  test('the leader makes the record out of the certificate', async () => {
    const { membership, changes } = await setUp();
    const certificate = await certify('new', { role: 'leecher' });
    const answer = await membership.onAdmit('new', await admitOf('new', 'new', { certificate }));
    const record = decodeNodeMessage('admitted', admittedSchema, answer).certificate;
    expect(record).toMatchObject({ peerId: 'new', role: 'leecher', votes: false, leads: false });
    expect(changes).toEqual([{ type: 'admit', member: record }]);
  });

  test('a member that asks again gets its record and changes nothing', async () => {
    const { membership, changes } = await setUp();
    await membership.onAdmit('other', await admitOf('other', 'other'));
    expect(changes).toEqual([]);
  });

  test.each([
    ['a taken name', 'new', ['new', 'other'], {}, /belongs to the key other/],
    ['another one’s key', 'new', ['x', 'x'], {}, /new asks for x/],
    ['another epoch', 'new', ['new', 'new'], { epoch: clusterId }, /this is epoch/],
    ['a made-up certificate', 'new', ['new', 'new'], { certificate: 'a.b.c' }, /valid signature/],
  ] as const)('%s is refused', async (_, from, [peerId, name], change, expected) => {
    const { membership, changes } = await setUp();
    const admit = await admitOf(peerId, name, change);
    await expect(membership.onAdmit(from, admit)).rejects.toThrow(expected);
    expect(changes).toEqual([]);
  });

  test('another node passes it on to the leader once, and no further', async () => {
    const asked: string[] = [];
    const { membership } = await setUp({
      leads: false,
      leader: 'other',
      answer: async (to, name) => {
        asked.push(`${name} to ${to}`);
        return new Uint8Array(0);
      },
    });
    await membership.onAdmit('new', await admitOf('new', 'new'));
    expect(asked).toEqual(['admit to other']);
    const again = membership.onAdmit('x', await admitOf('new', 'new', { forwarded: true }));
    await expect(again).rejects.toMatchObject({ code: 'not-leader' });
  });
});

describe('looking for a cluster', () => {
  const signal = new AbortController().signal;

  test('asks until somebody is in one', async () => {
    let asked = 0;
    const { membership } = await setUp({
      cluster: { clusterId: null, epoch: null },
      answer: async () => {
        asked += 1;
        return helloOf('other', asked < 3 ? { clusterId: null, epoch: null } : {});
      },
    });
    expect(await membership.findCluster(['a:1'], signal)).toMatchObject({ clusterId, epoch });
    expect(asked).toBe(3);
  });

  test('its own address among the peers is no answer and no error', async () => {
    const { membership } = await setUp({
      cluster: { clusterId: null, epoch: null },
      dial: async (address) => {
        if (address.includes('self')) throw new AgentError('conflict', 'this node itself');
        return 'other';
      },
      answer: async () => helloOf('other'),
    });
    expect(await membership.findCluster(['self:1', 'other:1'], signal)).toMatchObject({
      clusterId,
      epoch,
    });
  });

  test('a wrong network key is told after a few refusals', async () => {
    const { membership } = await setUp({
      dial: async () => {
        throw new AgentError('network-key-mismatch', 'another network key');
      },
    });
    await expect(membership.findCluster(['a:1'], signal)).rejects.toThrow(/another network key/);
  });
});

test.each([
  ['10.0.0.1:4101', '/ip4/10.0.0.1/tcp/4101'],
  ['host.example:1', '/dns/host.example/tcp/1'],
  ['[::1]:4', '/ip6/::1/tcp/4'],
  ['/ip4/1.2.3.4/tcp/5', '/ip4/1.2.3.4/tcp/5'],
])('%s is %s', (peer, expected) => {
  expect(multiaddrOf(peer)).toBe(expected);
});

test.each(['nothing', ':1', 'host:port'])('%s is no address', (peer) => {
  expect(() => multiaddrOf(peer)).toThrow(/neither a multiaddr nor host:port/);
});

test('a newcomer that is not linked to the leader asks whom it is linked to', async () => {
  const asked: string[] = [];
  const admitted = certificate('self', 'self');
  const { membership } = await setUp({
    leader: 'far-away',
    answer: async (to, name) => {
      asked.push(`${name} ${to}`);
      return encodeNodeMessage({ certificate: admitted });
    },
  });
  expect(await membership.join(AbortSignal.timeout(5000))).toEqual(admitted);
  expect(asked).toEqual(['admit other']);
});
