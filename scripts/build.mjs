// Bundles the agent: one file for the program and one for each worker thread, so that a start reads
// a handful of files and not thousands. `--outdir DIR` puts it elsewhere than into dist/; `--bug JSON`
// plants a bug ({name, edits: [{file, find, replace}]}), and then it must go elsewhere; `--entry FILE`
// bundles one more program beside the agent's.
import { chmodSync, existsSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { basename, dirname, join, parse, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { fillCache } from './code-cache.mjs';
import { planting } from './planting.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
// esbuild resolves links away.
const realRoot = dirname(realpathSync(join(root, 'node_modules')));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

// CommonJS packages inside an ES module bundle still call require, __filename and __dirname.
const banner = [
  '#!/usr/bin/env node',
  "import { createRequire as bundleRequire } from 'node:module';",
  "import { fileURLToPath as bundlePath } from 'node:url';",
  'const require = bundleRequire(import.meta.url);',
  'const __filename = bundlePath(import.meta.url);',
  "const __dirname = bundlePath(new URL('.', import.meta.url));",
].join('\n');

/**
 * npm nests a package wherever two lines of it are wanted, so one version lies in many folders, and
 * each thread would load each of them: the copy with the shortest path stands for all.
 */
function oneCopyOfEachVersion() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const copies = Object.keys(packages).filter(
    (folder) => folder.startsWith('node_modules/') && existsSync(join(root, folder)),
  );
  copies.sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  const firstOf = new Map();
  const standIn = new Map();
  for (const folder of copies) {
    const name = folder.slice(folder.lastIndexOf('node_modules/'));
    const version = `${name}@${packages[folder].version}`;
    if (!firstOf.has(version)) firstOf.set(version, folder);
    standIn.set(folder, firstOf.get(version));
  }
  const pattern = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;
  return {
    name: 'one-copy-of-each-version',
    setup(b) {
      b.onResolve({ filter: /^[^./]/ }, async ({ path: name, pluginData, ...asked }) => {
        if (pluginData?.isAsked || asked.kind === 'entry-point') return null;
        const found = await b.resolve(name, { ...asked, pluginData: { isAsked: true } });
        const [, folder] =
          relative(realRoot, found.path).replaceAll('\\', '/').match(pattern) ?? [];
        const instead = folder && standIn.get(folder);
        if (!instead || found.external || found.errors.length > 0) return found;
        const rest = relative(join(realRoot, folder), found.path);
        return { ...found, path: join(realRoot, instead, rest) };
      });
    },
  };
}

/** zod brings its messages in some fifty languages; ours are English. */
const oneLanguage = {
  name: 'one-language',
  setup: (b) =>
    b.onLoad({ filter: /zod[/\\]v4[/\\]locales[/\\]index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
    })),
};

/**
 * Importing a module of Node's own reads each of its exports, and some are made when they are read
 * (http's WebSocket loads all of undici): a tenth of a second for each start. Here only what is used
 * is read.
 */
const builtinsAsUsed = {
  name: 'builtins-as-used',
  setup(b) {
    b.onResolve({ filter: /^node:/ }, ({ path, kind, importer }) =>
      // The entry runs on Nodes that can't do this yet.
      kind === 'import-statement' && !importer.endsWith('src/cli/main.ts')
        ? { path, namespace: 'builtin', sideEffects: false }
        : null,
    );
    b.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => {
      const names = Object.keys(process.getBuiltinModule(path)).filter(
        (name) => name !== 'default',
      );
      const lines = names.map(
        (name) => `export const ${name} = /* @__PURE__ */ (() => own.${name})();`,
      );
      return {
        contents: `const own = /* @__PURE__ */ process.getBuiltinModule('${path}');
          export default own;
          ${lines.join('\n')}`,
      };
    });
  },
};

const { values: asked } = parseArgs({
  options: {
    outdir: { type: 'string', default: 'dist' },
    bug: { type: 'string' },
    entry: { type: 'string' },
  },
});
const { outdir } = asked;
if (asked.bug !== undefined && outdir === 'dist') throw new Error('a bug goes elsewhere: --outdir');
const planted = asked.bug === undefined ? null : planting(JSON.parse(asked.bug));

const { metafile } = await build({
  metafile: true,
  absWorkingDir: root,
  entryPoints: {
    bellwether: 'src/cli/main.ts',
    'catalog-worker': 'src/store/catalog-worker.ts',
    'content-worker': 'src/content/content-worker.ts',
    ...(asked.entry === undefined ? {} : { [parse(asked.entry).name]: asked.entry }),
  },
  outdir,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  chunkNames: 'chunk-[hash]',
  platform: 'node',
  target: 'node24',
  format: 'esm',
  banner: { js: banner },
  define: { __BELLWETHER_VERSION__: JSON.stringify(version) },
  legalComments: 'none',
  logLevel: 'warning',
  // Each thread keeps the text of what it loaded. Names and lines stay, for stack traces.
  minifySyntax: true,
  minifyWhitespace: true,
  lineLimit: 200,
  plugins: [
    builtinsAsUsed,
    oneCopyOfEachVersion(),
    oneLanguage,
    ...(planted === null ? [] : [planted.plugin]),
  ],
});
planted?.check();
// Agents may be running by the files of before: what stays the same is never away.
const built = new Set(Object.keys(metafile.outputs).map((path) => basename(path)));
const made = resolve(root, outdir);
for (const name of readdirSync(made))
  if (!built.has(name)) rmSync(join(made, name), { recursive: true });
chmodSync(join(made, 'bellwether.mjs'), 0o755);
if (outdir === 'dist') await fillCache(made);
