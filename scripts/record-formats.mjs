// Records every format as this version writes it into test/fixtures/formats/VERSION, where a test
// reads it for ever. Run once at a release; `--again` replaces those of a version that nobody has.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { recordFormats } from '../test/formats/record.ts';

const root = join(fileURLToPath(new URL('.', import.meta.url)), '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const dir = join(root, 'test/fixtures/formats', version);
if (existsSync(dir) && !process.argv.includes('--again')) {
  process.stderr.write(`${dir} is there: formats of a released version are never recorded again\n`);
  process.exit(2);
}
await recordFormats(dir);
process.stdout.write(`recorded ${dir}\n`);
