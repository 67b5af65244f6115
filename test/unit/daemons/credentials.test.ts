/** Credentials in URLs are hidden, whatever stands around them, and nothing else is. */
import { expect, test } from 'vitest';
import { hideCredentials } from '../../../src/daemons/credentials.ts';

test.each([
  ['from http://bellwether:t0k-en_1@127.0.0.1:9099/x', 'from http://***@127.0.0.1:9099/x'],
  ['{"source":"https://a:b@c.d/e","n":1}', '{"source":"https://***@c.d/e","n":1}'],
  ['http://:p@h and http://u:@h', 'http://***@h and http://***@h'],
  ['/ip4/127.0.0.1/tcp/9096/p2p/12D3 mail a@b.c http://h:80/@x', null],
])('%s', (text, wanted) => {
  expect(hideCredentials(text)).toBe(wanted ?? text);
});
