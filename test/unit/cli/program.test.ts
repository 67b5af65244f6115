import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentError, type ErrorCode } from '../../../src/base/error.ts';
import { exitCodeOf, exitCodes } from '../../../src/cli/exit-code.ts';
import type { Io } from '../../../src/cli/io.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { problemKinds } from '../../../src/http/problem.ts';
import { createStatusPort, type StatusPort } from '../../../src/http/status-port.ts';
import { createFakeAgent, type FakeAgent, token } from '../http/fake-agent.ts';

let agent: FakeAgent;
let port: StatusPort;
let url: string;
let folder: string;

beforeEach(async () => {
  agent = createFakeAgent();
  const options = { host: '127.0.0.1', port: 0, names: [], version: '0', onBug: () => undefined };
  port = createStatusPort(agent, options);
  url = `http://127.0.0.1:${(await port.listen()).port}`;
  folder = mkdtempSync(join(tmpdir(), 'bellwether-cli-'));
});

afterEach(async () => {
  await port.close();
  rmSync(folder, { recursive: true, force: true });
});

async function run(argv: readonly string[], env: Io['env'] = {}) {
  let out = '';
  let err = '';
  const io: Io = {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    watched: false,
    env: { BELLWETHER_URL: url, BELLWETHER_TOKEN: token, ...env },
  };
  const code = await runProgram(argv, io);
  return { code, out, err };
}

const page = {
  cluster: { id: 'c'.repeat(32), name: 'flock', epoch: { number: 1, id: 'e' } },
  node: {
    name: 'master-1',
    peerId: 'p1',
    role: 'master' as const,
    version: '1',
    canLead: false,
    cannotLeadReason: 'draining',
  },
  election: {
    state: 'follower',
    acting: false,
    leader: { name: 'master-2', role: 'master' },
    term: 7,
    voters: [{ name: 'master-1' }, { name: 'master-2' }],
    quorum: 2,
    failureTolerance: 0,
  },
  members: [
    { name: 'master-1', role: 'master', state: 'alive', statusUrl: null, zone: 'z', lastSeenMs: 3 },
    { name: 'evil\u001b[2J', role: 'worker', state: 'failed', zone: 'z', lastSeenMs: 90_000 },
  ],
  log: { commitIndex: 9, appliedIndex: 9 },
  replication: {
    pins: 4,
    underReplicated: 1,
    fetching: 0,
    failed: 0,
    bytesStored: 1500,
    bytesFree: 2e12,
  },
};

describe('commands that look', () => {
  test('status and members as text and as JSON', async () => {
    agent.status = async () => page;
    const text = await run(['status']);
    expect(text.code).toBe(0);
    expect(text.out).toContain('master-2 (master), term 7');
    expect(text.out).toContain('no: draining');
    expect(text.out).toContain('1.50 kB, free 2.00 TB');
    expect(JSON.parse((await run(['status', '--json'])).out)).toEqual(
      JSON.parse(JSON.stringify(page)),
    );
    const members = await run(['members']);
    expect(members.out).toMatch(/^NAME +ROLE/);
    // A name from another machine must not move the terminal's cursor.
    expect(members.out).not.toContain('\u001b');
    expect(members.out).toContain('evil?[2J');
    expect(JSON.parse((await run(['members', '--json'])).out)).toHaveLength(2);
  });

  test('leader ends with 5 if nobody leads', async () => {
    expect((await run(['leader'])).out).toContain('master-1 (master) leads in term 3');
    agent.answer = { acting: false, leader: null, term: 4, since: null, reason: 'election' };
    const none = await run(['leader', '--json']);
    expect(none.code).toBe(exitCodes['no leader']);
    expect(JSON.parse(none.out)).toMatchObject({ ok: false, code: 'no-leader', exit: 5 });
    expect(none.err).toBe('bellwether: nobody leads: election\n');
  });

  test('switchover says who leads, or why it did not happen for each candidate', async () => {
    expect((await run(['switchover', '--to', 'worker-1'])).out).toContain('worker-1 leads');
    expect((await run(['switchover'])).code).toBe(0);
    const dry = await run(['switchover', '--dry-run']);
    expect([dry.code, dry.out]).toEqual([0, expect.stringContaining('would hand over to')]);
    agent.operations.refuse = 'nobody else can lead now';
    for (const flags of [[], ['--dry-run']]) {
      const still = await run(['switchover', '--to', 'master-2', ...flags]);
      expect(still.code).toBe(4);
      expect(still.err).toMatch(/did not move: nobody else can lead now\n[\s\S]*draining/);
    }
  });
});

