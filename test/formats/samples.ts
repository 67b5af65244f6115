/**
 * One of everything that this program writes for others, or for itself after an update: messages,
 * requests, gossip, log entries. Times, ids and keys are fixed, so that recording again changes
 * only what changed.
 */
import { encode as encodeCbor } from 'cborg';
import { encodeEnvelope } from '../../src/wire/command.ts';
import { type Configuration, encodeConfiguration } from '../../src/wire/configuration.ts';
import { encodeMessage, type Message } from '../../src/wire/consensus-message.ts';
import { chainStart, type Entry, type EntryKind, makeEntry } from '../../src/wire/entry.ts';
import { encodeCall } from '../../src/wire/frame.ts';
import { encodeGossip, encodeSignedRecord, encodeStatement } from '../../src/wire/gossip.ts';
import type { Certificate } from '../../src/wire/member.ts';

export const clusterId = 'c1'.repeat(16);
export const epoch = 'e1'.repeat(16);
const session = '5e'.repeat(16);
const cid = 'bafkreihdlwsafjmtwsuce4tvyq2mauev5ac7ozoyrue4wngijikj3o2xdq';
const atMs = 1_750_000_000_000;

const member = (peerId: string, role: 'master' | 'worker' | 'leecher', rank: number) => ({
  peerId,
  name: `${role}-1`,
  role,
  rank,
  zone: 'z1',
  votes: role !== 'leecher',
  leads: role !== 'leecher',
});
const leecher: Certificate = member('peer-c', 'leecher', 0);

export function configurationOf(peerId: string): Configuration {
  const members = [member(peerId, 'master', 3000), member('peer-b', 'worker', 2000), leecher];
  return { members, voters: [peerId, 'peer-b'], outgoing: null };
}

/** Entries of every kind, chained. */
export function entriesOf(peerId: string): Entry[] {
  const entries: Entry[] = [];
  const add = (kind: EntryKind, data: Uint8Array): void => {
    const previousHash = entries.at(-1)?.hash ?? chainStart;
    const index = entries.length + 1;
    entries.push(makeEntry({ previousHash, epoch, index, term: 2, kind, data }));
  };
  const put = (seq: number, command: Parameters<typeof encodeEnvelope>[0]['command']): void => {
    const idempotency = seq === 1 ? { key: 'once', requestHash: 'f'.repeat(64) } : null;
    add('command', encodeEnvelope({ v: 1, session, seq, atMs: atMs + seq, idempotency, command }));
  };
  add('config', encodeConfiguration(configurationOf(peerId)));
  add('empty', new Uint8Array(0));
  put(0, { type: 'session.open', node: peerId });
  const value = { to: 'there', list: [1, 2.5, null, true], text: 'naïve' };
  put(1, { type: 'index.put', index: 'knowledge_graph', key: 'a', value, expectedVersion: 0 });
  put(2, {
    type: 'pin.put',
    cid,
    name: 'a pin',
    bytes: 1000,
    blocks: 3,
    min: 1,
    max: 2,
    labels: { team: 'x' },
    expiresAtMs: null,
    expectedVersion: 0,
  });
  put(3, {
    type: 'allocation.set',
    cid,
    peers: [peerId, 'peer-b'],
    expectedVersion: 0,
    reliesOn: [],
    term: 2,
    reason: 'new',
  });
  for (let seq = 4; seq < 30; seq++)
    put(seq, {
      type: 'index.put',
      index: 'content_metadata',
      key: `file-${seq}`,
      value: { name: `file ${seq}`, size: seq },
      expectedVersion: null,
    });
  return entries;
}

const head = { v: 1, cluster: clusterId, epoch, term: 7 };
const end = { lastIndex: 4, lastTerm: 3 };
const prev = { prevIndex: 4, prevTerm: 3, prevHash: 'a'.repeat(64) };

