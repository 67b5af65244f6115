/** What is told of a daemon that ended: its last words without the noise around them, its cause. */
import { expect, test } from 'vitest';
import { causeInText, causeOfExit, lastWords } from '../../../src/daemons/cause.ts';

test('the last line counts, blank ones do not', () => {
  expect(lastWords(['one', 'Error: it does not want to', '', ' '])).toBe(
    'Error: it does not want to',
  );
  expect(lastWords([])).toBeNull();
});

test('an error with its causes and stacks is told from the outermost to the innermost', () => {
  const lines = [
    '2026-11-28T05:54:18.936Z\tINFO\tconfig\tloading configuration from http://127.0.0.1/x',
    'cluster.listen_multiaddress is undefined',
    'github.com/ipfs-cluster/ipfs-cluster/config.(*Manager).LoadJSON',
    '\tgithub.com/ipfs-cluster/ipfs-cluster@v1.1.0/config/config.go:420',
    'reading the configurations in /x',
    'runtime.goexit',
    '\truntime/asm_amd64.s:1771',
  ];
  expect(lastWords(lines)).toBe(
    'reading the configurations in /x: cluster.listen_multiaddress is undefined',
  );
});

test('a log line before a stack is told alone', () => {
  const line = '2026-11-28T05:54:18.936Z\tERROR\tcluster\tshutting down';
  expect(lastWords(['ready', line, 'main.run', '\tmain.go:7'])).toBe(line);
});

test.each([
  ['listen tcp4 127.0.0.1:5001: bind: address already in use', 'port-in-use'],
  ['write blocks/x: no space left on device', 'disk-full'],
  ['accept4: too many open files', 'file-limit'],
  ['fatal error: runtime: cannot allocate memory', 'out-of-memory'],
  ['it is fine', null],
] as const)('%s', (text, cause) => {
  expect(causeInText(`before\n${text}\nafter`)).toBe(cause);
});

test('killed is killed, unless the kernel ended somebody for want of memory just then', () => {
  const exit = { code: null, signal: 'SIGKILL', logTail: '' };
  expect([causeOfExit(exit, false), causeOfExit(exit, true)]).toEqual(['killed', 'out-of-memory']);
});
