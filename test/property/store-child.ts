/**
 * A process that writes to a log and its catalog until it is killed: prints a line once an entry is
 * durable and applied. Run by store-kill.test.ts.
 */
import { join } from 'node:path';
import { openCatalogStore } from '../../src/store/catalog-store.ts';
import { openLogStore } from '../../src/store/log-store.ts';
import { chainStart, makeEntry } from '../../src/wire/entry.ts';
import { clusterId, epoch, hardState, identity, job, metaAt } from '../unit/store/log-fixture.ts';

const dir = process.argv[2] ?? '';
const log = await openLogStore({
  dir: join(dir, 'log'),
  clusterId,
  epoch,
  identity,
  segmentBytes: 64 * 1024,
});
const catalog = await openCatalogStore({ dir: join(dir, 'catalog'), log });
let last = log.restored.entries.at(-1);
const behind = log.restored.entries.filter(({ index }) => index > catalog.appliedIndex());
if (behind.length > 0) await catalog.apply(behind);
let term = log.restored.hardState.term;
const found = `${catalog.appliedIndex()} ${term} ${log.report.tornEntries}`;
process.stdout.write(`opened ${found} ${log.restored.snapshot?.index ?? 0}\n`);

for (;;) {
  const append = [];
  const base = last?.index ?? log.startIndex();
  const previous = last?.hash ?? log.restored.snapshot?.hash ?? chainStart;
  term += 1;
  for (let i = 1, previousHash = previous; i <= 40; i++) {
    const data = Buffer.alloc(200, i);
    const index = base + i;
    const entry = makeEntry({ previousHash, epoch, index, term, kind: 'command', data });
    previousHash = entry.hash;
    append.push(entry);
  }
  last = append.at(-1);
  await log.persist([job({ hardState: hardState(term), append })]);
  await catalog.apply(append);
  process.stdout.write(`done ${last?.index ?? 0} ${term}\n`);
  if (term % 20 === 0 && last !== undefined) {
    await catalog.checkpoint();
    await log.compact(metaAt(last));
  }
}