describe('maintenance', () => {
  test('drain waits until nothing relies on the node', async () => {
    agent.operations.drainsFor = 2;
    const begun = await run(['drain', 'worker-1', '--reason', 'new disk']);
    expect([begun.code, begun.out]).toEqual([0, expect.stringContaining('is draining: 0 pins')]);
    const { drainsFor } = agent.operations;
    expect(drainsFor).toBe(1);
    const waited = await run(['drain', '--wait']);
    expect([waited.code, waited.out]).toEqual([0, expect.stringMatching(/^master-1 is drained/)]);
    expect((await run(['undrain', 'worker-1'])).code).toBe(0);
    expect((await run(['undrain', 'worker-1'])).code).toBe(3);
    expect((await run(['drain', '--wait', 'soon'])).code).toBe(2);
    expect(agent.operations.asked).toContainEqual({
      ...{ drain: 'worker-1', reason: 'new disk' },
      owner: expect.stringMatching(/.+@.+/),
    });
  });

  test('leave drains first if told to, forget spares the living', async () => {
    expect((await run(['leave', '--drain', '--json'])).code).toBe(0);
    expect(agent.operations.asked.map((one) => Object.keys(one as object)[0])).toEqual([
      ...['drain', 'leave'],
    ]);
    expect((await run(['forget', 'alive'])).code).toBe(4);
    expect((await run(['forget', 'alive', '--force'])).code).toBe(0);
  });

  test('network-key: step by step, by fingerprint, and with force only where it is asked for', async () => {
    expect((await run(['network-key', 'switch'])).code).toBe(4);
    const owner = expect.stringMatching(/.+@.+/);
    const rotated = await run(['network-key', 'rotate']);
    expect([rotated.code, rotated.out]).toEqual([0, expect.stringContaining('FOLLOWS bbbbbbbb')]);
    expect((await run(['network-key', 'switch', '--force'])).code).toBe(0);
    expect((await run(['network-key', 'retire'])).code).toBe(0);
    expect(agent.operations.asked).toEqual([
      { rotate: owner },
      { switchOver: { owner, force: true } },
      { retire: { owner, force: false } },
    ]);
    const listed = await run(['network-key', 'ls', '--json']);
    expect(JSON.parse(listed.out)).toMatchObject({ sending: 'bbbbbbbb', next: null });
  });

  test('pause and resume', async () => {
    const paused = await run(['pause', '--reason', 'racks', '--for', '2h']);
    expect([paused.code, paused.out]).toEqual([0, expect.stringContaining('paused')]);
    expect(agent.operations.asked).toEqual([{ pause: 'racks', forMs: 7_200_000 }]);
    expect((await run(['pause', '--for', '2 hours'])).code).toBe(2);
    expect((await run(['resume'])).code).toBe(0);
    expect((await run(['resume'])).code).toBe(3);
  });

  test('safe-to-stop ends with the reasons', async () => {
    expect((await run(['safe-to-stop'])).code).toBe(0);
    const reasons = [{ code: 'quorum', detail: '1 of 3 voters would be left' }];
    agent.operations.safety = { safe: false, reasons };
    const no = await run(['safe-to-stop', '--json']);
    expect([no.code, JSON.parse(no.out).detail]).toEqual([
      9,
      expect.stringContaining('quorum: 1 of 3'),
    ]);
  });

  test('why', async () => {
    expect((await run(['why-not', 'worker-1'])).out).toContain('worker-1: rank (term 3');
    expect((await run(['why', 'leader'])).out).toContain('leads in term 3');
    expect((await run(['why', 'election', '9'])).code).toBe(3);
    expect((await run(['why', 'election', 'x'])).code).toBe(2);
  });
});

