// Writes into a catalog in transactions of three rows and says on standard output when each has been committed, the number alone. A
// process of its own, so that strace sees what SQLite writes. Arguments: stateDir, and `unflushed` for commits that nobody flushes.
import { writeSync } from 'node:fs';
import { openCatalog } from '../../src/catalog/open.ts';
import { WalFlush } from '../../src/catalog/wal-flush.ts';

const [stateDir = '', flushing = ''] = process.argv.slice(2);
if (flushing === 'unflushed') WalFlush.prototype.flush = async () => {};
let number = 0;
// beyond 4 MB the log is written back into the database
for (const [transactions, bytes] of [
  [30, 50_000],
  [15, 10],
] as const) {
  await using catalog = await openCatalog(stateDir);
  for (let i = 0; i < transactions; i++) {
    number++;
    const values = [1, 2, 3].map((part) => ({
      at: number,
      who: `part ${part}`,
      what: 'written',
      shop: null,
      detail: 'x'.repeat(bytes),
    }));
    await catalog.transaction(async (tx) => {
      for (const row of values) await tx.insertInto('audit').values(row).execute();
    });
    writeSync(1, `${number}\n`);
  }
}
