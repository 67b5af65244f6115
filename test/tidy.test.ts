/**
 * Style as a test: which room may import which, what pure rooms may not touch, how large a file, a
 * function and a line may get, and that every unit test mirrors a source file.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Imports go down only: a room may import from itself and from the rooms named here. */
const rooms: Record<string, readonly string[]> = {
  base: [],
  wire: ['base'],
  consensus: ['base', 'wire'],
  catalog: ['base', 'wire', 'consensus'],
  plan: ['base', 'wire', 'catalog'],
  supervise: ['base'],
  health: ['base', 'wire'],
  pnet: ['base', 'wire'],
  mesh: ['base', 'wire', 'pnet'],
  store: ['base', 'wire', 'consensus', 'catalog'],
  content: ['base', 'wire', 'pnet'],
  daemons: ['base', 'wire', 'supervise', 'health'],
  agent: [
    ...['base', 'wire', 'consensus', 'catalog', 'plan', 'supervise', 'health'],
    ...['mesh', 'store', 'content', 'daemons'],
  ],
  http: [
    ...['base', 'wire', 'health', 'catalog', 'supervise', 'mesh', 'content', 'daemons', 'agent'],
  ],
  cli: ['base', 'wire', 'daemons', 'agent', 'http', 'sim'],
  sim: ['base', 'wire', 'consensus', 'catalog', 'plan'],
};

const pureRooms = ['base', 'wire', 'consensus', 'health', 'catalog', 'plan', 'supervise'];

/** What would make a pure room depend on the world. */
const bans: readonly (readonly [RegExp, string])[] = [
  [/\basync\b|\bawait\b|\bPromise\b/, 'async'],
  [/\bDate\b/, 'Date'],
  [/\bMath\.random\b/, 'Math.random'],
  [/\bset(Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/, 'timers'],
  [/\bprocess\.|\bperformance\./, 'process'],
  [/\bconsole\.|from 'pino'/, 'a logger'],
  [/from 'node:(fs|net|http|child_process|worker_threads|os|dns|tls)/, 'a Node I/O module'],
];

/** Packages that only one room may import. */
const owners: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^(libp2p$|@libp2p\/|@chainsafe\/)/, ['mesh', 'content', 'pnet']],
  [/^(@helia\/|ipfs-unixfs|blockstore-fs|@ipld\/)/, ['content']],
  [/^fastify/, ['http']],
  [/^commander/, ['cli']],
  [/^execa/, ['daemons']],
];

const linesMax = 300;
const linesMaxStepMachine = 500;
const functionLinesMax = 70;
const columnsMax = 100;

