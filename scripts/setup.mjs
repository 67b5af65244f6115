// Sets a checkout up: installs the packages when the lock file is newer than what is installed, and
// with --build bundles the agent when a source is newer than the bundle. Runs on Node 20, before any
// package is there, so it uses nothing but Node.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 20) {
  console.error(`bellwether needs Node 20 or newer; this is ${process.version}`);
  process.exit(1);
}

/** Runs a command in the checkout with its output shown, and ends with its code if it fails. */
function run(command, args) {
  const path = `${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}`;
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, PATH: path },
  });
  if (error) console.error(`can't run ${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex');
const stamp = join(root, 'node_modules/.bellwether-lock');
const installed = existsSync(stamp) ? readFileSync(stamp, 'utf8') : '';
const node24 = join(root, 'node_modules/.bin/node');
if (installed !== wanted || !existsSync(node24)) {
  console.error('installing packages ...');
  // Not `npm ci`: it refuses a lock file that lacks the packages of other platforms, and which of
  // those a lock file has depends on the registry it was made with. This one installs what the lock
  // file pins as well, and leaves the file alone.
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']);
  if (!existsSync(node24)) {
    console.error(
      "Node 24 is not in node_modules/.bin: the package 'node' could not install it. Look at its install output with: npm rebuild node --foreground-scripts",
    );
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}

/** Newest modification time below a folder, ms. */
function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    time = Math.max(time, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }
  return time;
}

if (process.argv.includes('--build')) {
  const bundle = join(root, 'dist/bellwether.mjs');
  const sources = Math.max(
    newest(join(root, 'src')),
    statSync(join(root, 'scripts/build.mjs')).mtimeMs,
    statSync(stamp).mtimeMs,
  );
  if (!existsSync(bundle) || statSync(bundle).mtimeMs < sources) run(node24, ['scripts/build.mjs']);
}
