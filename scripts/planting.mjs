// Changes sources on their way into what esbuild bundles, never on disk: planted bugs, and counters
// that only a comparison needs. `file` is below src/, or ../node_modules/... for a package's.
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { plant } from '../src/sim/bugs.ts';

const src = join(dirname(fileURLToPath(import.meta.url)), '../src');

/** A plugin, and what throws unless every edit of the bug reached the bundle. */
export function planting(bug) {
  const touched = new Set();
  const plugin = {
    name: 'planted-bug',
    setup: (b) =>
      b.onLoad({ filter: /\.(ts|js)$/ }, ({ path }) => {
        const file = relative(src, path).replaceAll('\\', '/');
        if (!bug.edits.some((edit) => edit.file === file)) return null;
        touched.add(file);
        const loader = file.endsWith('.ts') ? 'ts' : 'js';
        return { contents: plant(bug, file, readFileSync(path, 'utf8')), loader };
      }),
  };
  const check = () => {
    const missed = bug.edits.find((edit) => !touched.has(edit.file));
    if (missed !== undefined)
      throw new Error(`planted bug ${bug.name}: ${missed.file} is not used`);
  };
  return { plugin, check };
}
