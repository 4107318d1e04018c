// Asks the server, within the snapshot, where a table's chunks should begin and end.

import { quoteName } from '../../target/mariadb/names.ts';
import type { Session } from '../../target/mariadb/session.ts';
import type { ColumnPlan } from './columns.ts';
import { integerRanges, keyNames, type Range, type Sizes, selectFrom, type TablePlan } from './plan.ts';

export interface PlannedTable {
  readonly plan: TablePlan;
  /** As INSERTs with other tables, as ranges of a key, or as one flow because there is no key. */
  readonly way: 'together' | 'ranges' | 'flow';
  /** To be read apart from each other; a null range is the whole table. */
  readonly ranges: readonly (Range | null)[];
}

/** Throws ServerError. */
export async function measure(session: Session, plan: TablePlan, sizes: Sizes): Promise<PlannedTable> {
  const small = plan.estimatedBytes < sizes.smallTable;
  // Where all fields are hexadecimal, LOAD DATA would not notice a row that ends too soon.
  const hexOnly = plan.columns.every((column) => column.tsv === 'hex');
  if (!plan.key) {
    const measured = small ? await measureWithoutKey(session, plan) : plan;
    return { plan: measured, way: hexOnly || measured.estimatedBytes < sizes.smallTable ? 'together' : 'flow', ranges: [] };
  }
  if (small || hexOnly) return { plan, way: 'together', ranges: [] };
  if (!plan.key.integer) return { plan, way: 'ranges', ranges: [null] };
  const first = keyNames(plan, plan.key)[0] as string;
  const from = selectFrom({ ...plan, columns: [] }).replace(/^SELECT 1/, `SELECT MIN(${first}), MAX(${first})`);
  const [row] = await session.texts(from);
  if (!row?.[0] || !row[1]) return { plan, way: 'ranges', ranges: [null] };
  const ranges = integerRanges(BigInt(row[0]), BigInt(row[1]), plan.estimatedBytes, sizes.segment);
  return { plan, way: 'ranges', ranges: ranges.length > 1 ? await withoutEmpty(session, plan, first, ranges) : ranges };
}

/** Rows cannot be cut off without a key, so a table that only seems small is counted first. */
async function measureWithoutKey(session: Session, plan: TablePlan): Promise<TablePlan> {
  const wide = plan.columns.filter((column: ColumnPlan) => column.wide);
  const sizes = wide.map((column) => `IFNULL(OCTET_LENGTH(${column.select}), 0)`).join(' + ');
  const [row] = await session.texts(`SELECT COUNT(*), SUM(${sizes || '0'}) FROM ${quoteName(plan.name)}${plan.history}`);
  const bytes = Number(row?.[0] ?? 0) * 100 + Number(row?.[1] ?? 0) * 2;
  return { ...plan, estimatedBytes: Math.max(plan.estimatedBytes, bytes) };
}

/** Leaves out ranges without a row: keys may be sparse. */
async function withoutEmpty(session: Session, plan: TablePlan, first: string, ranges: readonly Range[]): Promise<Range[]> {
  const kept: Range[] = [];
  const from = selectFrom({ ...plan, columns: [] }).replace(/^SELECT 1/, `SELECT MIN(${first})`);
  let next: bigint | null = null;
  for (const range of ranges) {
    if (next !== null && next >= range.high) continue;
    if (next === null || next < range.low) {
      const found = await session.text(`${from} WHERE ${first} >= ${range.low}`);
      if (found === null) break;
      next = BigInt(found);
    }
    if (next < range.high) kept.push(range);
  }
  return kept;
}