describe('content', () => {
  test('a file goes in and comes back', async () => {
    const file = join(folder, 'a.bin');
    writeFileSync(file, Buffer.alloc(300_000, 7));
    const added = await run(['add', file, '--min', '1', '--json']);
    expect(added.code).toBe(0);
    const { cid, bytes, name } = JSON.parse(added.out);
    expect([bytes, name]).toEqual([300_000, 'a.bin']);
    const back = join(folder, 'back');
    expect((await run(['get', cid, '-o', back])).code).toBe(0);
    expect(readFileSync(back).equals(readFileSync(file))).toBe(true);
    const again = await run(['get', cid, '-o', back]);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('is there already')]);
  });

  test('a folder goes in and comes back, links are left out', async () => {
    const tree = join(folder, 'tree');
    mkdirSync(join(tree, 'sub/empty'), { recursive: true });
    writeFileSync(join(tree, 'sub/one.txt'), 'one');
    writeFileSync(join(tree, 'two.txt'), 'two');
    symlinkSync('/etc/passwd', join(tree, 'link'));
    const added = await run(['add', tree, '--json']);
    expect(added.err).toContain('left out link');
    const { cid, files } = JSON.parse(added.out);
    expect(files).toBe(2);
    const back = join(folder, 'back');
    expect((await run(['get', cid, '-o', back])).code).toBe(0);
    expect(readFileSync(join(back, 'sub/one.txt'), 'utf8')).toBe('one');
    const one = join(folder, 'one');
    expect((await run(['get', `/ipfs/${cid}/sub/one.txt`, '-o', one])).code).toBe(0);
    expect(readFileSync(one, 'utf8')).toBe('one');
  });

  test('what is not there is 3', async () => {
    const missing = await run(['add', join(folder, 'nowhere')]);
    expect([missing.code, missing.err]).toEqual([
      3,
      `bellwether: ${join(folder, 'nowhere')}: no such file or folder\n`,
    ]);
    const cid = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';
    expect((await run(['get', cid, '-o', join(folder, 'x')])).code).toBe(3);
    expect((await run(['pin', 'status', cid])).code).toBe(3);
    expect((await run(['index', 'get', 'embeddings', 'k'])).code).toBe(3);
  });
});

test('pins: add, ls, status, rm', async () => {
  const cid = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';
  const added = await run(['pin', 'add', cid, '--name', 'doc', '--min', '1', '--max', '2']);
  expect(added.out).toBe(`pinned ${cid}, version 1\n`);
  expect((await run(['pin', 'ls'])).out).toContain('0 of 1-2');
  expect((await run(['pin', 'status', cid])).out).toContain('doc');
  expect(JSON.parse((await run(['pin', 'ls', '--json'])).out)).toHaveLength(1);
  expect((await run(['pin', 'rm', cid])).code).toBe(0);
  expect((await run(['pin', 'rm', cid])).code).toBe(3);
});

