/**
 * Everything that a released version wrote is read for ever: its messages, its data folder with log,
 * hard state, catalog and events, its snapshots and backups. A new field may appear in what is
 * read; what was there stays as it was. `node scripts/record-formats.mjs` records a new version.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { messageSchema } from '../../src/wire/consensus-schema.ts';
import { read, readBackup, readFolder, readJson, readSnapshotFile } from './readers.ts';
import { type Sample, samples } from './samples.ts';

const folder = fileURLToPath(new URL('../fixtures/formats', import.meta.url));
const versions = existsSync(folder) ? readdirSync(folder).sort() : [];

interface Recorded {
  readonly decoder: Sample['decoder'];
  readonly name: string;
  readonly hex: string;
  readonly value: Record<string, unknown>;
}

test('some version is recorded', () => {
  expect(versions.length).toBeGreaterThan(0);
});

test('every consensus message has a sample', () => {
  const known = messageSchema.options.map(({ shape }) => shape.type.value).sort();
  const given = samples().filter(({ decoder }) => decoder === 'message');
  expect(given.map(({ name }) => name).sort()).toEqual(known);
});

describe.each(versions)('version %s', (version) => {
  const path = (name: string): string => join(folder, version, name);
  const recorded = readJson(path('messages.json')) as Recorded[];

  test.each(recorded.map((one) => [`${one.decoder} ${one.name}`, one] as const))(
    '%s is read as it was',
    (_, { decoder, hex, value }) => {
      expect(read({ decoder, bytes: Buffer.from(hex, 'hex') })).toMatchObject(value);
    },
  );

  test('its data folder opens', async () => {
    expect(await readFolder(path('data'))).toMatchObject(readJson(path('data.json')) as object);
  });

  test('its snapshot installs', async () => {
    const found = await readSnapshotFile(path('catalog.snapshot'));
    expect(found).toMatchObject(readJson(path('snapshot.json')) as object);
  });

  test('its backup is whole', async () => {
    const found = await readBackup(path('cluster.backup'));
    expect(found).toMatchObject(readJson(path('backup.json')) as object);
  });
});
