/**
 * Makes a folder that a person named, and those above it. Node's own recursive way never comes back
 * where the nearest folder that exists takes no others (as /proc): it makes the parent, which is
 * there, tries again, and so on for ever.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** Throws what the operating system said; nothing to do where the folder is there already. */
export function makeFolder(path: string, mode = 0o777): void {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.unshift(at);
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode });
    } catch (thrown) {
      // Somebody else made it in between.
      if (!existsSync(folder) || !statSync(folder).isDirectory()) throw thrown;
    }
  }
  if (!statSync(path).isDirectory()) mkdirSync(path); // says that a file is in the way
}
