/**
 * The paths that callers may add or read. A bad one is refused before a byte is stored; the text
 * names the field, the path and the rule. The importer treats a backslash before a slash as an
 * escape, so a name may not end with one.
 */
import { AgentError } from '../base/error.ts';

const pathCharsMax = 4096;
const nameBytesMax = 255;

function refuse(field: string, path: string, why: string): AgentError {
  const shown = path.length > 120 ? `${path.slice(0, 120)}...` : path;
  return new AgentError('bad-request', `${field} ${JSON.stringify(shown)} ${why}`);
}

function checkNames(path: string, field: string): string[] {
  if (typeof path !== 'string') throw refuse(field, String(path), 'is not text');
  if (path.length > pathCharsMax) throw refuse(field, path, `is longer than ${pathCharsMax}`);
  if (path.startsWith('/')) throw refuse(field, path, 'is absolute; give a relative path');
  if (path.includes('\0')) throw refuse(field, path, 'holds a NUL character');
  if (!path.isWellFormed()) throw refuse(field, path, 'is not well-formed Unicode');
  const names = path.split('/');
  for (const name of names) {
    if (name === '') throw refuse(field, path, 'holds an empty name');
    if (name === '.' || name === '..') throw refuse(field, path, `holds the name ${name}`);
    if (name.endsWith('\\')) throw refuse(field, path, 'holds a name that ends with a backslash');
    if (Buffer.byteLength(name) > nameBytesMax)
      throw refuse(field, path, `holds a name longer than ${nameBytesMax} bytes`);
  }
  return names;
}

/** The names of a path to add; at least one. */
export function entryNames(path: string): string[] {
  return checkNames(path, 'path');
}

/** The names of a path below a CID; none for the CID itself. */
export function readNames(path: string): string[] {
  return path === '' ? [] : checkNames(path, 'path');
}
