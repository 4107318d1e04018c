// Cuts a large table into ranges of its key that several connections can read at the same time.
import { quoteName } from '../../target/mariadb/names.ts';
import type { Session } from '../../target/mariadb/session.ts';
import { keyNames, type TablePlan } from './plan.ts';

/** Rows whose leading key column is at least `low` and less than `below`; null: no bound. Whole numbers as the server writes them. */
export interface KeyRange {
  readonly low: string | null;
  readonly below: string | null;
}

export const WHOLE_TABLE: KeyRange = { low: null, below: null };

const WHOLE_NUMBERS = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint']);

/**
 * At least `pieces` ranges, at most about twice as many, where the key begins with a whole number; else the whole table. Bounds
 * are multiples of a power of two: they stay where they are from day to day while the table grows, and so do the chunks within.
 * Throws ServerError.
 */
export async function cutIntoRanges(session: Session, plan: TablePlan, pieces: number): Promise<readonly KeyRange[]> {
  const lead = plan.key && plan.columns[plan.key.at[0] as number];
  if (!plan.key || !lead || plan.history !== '' || !WHOLE_NUMBERS.has(lead.type)) return [WHOLE_TABLE];
  const name = quoteName(lead.name);
  const [row] = await session.texts(
    `SELECT HIGH_PRIORITY MIN(${name}), MAX(${name}) FROM ${quoteName(plan.name)} FORCE INDEX (${quoteName(plan.key.index)})`,
  );
  const [min, max] = row ?? [];
  if (min === null || min === undefined || max === null || max === undefined) return [WHOLE_TABLE];
  return alignedRanges(BigInt(min), BigInt(max), pieces);
}

/** Pure. BigInt, for a key may be beyond what a JavaScript number holds. */
export function alignedRanges(min: bigint, max: bigint, pieces: number): readonly KeyRange[] {
  let step = 1n;
  while ((max - min + 1n) / (step * 2n) >= BigInt(pieces)) step *= 2n;
  const bounds: bigint[] = [];
  // the first multiple above the smallest value
  let bound = (min / step) * step;
  while (bound <= min) bound += step;
  for (; bound <= max; bound += step) bounds.push(bound);
  const edges = [null, ...bounds.map(String), null];
  return edges.slice(0, -1).map((low, index) => ({ low: low as string | null, below: edges[index + 1] as string | null }));
}

/** As conditions on the leading column of the key; none for the whole table. */
export function rangeConditions(plan: TablePlan, range: KeyRange): string[] {
  const lead = plan.key === null ? null : keyNames(plan, plan.key)[0];
  return [...(range.low === null ? [] : [`${lead} >= ${range.low}`]), ...(range.below === null ? [] : [`${lead} < ${range.below}`])];
}
