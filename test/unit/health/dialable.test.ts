import { expect, test } from 'vitest';
import {
  type Dialable,
  type DialBack,
  dialableOf,
  judgeDialable,
  unknownDialable,
} from '../../../src/health/dialable.ts';

const yes = (by: string): DialBack => ({ by, reached: true });
const no = (by: string): DialBack => ({ by, reached: false });
const silent = (by: string): DialBack => ({ by, reached: null });
const good: Dialable = { dialable: true, notBy: [] };
const bad: Dialable = { dialable: false, notBy: ['a'] };

test.each<[string, Dialable, boolean, DialBack[], Dialable]>([
  ['nobody to ask', unknownDialable, false, [], unknownDialable],
  ['an incoming connection', unknownDialable, true, [], good],
  ['it proves more than an old finding', bad, true, [], good],
  ['one reaches it', unknownDialable, false, [silent('a'), yes('b')], good],
  ['one of two', unknownDialable, false, [no('a'), yes('b')], { dialable: true, notBy: ['a'] }],
  ['nobody reaches it', good, false, [no('a'), no('b')], { dialable: false, notBy: ['a', 'b'] }],
  ['one does not, the other is silent', unknownDialable, false, [no('a'), silent('b')], bad],
  ['silence changes nothing', good, false, [silent('a')], good],
  ['nor a bad finding', bad, false, [silent('b')], bad],
])('%s', (_, before, inbound, answers, after) => {
  expect(judgeDialable(before, { inbound, answers })).toEqual(after);
});

test('the record names a few of them', () => {
  const notBy = Array.from({ length: 20 }, (_, i) => `p${i}`);
  expect(dialableOf({ dialable: false, notBy }).notDialledBy).toHaveLength(8);
});
