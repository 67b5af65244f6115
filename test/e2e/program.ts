/**
 * Which program the tests run: the bundle, built first if a source is newer, and copied, so that a
 * build during the test takes nothing away. BELLWETHER_PROGRAM names another one (the sources run
 * too, but each of five agents then takes seconds to start).
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

function newestSourceMs(): number {
  const src = join(root, 'src');
  const files = readdirSync(src, { recursive: true, withFileTypes: true });
  return Math.max(
    ...files
      .filter((file) => file.isFile())
      .map((file) => statSync(join(file.parentPath, file.name)).mtimeMs),
  );
}

/** The node binary that the project runs on, also when the tests were started by another one. */
export function nodeBinary(): string {
  const own = join(root, 'node_modules/node/bin/node');
  return existsSync(own) ? own : process.execPath;
}

/** Path of the program; `dir` takes a copy of the bundle. */
export function programIn(dir: string): string {
  const named = process.env.BELLWETHER_PROGRAM;
  if (named !== undefined && named !== '') return named;
  const bundle = join(root, 'dist/bellwether.mjs');
  if (!existsSync(bundle) || statSync(bundle).mtimeMs < newestSourceMs()) {
    const { status, stderr } = spawnSync(nodeBinary(), [join(root, 'scripts/build.mjs')]);
    if (status !== 0) throw new Error(`the bundle could not be built: ${stderr}`);
  }
  cpSync(join(root, 'dist'), join(dir, 'program'), { recursive: true });
  return join(dir, 'program/bellwether.mjs');
}
