// What the catalog says that each vault holds, against the sum of each version's rows in the ledger: a row that was removed with nobody behind it.
import { sql } from 'kysely';
import { versionRow } from '../catalog/object-version.ts';
import type { Catalog } from '../catalog/open.ts';
import { ledgerStart } from './chain.ts';
import { type Check, Findings } from './prove-ledger.ts';

interface Difference {
  readonly vault: string;
  readonly key: string;
  readonly versionId: string;
  /** Of the ledger. */
  readonly rows: number;
  /** By the ledger, less what the catalog says is there. */
  readonly bytes: number;
}

/**
 * Both are written in one transaction, so that at any instant they agree; what was there before the ledger's first row is in an opening
 * balance and is not looked at. Reads the whole ledger: for a thread.
 */
export async function proveObjects({ db }: Catalog): Promise<Check> {
  const start = await ledgerStart(db);
  const findings = new Findings();
  let opening = 0;
  const { rows } = await sql<Difference>`
    select "vault", "key", "versionId", sum("rows") as "rows", sum("bytes") as "bytes" from (
      select "vault", "key", "versionId", 1 as "rows", "bytes" from "ledger" where "key" != ''
      union all
      select "vault", "key", coalesce("versionId", ''), 0, -"sizeBytes" from "objects"
        where "state" in ('stored', 'tombstone') and "sizeBytes" != 0
    ) group by "vault", "key", "versionId" having sum("bytes") != 0`.execute(db);
  for (const one of rows) {
    const object = await versionRow(db, one);
    const bornAt = object === undefined ? null : Math.min(object.createdAt, object.resolvedAt ?? object.createdAt);
    const isOld = start !== null && (bornAt === null ? one.bytes < 0 : bornAt < start.until);
    if (isOld) {
      opening++;
      continue;
    }
    const isLive = object !== undefined && (object.state === 'stored' || object.state === 'tombstone');
    const held = isLive ? object.sizeBytes : 0;
    const says = object === undefined ? 'the catalog does not know it' : `the catalog has ${held} bytes of it (${object.state})`;
    const ledger =
      Number(one.rows) === 0 ? 'the ledger has no row of it: it was removed' : `the ledger adds up to ${one.bytes + held} bytes`;
    findings.add(`${one.vault}: ${one.key} ${one.versionId}: ${says}, ${ledger}`);
  }
  const { objects } = await db
    .selectFrom('objects')
    .select((eb) => eb.fn.countAll<number>().as('objects'))
    .where('state', 'in', ['stored', 'tombstone'])
    .executeTakeFirstOrThrow();
  const older = opening === 0 ? '' : `; ${opening} older than its first row: an opening balance stands for them`;
  return findings.check('objects', `${objects} objects of the catalog compared with their rows in the ledger${older}`);
}
