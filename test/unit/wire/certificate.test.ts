import { describe, expect, test } from 'vitest';
import {
  type Claims,
  clockToleranceMs,
  decodeClaims,
  memberOf,
  refusalOf,
} from '../../../src/wire/certificate.ts';
import type { Message } from '../../../src/wire/consensus-message.ts';
import { decodeJoinToken, encodeJoinToken, type JoinToken } from '../../../src/wire/join-token.ts';
import { type Role, rankOf, rightsOf } from '../../../src/wire/member.ts';
import { lacksRight } from '../../../src/wire/message-rights.ts';

const clusterId = 'c'.repeat(32);
const claims: Claims = {
  ...{ v: 1, iss: clusterId, sub: 'peer', jti: 'a'.repeat(32), iat: 1000, nbf: 1000, exp: 2000 },
  ...{ gen: 3, name: 'w1', role: 'worker', rank: 2000, zone: 'z', leads: true },
};
const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

describe('claims', () => {
  test('say what the member may', () => {
    const member = memberOf(decodeClaims(bytes({ ...claims, later: 'field' })));
    expect(member).toEqual({
      ...{ peerId: 'peer', name: 'w1', role: 'worker', rank: 2000, zone: 'z' },
      ...{ votes: true, leads: true },
    });
  });

  test.each([
    ['no JSON', Buffer.from('{')],
    ['a leecher that leads', bytes({ ...claims, role: 'leecher', rank: 0 })],
    ['a rank of another role', bytes({ ...claims, rank: 3000 })],
    ['a name that is none', bytes({ ...claims, name: 'No Name' })],
    ['no generation', bytes({ ...claims, gen: 0 })],
  ])('%s is refused', (_, payload) => {
    expect(() => decodeClaims(payload)).toThrow(
      expect.objectContaining({ code: 'certificate-invalid' }),
    );
  });

  const now = 1_500_000;
  test.each([
    ['its own peer and time', {}, null],
    ['another key', { peer: 'other' }, 'certificate-invalid'],
    ['another cluster', { clusterId: 'd'.repeat(32) }, 'cluster-mismatch'],
    ['a floor below it', { floor: 3 }, null],
    ['a floor above it', { floor: 4 }, 'certificate-revoked'],
    ['a clock that is late by the tolerance', { wallMs: 2_000_000 + clockToleranceMs }, null],
    ['a clock later than that', { wallMs: 2_000_001 + clockToleranceMs }, 'certificate-expired'],
    ['a clock that is early by the tolerance', { wallMs: 1_000_000 - clockToleranceMs }, null],
    ['a clock earlier than that', { wallMs: 999_999 - clockToleranceMs }, 'certificate-expired'],
  ])('for %s', (_, change, code) => {
    const question = { peer: 'peer', clusterId, wallMs: now, floor: 1, ...change };
    expect(refusalOf(claims, question)?.code ?? null).toBe(code);
  });
});

describe('what a certificate allows to say', () => {
  const member = (role: Role, leads = rightsOf(role, true).leads) => ({
    ...{ peerId: 'p', name: 'n', role, rank: rankOf(role), zone: 'z' },
    ...{ votes: rightsOf(role, true).votes, leads },
  });
  const say = (type: Message['type'], granted = true) => ({ type, granted }) as unknown as Message;
  const leaders: Message['type'][] = [
    ...(['pre-vote', 'vote', 'heartbeat', 'append', 'timeout-now', 'takeover'] as const),
  ];
  test.each(leaders)('%s', (type) => {
    expect(lacksRight(member('master'), say(type))).toBeNull();
    expect(lacksRight(member('worker'), say(type))).toBeNull();
    expect(lacksRight(member('worker', false), say(type))).toMatch(/may not lead/);
    expect(lacksRight(member('witness'), say(type))).toMatch(/certified as witness/);
    expect(lacksRight(member('leecher'), say(type))).toMatch(/certified as leecher/);
  });
  test('a grant is a vote; everything else a leecher says', () => {
    for (const type of ['pre-vote-reply', 'vote-reply'] as const) {
      expect(lacksRight(member('witness'), say(type))).toBeNull();
      expect(lacksRight(member('leecher'), say(type))).toMatch(/may not vote/);
      expect(lacksRight(member('leecher'), say(type, false))).toBeNull();
    }
    for (const type of ['fetch', 'read', 'propose', 'heartbeat-reply', 'append-reply'] as const)
      expect(lacksRight(member('leecher'), say(type))).toBeNull();
  });
});

describe('join token', () => {
  const token: JoinToken = {
    ...{ clusterId, networkKey: '1f'.repeat(32), authority: 'A'.repeat(43), role: 'witness' },
    ...{ id: '0123456789abcdef', secret: 'ab'.repeat(16), addresses: ['/ip4/10.0.0.1/tcp/4101'] },
  };
  test('comes back as it was, also with white space around it', () => {
    expect(decodeJoinToken(` ${encodeJoinToken(token)}\n`)).toEqual(token);
  });
  test('every cut and every changed character is told as such', () => {
    const text = encodeJoinToken(token);
    for (let at = 0; at < text.length; at++) {
      const other = text[at] === 'x' ? 'y' : 'x';
      const changed = text.slice(0, at) + other + text.slice(at + 1);
      // The last character holds bits that count for nothing.
      for (const wrong of [text.slice(0, at), changed])
        if (at < text.length - 1)
          expect(() => decodeJoinToken(wrong)).toThrow(
            expect.objectContaining({ code: 'token-wrong' }),
          );
    }
  });
});