describe('index', () => {
  test('put, get, ls, cas, rm', async () => {
    const put = await run(['index', 'put', 'embeddings', 'a/b', '{"x":1}', '--json']);
    expect(JSON.parse(put.out)).toMatchObject({ key: 'a/b', version: 1 });
    expect((await run(['index', 'get', 'embeddings', 'a/b'])).out).toContain('"x": 1');
    const listed = await run(['index', 'ls', 'embeddings', '--prefix', 'a', '--linearizable']);
    expect(listed.out).toContain('a/b');
    expect((await run(['index', 'cas', 'embeddings', 'a/b', '1', '{"x":2}'])).code).toBe(0);
    const stale = await run(['index', 'cas', 'embeddings', 'a/b', '1', '{"x":3}']);
    expect([stale.code, stale.err]).toEqual([4, 'bellwether: the version is 2\n']);
    expect((await run(['index', 'rm', 'embeddings', 'a/b', '--if-version', '1'])).code).toBe(4);
    expect((await run(['index', 'rm', 'embeddings', 'a/b', '--if-version', '2'])).code).toBe(0);
  });

  test('an unknown outcome is asked for again under the same key, so it happens once', async () => {
    agent.failNext = new AgentError('outcome-unknown', 'who knows');
    expect((await run(['index', 'put', 'embeddings', 'k', '{}'])).code).toBe(0);
    const keys = agent.proposals.map(({ key }) => key);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
  });

  test.each([
    ['not JSON', ['index', 'put', 'embeddings', 'k', '{x'], 'not JSON'],
    ['a list', ['index', 'put', 'embeddings', 'k', '[1]'], 'body'],
    ['an unknown type', ['index', 'put', 'nope', 'k', '{}'], 'path.type'],
    ['no number', ['index', 'cas', 'embeddings', 'k', 'two', '{}'], 'VERSION'],
    ['no file', ['index', 'put', 'embeddings', 'k', '@/nowhere'], 'ENOENT'],
    ['no URL', ['status', '--url', 'nonsense'], '--url'],
    ['an unknown command', ['stauts'], 'status'],
    ['an unknown option', ['status', '--jsn'], '--json'],
    ['a missing argument', ['get'], 'cid'],
    ['no token file', ['status', '--token-file', '/nowhere'], 'token'],
    ['an unknown script', ['demo', '--script', 'x'], 'failover'],
  ])('%s is a usage mistake', async (_, argv, named) => {
    const { code, err } = await run(argv);
    expect([code, err]).toEqual([2, expect.stringContaining(named)]);
  });
});

describe('exit codes', () => {
  test.each(Object.keys(problemKinds) as ErrorCode[])('a refusal with %s', async (code) => {
    agent.propose = async () => {
      throw new AgentError(code, 'told so');
    };
    const { code: exit, err } = await run(['index', 'put', 'embeddings', 'k', '{}']);
    expect(exit).toBe(exitCodeOf(code));
    expect(err.split('\n')).toHaveLength(2);
    expect(err).toMatch(/^bellwether: /);
  });

  test('no agent is 8, a wrong token is 6, help is 0', async () => {
    const none = await run(['status', '--url', 'http://127.0.0.1:1']);
    expect([none.code, none.err]).toEqual([8, expect.stringContaining('no agent answers')]);
    const put = ['index', 'put', 'embeddings', 'k', '{}'];
    expect((await run([...put, '--token', 'wrong'])).code).toBe(6);
    expect((await run(put, { BELLWETHER_TOKEN: '', BELLWETHER_DATA: folder })).code).toBe(6);
    expect((await run(['--help'])).code).toBe(0);
    expect((await run(['--version'])).code).toBe(0);
  });

  test('docs/cli.md lists every one of them', () => {
    const docs = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
    for (const [name, code] of Object.entries(exitCodes))
      expect(docs, name).toMatch(new RegExp(`\\| ${code} \\| ${name} \\|`));
  });
});

test('the token comes from where it was named, then the environment, then the data folder', async () => {
  writeFileSync(join(folder, 'http.token'), `${token}\n`);
  const put = ['index', 'put', 'embeddings', 'k', '{}'];
  const none = { BELLWETHER_TOKEN: '' };
  expect((await run([...put, '--data', folder], none)).code).toBe(0);
  expect((await run([...put, '--token-file', join(folder, 'http.token')], none)).code).toBe(0);
  expect((await run(put, { ...none, BELLWETHER_DATA: folder })).code).toBe(0);
  expect((await run([...put, '--token', token], { BELLWETHER_TOKEN: 'wrong' })).code).toBe(0);
});
