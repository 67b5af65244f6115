/** The short way through a schema says yes only where the schema does, and to what it returns. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { envelopeSchema } from '../../../src/wire/command.ts';
import { configurationSchema } from '../../../src/wire/configuration.ts';
import { messageSchema } from '../../../src/wire/consensus-schema.ts';
import { fits } from '../../../src/wire/shape.ts';

const head = { v: 1, cluster: 'c', epoch: 'e', term: 3 };
const put = { type: 'index.put', index: 'embeddings', key: 'k', value: { a: [1] } };
const envelope = {
  ...{ v: 1, session: 'a'.repeat(32), seq: 1, atMs: 5, idempotency: null },
  command: { type: 'batch', commands: [{ ...put, expectedVersion: null }] },
};
const member = { peerId: 'n0', name: 'n0', role: 'master', rank: 3000, zone: '' };
const samples: readonly (readonly [string, z.ZodType, unknown])[] = [
  [
    'a heartbeat',
    messageSchema,
    {
      ...{ type: 'heartbeat', ...head, round: 1, leaseMs: 0.5, commit: 4, direct: true },
      ...{ serving: true, rttMs: null, rank: 3000, fromLaterVersions: { x: 1 } },
    },
  ],
  [
    'a proposal',
    messageSchema,
    { type: 'propose', ...head, items: [{ id: 1, kind: 'command', data: Uint8Array.of(1) }] },
  ],
  ['a pre-vote', messageSchema, { type: 'pre-vote', ...head, round: 1, rank: 1, consent: null }],
  ['an envelope', envelopeSchema, envelope],
  [
    'a configuration',
    configurationSchema,
    { members: [{ ...member, votes: true, leads: true }], voters: ['n0'], outgoing: null },
  ],
];

/** Some value in the tree is replaced or removed. */
function mutated(value: unknown, path: readonly number[], by: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined || typeof value !== 'object' || value === null) return by;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value)
    ? [...value]
    : { ...value };
  const keys = Object.keys(copy);
  const key = keys[step % (keys.length || 1)] ?? 'added';
  const fields = copy as Record<string, unknown>;
  if (rest.length === 0 && by === 'remove') delete fields[key];
  else fields[key] = mutated(fields[key], rest, by);
  return copy;
}

const replacements = fc.oneof(
  fc.constantFrom<unknown>('remove', null, undefined, '', 0, -1, 1.5, 2 ** 53, Number.NaN, true),
  fc.constantFrom<unknown>([], {}, new Map(), Uint8Array.of(1), 'x'.repeat(600), 'heartbeat'),
  fc.anything(),
);

describe('shapes', () => {
  test.each(samples.filter(([name]) => name !== 'a pre-vote'))('%s is fine', (_, schema, value) => {
    expect(fits(schema, value)).toBe(true);
    expect(schema.parse(value)).toEqual(value);
  });

  test.each(samples)('%s with something changed', (_, schema, value) => {
    const changes = fc.tuple(fc.array(fc.nat(20), { minLength: 1, maxLength: 5 }), replacements);
    fc.assert(
      fc.property(changes, ([path, by]) => {
        const changed = mutated(value, path, by);
        if (!fits(schema, changed)) return;
        const parsed = schema.safeParse(changed);
        expect(parsed.success).toBe(true);
        if (!isDeepStrictEqual(parsed.data, changed)) expect(parsed.data).toEqual(changed);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['fields are dropped', z.object({ a: z.string() }), { a: 'x' }],
    ['a value is changed', z.looseObject({ a: z.string().trim() }), { a: 'x' }],
    ['a value is converted', z.coerce.number(), 1],
    ['a default is put in', z.looseObject({ a: z.string().default('x') }), { a: 'x' }],
    ['a format that is not known here', z.email(), 'a@b.cd'],
  ])('where %s the schema is always asked', (_, schema, value) => {
    expect(schema.safeParse(value).success).toBe(true);
    expect(fits(schema, value)).toBe(false);
  });

  test('a field called __proto__ is left to the schema', () => {
    const value = JSON.parse('{"a":"x","__proto__":{"b":1}}');
    expect(fits(z.looseObject({ a: z.string() }), value)).toBe(false);
  });
});
