/** `authority ls`, `rotate` and `retire` as a person sees them, over a real port. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runProgram } from '../../../src/cli/program.ts';
import { createStatusPort, type StatusPort } from '../../../src/http/status-port.ts';
import { createFakeAgent, token } from '../http/fake-agent.ts';

let port: StatusPort;
let url = '';
beforeEach(async () => {
  const options = { host: '127.0.0.1', port: 0, names: [], version: '0', onBug: () => undefined };
  port = createStatusPort(createFakeAgent(), options);
  url = `http://127.0.0.1:${(await port.listen()).port}`;
});
afterEach(() => port.close());

async function run(args: readonly string[], shown = token) {
  let out = '';
  let err = '';
  const code = await runProgram(['authority', ...args], {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    watched: false,
    env: { BELLWETHER_URL: url, BELLWETHER_TOKEN: shown },
  });
  return { code, out, err };
}

const [a, b] = ['a'.repeat(16), 'b'.repeat(16)];

test('ls shows the keys, and who has not followed', async () => {
  const { code, out } = await run(['ls']);
  expect(code).toBe(0);
  expect(out).toMatch(new RegExp(`${a} +accepted\n${b} +signing\n`));
  expect(out).toMatch(new RegExp(`master-1 +master +${a} +no\n`));
  expect(out).not.toContain('count for nothing');
  expect(JSON.parse((await run(['ls', '--json'])).out)).toMatchObject({ statementsIgnored: 0 });
});

test('rotate tells who holds the new key', async () => {
  const { out } = await run(['rotate']);
  expect(out).toContain(`${b} follows ${a} and is held by master-1\n`);
  expect(await run(['rotate'], 'wrong')).toMatchObject({ code: 6 });
});

test('retire is refused with the names, and done by force', async () => {
  const refused = await run(['retire']);
  expect(refused).toMatchObject({ code: 4, err: expect.stringContaining('master-1') });
  const { code, out } = await run(['retire', '--force']);
  expect([code, out]).toEqual([
    0,
    `${a} counts no more, ${b} does\nto ask for a certificate: master-1\n`,
  ]);
});