interface Source {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  readonly lines: readonly string[];
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

const sources: readonly Source[] = filesBelow(join(root, 'src')).map((path) => {
  const text = readFileSync(path, 'utf8');
  const shown = relative(root, path);
  return { path: shown, room: shown.split('/')[1] ?? '', text, lines: text.split('\n') };
});

/** The text without comments and strings, so that prose may name what code may not use. */
function code(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|[^:'"`])\/\/.*$/gm, '$1')
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''");
}

function importsOf(text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
}

test('every room is in the import table', () => {
  const unknown = sources.filter((source) => !(source.room in rooms)).map((source) => source.path);
  expect(unknown).toEqual([]);
});

test('imports go down only', () => {
  const wrong: string[] = [];
  for (const source of sources) {
    for (const target of importsOf(source.text)) {
      if (target.startsWith('.')) {
        const room = relative(root, join(root, dirname(source.path), target)).split('/')[1] ?? '';
        const allowed = room === source.room || rooms[source.room]?.includes(room);
        if (!allowed) wrong.push(`${source.path} imports ${target}`);
      }
      for (const [pattern, allowed] of owners) {
        if (pattern.test(target) && !allowed.includes(source.room))
          wrong.push(`${source.path} imports ${target}: only ${allowed.join(', ')} may`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

test('pure rooms do not touch the world', () => {
  const wrong: string[] = [];
  for (const source of sources) {
    if (!pureRooms.includes(source.room)) continue;
    for (const [pattern, what] of bans) {
      const bare = what.startsWith('a ') ? source.text : code(source.text);
      const line = bare.split('\n').findIndex((text) => pattern.test(text));
      if (line >= 0) wrong.push(`${source.path}:${line + 1} uses ${what}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('files, functions and lines stay small', () => {
  const wrong: string[] = [];
  for (const { path, lines } of sources) {
    const limit = path === 'src/consensus/consensus.ts' ? linesMaxStepMachine : linesMax;
    if (lines.length > limit + 1) wrong.push(`${path}: ${lines.length - 1} lines (max ${limit})`);
    lines.forEach((line, i) => {
      if (line.length > columnsMax && !line.includes('http'))
        wrong.push(`${path}:${i + 1}: ${line.length} columns`);
    });
    wrong.push(...longFunctions(path, lines));
  }
  expect(wrong).toEqual([]);
});

/**
 * Functions by their opening line and the closing brace at the same indent (the formatter keeps that
 * true). A factory that only returns an object of closures is measured by its closures.
 */
function longFunctions(path: string, lines: readonly string[]): string[] {
  const wrong: string[] = [];
  lines.forEach((line, start) => {
    const opens =
      /^(\s*)(export )?(default )?(async )?function\b/.exec(line) ??
      /^(\s*)(export )?const [a-zA-Z]+( = |: .+ = )(async )?\(.*(=> \{|\()$/.exec(line) ??
      /^(\s*)(static |private |protected |override |async |get |set )*#?[a-zA-Z]+\(.*\)(: .+)? \{$/.exec(
        line,
      );
    if (!opens || /^\s*(if|for|while|switch|return|await)\b/.test(line)) return;
    const indent = opens[1] ?? '';
    const length = lines.slice(start).findIndex((text) => text.startsWith(`${indent}}`)) + 1;
    const body = lines.slice(start, start + length);
    const isFactory =
      /function (create|open)[A-Z]/.test(line) && body.some((l) => /=>|function /.test(l));
    if (length > functionLinesMax && !isFactory)
      wrong.push(`${path}:${start + 1}: function of ${length} lines (max ${functionLinesMax})`);
  });
  return wrong;
}

test('nothing is left for later', () => {
  const wrong: string[] = [];
  const all = [
    ...sources.map((source) => source.path),
    ...filesBelow(join(root, 'test')).map((path) => relative(root, path)),
  ];
  for (const path of all) {
    if (path === 'test/tidy.test.ts') continue;
    const text = readFileSync(join(root, path), 'utf8');
    text.split('\n').forEach((line, i) => {
      if (/\b(TODO|FIXME|XXX)\b|@ts-(ignore|expect-error|nocheck)|\bas any\b|: any\b/.test(line))
        wrong.push(`${path}:${i + 1}: ${line.trim()}`);
      if (/\b(it|test|describe)\.(skip|todo|only)\b/.test(line))
        wrong.push(`${path}:${i + 1}: ${line.trim()}`);
      if (/catch *(\([a-zA-Z_]*\))? *\{ *\}/.test(line))
        wrong.push(`${path}:${i + 1}: an error is swallowed`);
    });
  }
  expect(wrong).toEqual([]);
});

test('every source file opens by saying what it owns', () => {
  const wrong = sources
    .filter((source) => !/^(#!.*\n)?\/\*\*/.test(source.text))
    .map((source) => source.path);
  expect(wrong).toEqual([]);
});

test('unit tests mirror the rooms', () => {
  const wrong = filesBelow(join(root, 'test/unit'))
    .map((path) => relative(join(root, 'test/unit'), path))
    .filter((path) => !((path.split('/')[0] ?? '') in rooms));
  expect(wrong).toEqual([]);
});
