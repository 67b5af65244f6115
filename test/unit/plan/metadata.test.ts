import { describe, expect, test } from 'vitest';
import {
  type AddedContent,
  linksMax,
  linksOf,
  metadataCommand,
  textCharactersMax,
  textOf,
  typeOf,
} from '../../../src/plan/metadata.ts';
import { encodeEnvelope } from '../../../src/wire/command.ts';

const added = (extra: Partial<AddedContent> = {}): AddedContent => ({
  cid: 'bafkreitest00000001',
  name: 'notes.md',
  bytes: 10,
  blocks: 1,
  files: 1,
  directory: false,
  labels: { team: 'sky' },
  addedAtMs: 1,
  addedBy: 'worker-1',
  head: Buffer.from('# Notes\nsee [home](https://example.org/a)'),
  paths: [],
  ...extra,
});

describe('content metadata', () => {
  test.each([
    ['a.md', 'text/markdown'],
    ['A.JPEG', 'image/jpeg'],
    ['archive.tar.gz', 'application/gzip'],
    ['none', 'application/octet-stream'],
    ['x.constructor', 'application/octet-stream'],
  ])('type of %s', (name, type) => expect(typeOf(name, false)).toBe(type));

  test('text only where it is text, bounded', () => {
    expect(textOf(null)).toBe('');
    expect(textOf(Uint8Array.of(65, 0, 66))).toBe('');
    expect(textOf(Uint8Array.of(0xff, 0xfe, 0xfd, 65))).toBe('');
    const cut = Buffer.from('caf\u00e9').subarray(0, 4);
    expect(textOf(cut)).toBe('caf');
    expect(textOf(Buffer.alloc(textCharactersMax * 2, 'a'))).toHaveLength(textCharactersMax);
  });

  test('links of Markdown, HTML and plain text, once each and bounded', () => {
    const text = '[a](b.md) <a href="c.html"> ipfs://bafy/x, https://e.org/1 https://e.org/1';
    expect(linksOf(text)).toEqual(['b.md', 'c.html', 'ipfs://bafy/x,', 'https://e.org/1']);
    const many = Array.from({ length: 500 }, (_, i) => `https://e.org/${i}`).join(' ');
    expect(linksOf(many)).toHaveLength(linksMax);
  });

  test('the record is a valid command', () => {
    const command = metadataCommand(added());
    expect(command).toMatchObject({
      key: 'bafkreitest00000001',
      value: { type: 'text/markdown', links: ['https://example.org/a'], labels: { team: 'sky' } },
    });
    const session = 'a'.repeat(32);
    const bytes = encodeEnvelope({ v: 1, session, seq: 1, atMs: 1, idempotency: null, command });
    expect(bytes.length).toBeLessThan(2000);
  });

  test('a folder is described by its paths', () => {
    const command = metadataCommand(added({ directory: true, head: null, paths: ['a', 'b/c'] }));
    expect(command).toMatchObject({ value: { type: 'inode/directory', text: 'a\nb/c' } });
  });
});
