// Child of the prune benchmark: compares everything in the catalog with a store that lists the same, locks read back too.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Temporal } from 'temporal-polyfill';
import { catalogPath, openCatalog } from '../../../src/catalog/open.ts';
import { systemClock } from '../../../src/clock.ts';
import { watchShop } from '../../../src/retention/watch.ts';
import type { ListedVersion, StoredObject, Vault } from '../../../src/vault/vault.ts';
import { FakeClock } from '../../fake-clock.ts';

export interface Reconciled {
  readonly versions: number;
  readonly locks: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
}

interface Row {
  readonly key: string;
  readonly versionId: string;
  readonly sizeBytes: number;
  readonly retainUntil: number;
}

const [dir = ''] = process.argv.slice(2);
const expected = JSON.parse(readFileSync(join(dir, 'expected.json'), 'utf8'));
// what was written is metered: the bench's catalog has no ledger
const filled = new DatabaseSync(catalogPath(dir));
filled.exec(`insert into ledger (at, vault, shop, key, versionId, event, bytes, cause, hash)
  select 1, 'offsite', shop, 'all', '', 'put', sum("sizeBytes"), null, '' from objects group by shop having not exists (select 1 from ledger)`);
filled.close();

/** The store's own memory is none of the measurement: it lists from the file. */
const store = new DatabaseSync(catalogPath(dir), { readOnly: true });
const instant = (ms: number): Temporal.Instant => Temporal.Instant.fromEpochMilliseconds(ms);
const one = store.prepare(
  'select "key", "versionId", "sizeBytes", "retainUntil" from "objects" where "vault" = ? and "key" = ? and "versionId" = ?',
);
const stored = ({ key, versionId, sizeBytes, retainUntil }: Row): StoredObject => ({
  ...{ key, versionId, sizeBytes },
  lock: { mode: 'COMPLIANCE', retainUntil: instant(retainUntil) },
});
const vault = {
  name: 'offsite',
  type: 's3',
  lockMode: 'COMPLIANCE',
  async *listVersions(prefix: string): AsyncGenerator<ListedVersion> {
    const rows = store
      .prepare('select "key", "versionId", "sizeBytes" from "objects" where "vault" = ? and "key" > ? and "key" < ? order by "key"')
      .iterate('offsite', prefix, `${prefix}\u{10ffff}`);
    for (const row of rows) {
      const { key, versionId, sizeBytes } = row as unknown as Row;
      yield { key, versionId, sizeBytes, isDeleteMarker: false, isLatest: true, modifiedAt: instant(0) };
    }
  },
  async *listUploads() {},
  stat: async (key: string, versionId: string) => stored(one.get('offsite', key, versionId) as unknown as Row),
  serverTime: async () => null,
  close: async () => {},
} as unknown as Vault;

const catalog = await openCatalog(dir);
const startedMs = systemClock.monotonicMs();
const before = process.cpuUsage();
const result: { versions: number; locks: number } = { versions: 0, locks: 0 };
for (let s = 0; s < expected.shops; s++) {
  const watched = await watchShop(
    { catalog, clock: new FakeClock(expected.now), openVault: async () => vault },
    {
      shop: `shop${String(s).padStart(4, '0')}`,
      vaults: ['offsite'],
      retentionMs: expected.retentionMs,
      clockSkewMs: 60_000,
      who: 'bench',
    },
  );
  const [seen] = watched.vaults;
  if (!seen || seen.found.length > 0) throw new Error(`not what was expected: ${JSON.stringify(watched).slice(0, 500)}`);
  result.versions += seen.versions;
  result.locks += seen.locks;
}
const seconds = (systemClock.monotonicMs() - startedMs) / 1000;
const cpu = process.cpuUsage(before);
await catalog.close();
store.close();
if (result.versions !== expected.segments + 2 * expected.snapshots) throw new Error(`${result.versions} versions compared`);
const reconciled: Reconciled = {
  ...result,
  seconds,
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  peakBytes: process.resourceUsage().maxRSS * 1024,
};
console.log(JSON.stringify(reconciled));
