// The fidelity checklist: each item dumped and loaded again, as INSERTs and as LOAD DATA, is the same to mariadb-dump and to the server.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_SIZES } from '../../../src/source/mariadb/plan.ts';
import { ITEMS, SESSION } from './checklist.ts';
import { databaseConfig, dumpParts, makeTarget, restoreParts } from './dumped.ts';
import { checksums, type DatabaseServer, dumpText, freshDatabase, startDatabaseServer } from './server.ts';

let server: DatabaseServer;

beforeAll(async () => {
  // a time zone with summer time; engines whose maturity Debian does not load by default
  server = await startDatabaseServer(['--log-bin=binlog', '--server-id=1', '--plugin-maturity=unknown'], {
    any: true,
    env: { TZ: 'Europe/Paris' },
  });
});
afterAll(() => server?.stop());

const WAYS = [
  { as: 'INSERTs', sizes: DEFAULT_SIZES },
  { as: 'LOAD DATA', sizes: { ...DEFAULT_SIZES, smallTable: 0 } },
];

for (const [group, items] of Object.entries(ITEMS)) {
  describe(group, () => {
    test.for(items)('$title', async (item, { skip }) => {
      if (item.on && !item.on(server)) skip('this server has no such thing');
      if (item.plugin) {
        const loaded = await server.sql(`INSTALL SONAME '${item.plugin}'`).catch((error: Error) => error);
        if (loaded instanceof Error && !/already (?:installed|exists)|1968/i.test(loaded.message)) skip(`the server has no ${item.plugin}`);
      }
      await freshDatabase(server, 'item', item.options);
      await server.sql(SESSION + item.sql, 'item');
      const text = await dumpText(server, 'item', item.oracle);
      const sums = item.definitionOnly ? '' : await checksums(server, 'item');
      for (const { as, sizes } of WAYS) {
        const dumped = await dumpParts(databaseConfig(server.where, 'item'), { sizes });
        expect(dumped.summary.complete, as).toBe(true);
        expect(dumped.summary.warnings.map((warning) => warning.where)).toEqual(item.warns ?? []);
        await freshDatabase(server, 'item_copy');
        const target = makeTarget(server.where, 'item_copy');
        await restoreParts(target, dumped).finally(() => target.close());
        const copy = await dumpText(server, 'item_copy', item.oracle);
        if (item.definitionOnly) expect(withoutRows(copy), as).toBe(withoutRows(text));
        else expect(copy, as).toBe(text);
        if (!item.definitionOnly) expect(await checksums(server, 'item_copy'), as).toBe(sums);
      }
    });
  });
}

/** A dump text without its rows. */
function withoutRows(text: string): string {
  return text.replace(/^INSERT INTO .*?;\n/gms, '');
}
