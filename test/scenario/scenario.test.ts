/**
 * Every story in this folder is played and compared with itself; `npx vitest run -u test/scenario`
 * rewrites what happened. Read the difference before committing it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Story } from './interpreter.ts';

const folder = import.meta.dirname;
const stories = readdirSync(folder).filter((name) => name.endsWith('.txt'));

describe('stories', () => {
  test.each(stories)('%s', async (name) => {
    const path = join(folder, name);
    await expect(new Story().play(readFileSync(path, 'utf8'))).toMatchFileSnapshot(path);
  });
});
