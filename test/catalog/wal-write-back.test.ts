import { DatabaseSync } from 'node:sqlite';
import { expect, onTestFinished, test } from 'vitest';
import { catalogPath, openCatalog } from '../../src/catalog/open.ts';
import { until } from '../servers/rig.ts';
import { tempDir } from '../temp-dir.ts';

test('more than a thousand pages are committed - written back without anybody’s waiting, long before SQLite would within a commit', async () => {
  const catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const path = catalogPath(catalog.stateDir);
  const other = new DatabaseSync(path, { readOnly: true });
  onTestFinished(() => other.close());
  const row = { at: 0, who: 'anna', what: 'reload', shop: null, detail: 'x'.repeat(100_000) };
  const write = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await catalog.transaction((tx) => tx.insertInto('audit').values(row).execute());
  };
  const waiting = (): number => {
    const { log, checkpointed } = other.prepare('pragma wal_checkpoint(noop)').get() as { log: number; checkpointed: number };
    return log - checkpointed;
  };
  for (let round = 0; round < 3; round++) {
    await write(50);
    await until('the log is written back', 30_000, () => waiting() < 500);
  }
  expect((await catalog.db.selectFrom('audit').select('id').execute()).length).toBe(150);
});
