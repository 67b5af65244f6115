import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { problemKinds } from '../../../src/http/problem.ts';
import { createStatusPort } from '../../../src/http/status-port.ts';
import { createFakeAgent } from './fake-agent.ts';

const text = readFileSync(new URL('../../../docs/status-api.md', import.meta.url), 'utf8');

test('docs/status-api.md names every path', async () => {
  const options = { host: '127.0.0.1', port: 0, names: [], version: '0', onBug: () => undefined };
  const port = createStatusPort(createFakeAgent(), options);
  for (const { url } of port.routes) {
    const shown = url.startsWith('/api/dashboard/') ? '/api/dashboard/...' : url;
    expect(text, url).toContain(shown.replace('{*path}', '{path}'));
  }
  await port.close();
});

test('docs/status-api.md puts every code beside its status', () => {
  for (const [code, { status }] of Object.entries(problemKinds)) {
    const row = text
      .split('\n')
      .find((line) => line.startsWith('| ') && line.includes(`\`${code}\``));
    expect(row, code).toMatch(new RegExp(`^\\| .*${status}`));
  }
});
