/** Asks a named query of a catalog under test. */
import type { DatabaseSync } from 'node:sqlite';
import { present } from '../../../src/base/assert.ts';
import { queries } from '../../../src/catalog/queries.ts';

export const ask = (db: DatabaseSync, name: string, args: unknown = {}): unknown =>
  present(queries[name], `query ${name}`)(db, args);
