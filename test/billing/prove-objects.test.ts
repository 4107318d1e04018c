import { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { lastNumber } from '../../src/billing/chain.ts';
import { Ledger } from '../../src/billing/ledger.ts';
import { proveObjects } from '../../src/billing/prove-objects.ts';
import { type Catalog, catalogPath, openCatalog } from '../../src/catalog/open.ts';
import { FakeClock } from '../fake-clock.ts';
import { tempDir } from '../temp-dir.ts';
import { store } from './stored.ts';

const START = Date.UTC(2026, 2, 1);
let catalog: Catalog;

beforeEach(async () => {
  catalog = await openCatalog(await tempDir());
  onTestFinished(() => catalog.close());
  const common = { atMs: START, keptMs: 1000, lockedMs: 1000 };
  await store(catalog, {
    id: 'a',
    ...common,
    segments: [
      { bytes: 100, content: 'x' },
      { bytes: 20, content: 'y' },
    ],
  });
});

function tamper(sql: string): void {
  const raw = new DatabaseSync(catalogPath(catalog.stateDir));
  raw.exec(`drop trigger "ledgerNoUpdate"; drop trigger "ledgerNoDelete"; ${sql}`);
  raw.close();
}

test('objects with their rows, one released, one resized, one on its way - proven', async () => {
  const ledger = new Ledger(catalog, new FakeClock(START + 1000));
  await ledger.released(1);
  await ledger.resized(2, 30);
  await ledger.intent({ vault: 'offsite', shop: 'dupont', key: 'k', kind: 'segment', refId: null, runId: null, expectedBytes: 5 });
  expect(await proveObjects(catalog)).toEqual({
    name: 'objects',
    vault: null,
    outcome: 'proven',
    detail: '1 objects of the catalog compared with their rows in the ledger',
    findings: [],
  });
});

test.each([
  [
    'the newest row removed, and the number that it had',
    "delete from ledger where id = 2; update sqlite_sequence set seq = 1 where name = 'ledger'",
    /a-1.*the catalog has 20 bytes of it \(stored\), the ledger has no row of it: it was removed$/,
  ],
  ['a row altered', 'update ledger set bytes = 19 where id = 2', /a-1.*20 bytes of it \(stored\), the ledger adds up to 19 bytes$/],
  [
    'an object unknown to the catalog',
    'delete from objects where id = 2',
    /a-1.*the catalog does not know it, the ledger adds up to 20 bytes$/,
  ],
])('%s - named', async (_name, sql, expected) => {
  tamper(sql);
  const { findings, outcome } = await proveObjects(catalog);
  expect([outcome, findings]).toEqual(['broken', [expect.stringMatching(expected)]]);
  expect(await lastNumber(catalog.db)).toBe(sql.includes('sqlite_sequence') ? 1 : 2);
});
