/**
 * Full text over content_metadata (name, type, text, labels) in FTS5. Derived from the index rows:
 * never dumped, rebuilt by a restore. The table keeps no copy of the text, only the word lists.
 */
import type { DatabaseSync } from 'node:sqlite';

export interface SearchText {
  put(key: string, value: Readonly<Record<string, unknown>>): void;
  remove(key: string): void;
  clear(): void;
}

/** Characters of `text` that are indexed; keeps one entry well below 50 ms. */
const textCharactersMax = 65_536;

const words = (value: unknown): string =>
  typeof value === 'string' ? value.slice(0, textCharactersMax) : '';

function labelWords(labels: unknown): string {
  if (Array.isArray(labels)) return words(labels.filter((l) => typeof l === 'string').join(' '));
  if (labels === null || typeof labels !== 'object') return '';
  const pairs = Object.entries(labels).filter(([, value]) => typeof value === 'string');
  return words(pairs.map(([name, value]) => `${name} ${value}`).join(' '));
}

export function createSearchText(db: DatabaseSync): SearchText {
  const find = db.prepare('SELECT doc FROM search_docs WHERE key = ?');
  const claim = db.prepare('INSERT INTO search_docs (key) VALUES (?)');
  const release = db.prepare('DELETE FROM search_docs WHERE doc = ?');
  const insert = db.prepare(
    'INSERT INTO search_text (rowid, name, type, text, labels) VALUES (?, ?, ?, ?, ?)',
  );
  const remove = db.prepare('DELETE FROM search_text WHERE rowid = ?');
  return {
    put: (key, value) => {
      const known = find.get(key)?.doc;
      if (known !== undefined) remove.run(Number(known));
      const doc = known === undefined ? claim.run(key).lastInsertRowid : Number(known);
      const { name, type, text, labels } = value;
      insert.run(doc, words(name), words(type), words(text), labelWords(labels));
    },
    remove: (key) => {
      const doc = find.get(key)?.doc;
      if (doc === undefined) return;
      remove.run(Number(doc));
      release.run(Number(doc));
    },
    clear: () => {
      db.exec(
        "INSERT INTO search_text (search_text) VALUES ('delete-all'); DELETE FROM search_docs",
      );
    },
  };
}
