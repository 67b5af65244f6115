import { expect, test } from 'vitest';
import { createAdmission } from '../../../src/content/admission.ts';

test('who is named is let in at once, who is named while it waits a moment later', async () => {
  const admission = createAdmission(60_000);
  admission.set(['a']);
  expect(await admission.admits('a')).toBe(true);
  const late = admission.admits('b');
  const never = admission.admits('c');
  admission.set(['b']);
  expect(await late).toBe(true);
  expect([admission.has('a'), admission.has('b')]).toEqual([false, true]);
  admission.stop();
  expect(await never).toBe(false);
  expect(admission.has('b')).toBe(false);
});

test('nobody waits for ever, and only so many wait at once', async () => {
  const admission = createAdmission(1);
  expect(await admission.admits('a')).toBe(false);
  const patient = createAdmission(60_000);
  const waiting = Array.from({ length: 200 }, (_, i) => patient.admits(`p${i}`));
  expect(await patient.admits('one too many')).toBe(false);
  patient.stop();
  expect(new Set(await Promise.all(waiting))).toEqual(new Set([false]));
});
