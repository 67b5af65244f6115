import { expect, test } from 'vitest';
import { AgentError, asAgentError } from '../../../src/base/error.ts';

test('an AgentError stays itself', () => {
  const error = new AgentError('conflict', 'is at version 4');
  expect(asAgentError(error)).toBe(error);
  expect(error.name).toBe('AgentError');
  expect(error).toBeInstanceOf(Error);
});

test('anything else becomes internal and keeps its cause', () => {
  const cause = new TypeError('no such thing');
  expect(asAgentError(cause)).toMatchObject({ code: 'internal', message: 'no such thing', cause });
  expect(asAgentError('text')).toMatchObject({ code: 'internal', message: 'text', cause: 'text' });
  expect(asAgentError(undefined)).toMatchObject({ code: 'internal', message: 'undefined' });
});