function messages(): Message[] {
  const entries = entriesOf('peer-a').slice(4, 6);
  const answer = {
    asked: 7,
    granted: false,
    code: 'promise' as const,
    rank: 3000,
    promiseMs: 55.5,
  };
  const id = 3;
  const result = new Uint8Array([1, 2, 3]);
  return [
    { type: 'pre-vote', ...head, ...end, round: 1, rank: 3000, consent: null },
    { type: 'pre-vote-reply', ...head, ...end, ...answer, round: 1 },
    { type: 'vote', ...head, ...end, rank: 3000, transfer: { leader: 'peer-a', term: 6 } },
    { type: 'vote-reply', ...head, ...end, ...answer },
    {
      type: 'heartbeat',
      ...head,
      round: 9,
      leaseMs: 500,
      commit: 4,
      direct: true,
      serving: true,
      rttMs: 1.5,
      rank: 3000,
    },
    {
      type: 'heartbeat-reply',
      ...head,
      round: 9,
      match: 4,
      received: 4,
      applied: 4,
      cannotLead: null,
      stalled: false,
    },
    { type: 'append', ...head, ...prev, commit: 4, entries },
    { type: 'append-reply', ...head, ok: true, match: 6, refused: 0, hint: 0 },
    { type: 'propose', ...head, items: [{ id, kind: 'command', data: result }] },
    {
      type: 'propose-reply',
      ...head,
      answers: [{ id, status: 'applied', index: 6, term: 7, result, code: '', detail: '' }],
    },
    { type: 'read', ...head, ids: [1, 2] },
    { type: 'read-reply', ...head, ids: [1, 2], index: 6 },
    { type: 'fetch', ...head, ...end, id, purpose: 'learn', commit: 4 },
    {
      type: 'fetch-reply',
      ...head,
      ...prev,
      id,
      purpose: 'learn',
      code: 'ok',
      entries,
      commit: 6,
      leader: 'peer-a',
    },
    { type: 'snapshot-request', ...head, id },
    { type: 'timeout-now', ...head },
    { type: 'takeover', ...head, phase: 'ask' },
    { type: 'takeover-reply', ...head, consent: true, code: '' },
    { type: 'reject', ...head, code: 'epoch-mismatch' },
  ];
}

/** Requests and answers between nodes, as values: their shape is their schema's. */
function nodeMessages(): Record<string, unknown> {
  const pin = {
    cid,
    state: 'pinned',
    sinceMs: atMs,
    attempts: 1,
    bytesDone: 1000,
    bytesTotal: 1000,
    blocks: 3,
    lastError: null,
  };
  const usage = { bytesStored: 1000, bytesFree: 5000, blocks: 3 };
  const addresses = ['/ip4/127.0.0.1/tcp/4101'];
  const where = { clusterId, epoch };
  return {
    hello: {
      protocol: { min: 2, max: 2 },
      certificate: 'eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl',
      ...where,
      epochNumber: 2,
      parentEpoch: 'e0'.repeat(16),
      version: '0.1.0',
      statusUrl: 'http://127.0.0.1:9099',
      addresses,
      leader: 'peer-a',
      members: [{ peerId: 'peer-b', addresses }],
    },
    report: {
      epoch,
      incarnation: 5,
      seq: 1,
      full: true,
      more: false,
      pins: [pin],
      gone: [],
      usage,
      holdsContent: true,
    },
    order: {
      epoch,
      term: 7,
      order: { type: 'challenge', cid, blockIndex: 1, nonce: 'n'.repeat(32) },
    },
  };
}

export interface Sample {
  /** Which decoder reads it. */
  readonly decoder: 'message' | 'hello' | 'report' | 'order' | 'call' | 'gossip' | 'record';
  readonly name: string;
  readonly bytes: Uint8Array;
}

function gossip(): Sample[] {
  const body = encodeGossip('members', {
    type: 'member',
    name: 'master-1',
    role: 'master',
    zone: 'z1',
    addresses: ['/ip4/127.0.0.1/tcp/4101'],
    statusUrl: 'http://127.0.0.1:9099',
    content: { peerId: 'peer-x', addresses: [] },
    version: '0.1.0',
    incarnation: 5,
  });
  const from = 'peer-a';
  const age = { incarnation: 5, seq: 2, atMs };
  const statement = encodeStatement({ topic: 'members', from, cluster: clusterId, ...age, body });
  const signature = new Uint8Array(64).fill(7);
  return [
    { decoder: 'gossip', name: 'member', bytes: body },
    { decoder: 'record', name: 'member', bytes: encodeSignedRecord({ statement, signature }) },
  ];
}

export function samples(): Sample[] {
  const body = new Uint8Array([1, 2]);
  const nodes = Object.entries(nodeMessages()) as ['hello' | 'report' | 'order', unknown][];
  return [
    ...messages().map(
      (message): Sample => ({
        decoder: 'message',
        name: message.type,
        bytes: encodeMessage(message),
      }),
    ),
    ...nodes.map(([name, value]): Sample => ({ decoder: name, name, bytes: encodeCbor(value) })),
    {
      decoder: 'call',
      name: 'request',
      bytes: encodeCall({ type: 'request', id: 1, name: 'report', body }),
    },
    {
      decoder: 'call',
      name: 'failure',
      bytes: encodeCall({ type: 'failure', id: 1, code: 'not-leader', detail: 'nobody leads' }),
    },
    ...gossip(),
  ];
}
