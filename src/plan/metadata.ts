/**
 * The `content_metadata` record of added content: what it is called, how large it is, its type by
 * name, and the words and links of its beginning, so that it is found by search. Made from what the
 * adding node has seen; nothing is fetched for it.
 */
import type { CidText, Ms } from '../base/brand.ts';
import type { SimpleCommand } from '../wire/command.ts';

export interface AddedContent {
  readonly cid: CidText;
  readonly name: string;
  readonly bytes: number;
  readonly blocks: number;
  readonly files: number;
  readonly directory: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly addedAtMs: Ms;
  readonly addedBy: string;
  /** The first bytes of a file, or null for a folder. */
  readonly head: Uint8Array | null;
  /** Paths in a folder, the first few. */
  readonly paths: readonly string[];
}

export const textCharactersMax = 16_384;
export const linksMax = 100;
export const pathsMax = 200;

const types: Readonly<Record<string, string>> = {
  md: 'text/markdown',
  txt: 'text/plain',
  log: 'text/plain',
  html: 'text/html',
  htm: 'text/html',
  css: 'text/css',
  csv: 'text/csv',
  js: 'text/javascript',
  mjs: 'text/javascript',
  ts: 'text/x-typescript',
  json: 'application/json',
  yaml: 'application/yaml',
  yml: 'application/yaml',
  xml: 'application/xml',
  svg: 'image/svg+xml',
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  pdf: 'application/pdf',
  zip: 'application/zip',
  gz: 'application/gzip',
  tar: 'application/x-tar',
  car: 'application/vnd.ipld.car',
  mp3: 'audio/mpeg',
  mp4: 'video/mp4',
  webm: 'video/webm',
  wasm: 'application/wasm',
};

/** By the extension of the name; `inode/directory` for a folder. */
export function typeOf(name: string, directory: boolean): string {
  if (directory) return 'inode/directory';
  const extension = /\.([^./]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
  return Object.hasOwn(types, extension)
    ? (types[extension] ?? 'application/octet-stream')
    : 'application/octet-stream';
}

/** The head as text, or '' when it doesn't look like UTF-8 text. */
export function textOf(head: Uint8Array | null): string {
  if (head === null || head.includes(0)) return '';
  const text = new TextDecoder().decode(head);
  const broken = text.split('\u{fffd}').length - 1;
  // The head may end inside a character; more than that is no text.
  return broken > 1 ? '' : text.replaceAll('\u{fffd}', '').slice(0, textCharactersMax);
}

/** URLs, IPFS paths and the targets of Markdown and HTML links, without repeats. */
export function linksOf(text: string): string[] {
  const found = new Set<string>();
  const targets =
    /\]\(([^)\s]{1,2048})\)|href="([^"]{1,2048})"|\b(?:https?|ipfs|ipns):\/\/[^\s<>"')\]]{1,2048}/g;
  for (const match of text.matchAll(targets)) {
    found.add(match[1] ?? match[2] ?? match[0]);
    if (found.size >= linksMax) break;
  }
  return [...found];
}

/** Replaces the record of the same CID: what was added last describes it. */
export function metadataCommand(content: AddedContent): SimpleCommand {
  const text = textOf(content.head);
  const paths = content.paths.slice(0, pathsMax);
  return {
    type: 'index.put',
    index: 'content_metadata',
    key: content.cid,
    value: {
      cid: content.cid,
      name: content.name,
      type: typeOf(content.name, content.directory),
      bytes: content.bytes,
      blocks: content.blocks,
      files: content.files,
      text: content.directory ? paths.join('\n').slice(0, textCharactersMax) : text,
      links: content.directory ? [] : linksOf(text),
      labels: { ...content.labels },
      addedAtMs: content.addedAtMs,
      addedBy: content.addedBy,
    },
    expectedVersion: null,
  };
}
