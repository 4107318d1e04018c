// Decides in which of two ways a table's rows are read; counts within the snapshot where the server's estimate is not enough.
import { quoteName } from '../../target/mariadb/names.ts';
import type { Session } from '../../target/mariadb/session.ts';
import type { Sizes, TablePlan } from './plan.ts';
import { cutIntoRanges, type KeyRange, WHOLE_TABLE } from './ranges.ts';

export interface PlannedTable {
  readonly plan: TablePlan;
  /** As INSERTs with other tables, or one segment after the other. */
  readonly way: 'together' | 'flow';
  /** A flow's: read side by side. */
  readonly ranges: readonly KeyRange[];
}

/** Throws ServerError. */
export async function measure(session: Session, plan: TablePlan, sizes: Sizes): Promise<PlannedTable> {
  const seemsSmall = plan.estimatedBytes < sizes.smallTable;
  // Rows cannot be cut off without a key, so a table that only seems small is counted first.
  const measured = seemsSmall && !plan.key ? await countedSize(session, plan) : plan;
  // Where all fields are hexadecimal, LOAD DATA would not notice a row that ends too soon.
  const hexOnly = plan.columns.every((column) => column.tsv === 'hex');
  if (hexOnly || plan.insertsOnly || measured.estimatedBytes < sizes.smallTable) return { plan: measured, way: 'together', ranges: [] };
  return { plan: measured, way: 'flow', ranges: [WHOLE_TABLE] };
}

async function countedSize(session: Session, plan: TablePlan): Promise<TablePlan> {
  const wide = plan.columns.filter((column) => column.wide);
  const sizes = wide.map((column) => `IFNULL(OCTET_LENGTH(${column.select}), 0)`).join(' + ');
  const [row] = await session.texts(`SELECT HIGH_PRIORITY COUNT(*), SUM(${sizes || '0'}) FROM ${quoteName(plan.name)}${plan.history}`);
  const bytes = Number(row?.[0] ?? 0) * 100 + Number(row?.[1] ?? 0) * 2;
  return { ...plan, estimatedBytes: Math.max(plan.estimatedBytes, bytes) };
}

/** Segments that a range should fill at least: each begins and ends with one that is not full. */
const SEGMENTS_A_RANGE = 4;

/**
 * Cuts the tables that would keep one connection busy when the others have nothing left to read. Throws ServerError.
 */
export async function spread(
  session: Session,
  tables: readonly PlannedTable[],
  connections: number,
  sizes: Sizes,
): Promise<PlannedTable[]> {
  const share = tables.reduce((sum, { plan }) => sum + plan.estimatedBytes, 0) / connections;
  const out: PlannedTable[] = [];
  for (const table of tables) {
    const bytes = table.plan.estimatedBytes;
    const pieces = Math.min(connections, Math.floor(bytes / (sizes.segment * SEGMENTS_A_RANGE)));
    // one connection reads all that is locked
    const cut = table.way === 'flow' && !table.plan.locked && bytes > share && pieces > 1;
    out.push(cut ? { ...table, ranges: await cutIntoRanges(session, table.plan, pieces) } : table);
  }
  return out;
}
