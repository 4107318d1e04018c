// A catalog of hundreds of shops and a million segments, made of rows alone: what a daemon has after some weeks.
import { sql } from 'kysely';
import type { Catalog } from '../../src/catalog/open.ts';

export interface LargeCatalog {
  readonly shops: number;
  /** Of all shops together; each in both vaults. */
  readonly segments: number;
  /** Snapshots of each shop's database and files, a day apart, the newest an hour old. */
  readonly days: number;
  readonly nowMs: number;
  /** Where the vaults are, as vaultPlace writes it. */
  readonly places: { readonly nas: string; readonly offsite: string };
}

export const shopName = (at: number): string => `shop-${String(at).padStart(4, '0')}`;

const DAY = 86_400_000;

/** Fills an empty catalog: vaults `nas` and `offsite`, shops `shop-0000` …, everything green as far as rows can say it. */
export async function fillCatalog({ db }: Catalog, { shops, segments, days, nowMs, places }: LargeCatalog): Promise<void> {
  const newest = nowMs - 3_600_000;
  const count = (n: number) => sql`with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ${n})`;
  const shop = (of: string) => sql.raw(`printf('shop-%04d', ${of})`);
  await sql`pragma synchronous = off`.execute(db);
  await db.transaction().execute(async (tx) => {
    const perShop = Math.floor(segments / shops);
    await sql`${count(perShop * shops)} insert into segments
      select printf('g%09d', i), ${shop(`i % ${shops}`)}, case when i % 4 = 0 then 'database' else 'files' end, 'tar', 'data', 'part',
        printf('shop/segments/g%09d.tar.zst', i), 1000, 'p', 500, 's', null, 'run', ${newest}, 'none' from n`.execute(tx);
    for (const [vault, lock] of [
      ['nas', 'advisory'],
      ['offsite', 'COMPLIANCE'],
    ]) {
      await sql`insert into objects (vault, shop, key, versionId, kind, refId, runId, state, expectedBytes, sizeBytes, sha256, lockMode,
          retainUntil, lockReadAt, createdAt, resolvedAt, damage, readAt)
        select ${vault}, shop, key, 'v', 'segment', id, 'run', 'stored', 500, 500, 's', ${lock}, ${nowMs + 20 * DAY}, ${newest}, ${newest},
          ${newest}, null, ${newest} from segments`.execute(tx);
    }
    // per shop and day a run and a snapshot of each source
    await sql`${count(shops * days * 2)} insert into runs (id, kind, shop, source, state, startedAt, endedAt)
      select printf('r%09d', i), 'backup', ${shop(`(i / 2) % ${shops}`)}, case when i % 2 = 0 then 'database' else 'files' end, 'done',
        ${newest} - (i / ${sql.lit(2 * shops)}) * ${DAY} - 60000, ${newest} - (i / ${sql.lit(2 * shops)}) * ${DAY} from n`.execute(tx);
    for (const kind of ['prune', 'reconcile']) {
      await sql`${count(shops * days)} insert into runs (id, kind, shop, source, state, startedAt, endedAt)
        select printf(${`${kind}%09d`}, i), ${kind}, ${shop(`i % ${shops}`)}, null, 'done', ${newest} - (i / ${sql.lit(shops)}) * ${DAY},
          ${newest} - (i / ${sql.lit(shops)}) * ${DAY} + 1000 from n`.execute(tx);
    }
    await sql`insert into snapshots (id, shop, source, runId, startedAt, asOf, completedAt, "full", complete, state, keepUntil, plainBytes,
        storedBytes, freshBytes, segments, reusedSegments, counts, warnings, consistency, requiredVaults, durationMs)
      select 's' || substr(id, 2), shop, source, id, startedAt, startedAt, endedAt, case when source = 'files' then 1 else 0 end, 1,
        'committed', endedAt + ${14 * DAY}, 50000000, 20000000, 1000000, ${perShop}, 0, '{}', '[]', null, '["nas","offsite"]', 60000
      from runs where kind = 'backup'`.execute(tx);
    for (const [vault, lock] of [
      ['nas', 'advisory'],
      ['offsite', 'COMPLIANCE'],
    ]) {
      for (const kind of ['manifest', 'index']) {
        await sql`insert into objects (vault, shop, key, versionId, kind, refId, runId, state, expectedBytes, sizeBytes, sha256, lockMode,
            retainUntil, lockReadAt, createdAt, resolvedAt, damage, readAt)
          select ${vault}, shop, shop || '/' || ${kind} || '/' || id, 'v', ${kind}, id, runId, 'stored', 900, 900, 's', ${lock},
            ${nowMs + 20 * DAY}, completedAt, completedAt, completedAt, null, null from snapshots`.execute(tx);
      }
      await sql`insert into snapshotVaults (snapshotId, vault, committedAt, manifestObject, indexObject, verifiedAt, verifyError)
        select s.id, ${vault}, s.completedAt, m.id, x.id, null, null from snapshots s
        cross join objects m indexed by "objectsKey" on m.vault = ${vault} and m.key = s.shop || '/manifest/' || s.id
        cross join objects x indexed by "objectsKey" on x.vault = ${vault} and x.key = s.shop || '/index/' || s.id`.execute(tx);
    }
    await sql`insert into ledger (at, vault, shop, key, versionId, event, bytes, cause, hash)
      select createdAt, vault, shop, key, versionId, 'put', sizeBytes, 'run', 'h' from objects`.execute(tx);
    for (const [vault, place] of Object.entries(places)) {
      await sql`insert into probes (vault, place, at, outcome, steps) values (${vault}, ${place}, ${newest}, 'proven', '[]')`.execute(tx);
      await sql`insert into objects (vault, shop, key, versionId, kind, refId, runId, state, expectedBytes, sizeBytes, createdAt)
        values (${vault}, '_coffre', '_coffre/state/1', 'v', 'state', null, null, 'stored', 1, 1, ${newest})`.execute(tx);
      await sql`insert into checkpoints (vault, at, objectId, ledgerRow, ledgerHash, positions, setting)
        select ${vault}, ${newest}, max(id), 0, '', '{}', '' from objects`.execute(tx);
    }
  });
}
