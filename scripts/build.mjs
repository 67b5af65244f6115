// Bundles the agent: one file for the program and one for each worker thread, so that a start reads
// a handful of files and not thousands.
import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
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

await build({
  absWorkingDir: root,
  entryPoints: {
    bellwether: 'src/cli/main.ts',
    'catalog-worker': 'src/store/catalog-worker.ts',
    'content-worker': 'src/content/content-worker.ts',
  },
  outdir: 'dist',
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
  plugins: [
    {
      name: 'clean',
      setup: (b) => b.onStart(() => rmSync(join(root, 'dist'), { recursive: true, force: true })),
    },
  ],
});
chmodSync(join(root, 'dist/bellwether.mjs'), 0o755);
