// Decides how a table's rows are selected, and by which key they can be walked over.

import { isGeometry } from '../../target/mariadb/geometry.ts';
import { quoteName } from '../../target/mariadb/names.ts';
import type { Cell } from '../../target/mariadb/session.ts';
import { SEGMENT_TARGET_BYTES } from '../source.ts';
import { type ColumnPlan, isOrdered, keyLiteral, planColumn } from './columns.ts';
import type { IndexInfo, ServerInfo, TableInfo } from './schema.ts';

/** A unique key whose order can be followed with comparisons. */
export interface KeyPlan {
  readonly index: string;
  /** Positions in the table plan's columns. */
  readonly at: readonly number[];
}

export interface TablePlan {
  readonly name: string;
  /** What is selected and inserted, in table order but for the last one: a column that .tsv holds as text, if there is any. */
  readonly columns: readonly ColumnPlan[];
  readonly key: KeyPlan | null;
  /** ` FOR SYSTEM_TIME ALL` when history is read. */
  readonly history: string;
  /** Columns of ENUM type, whose error value no text stands for. */
  readonly enums: readonly string[];
  readonly estimatedBytes: number;
  /** A lock holds it still, not the snapshot. */
  readonly locked: boolean;
  /** The server's own LOAD DATA refuses the table: its rows travel as INSERTs, however many there are. */
  readonly insertsOnly: boolean;
  /** The definition that the rows belong to. */
  readonly create: string;
}

/** How rows are spread over segments, in bytes of plaintext. */
export interface Sizes {
  /** Tables below this travel together in the data segments. */
  readonly smallTable: number;
  /** What a segment should hold. A part may reach one and a half times this, and never more but for a single row. */
  readonly segment: number;
}

export const DEFAULT_SIZES: Sizes = { smallTable: 1024 * 1024, segment: SEGMENT_TARGET_BYTES };

/** What is estimated for a row when the server knows nothing. */
const DEFAULT_ROW_BYTES = 100;

export function planTable(table: TableInfo, locked: boolean, server: Pick<ServerInfo, 'mariadb'>): TablePlan {
  const columns = table.columns.filter((column) => !column.generated).map(planColumn);
  if (table.period) {
    for (const name of [table.period.start, table.period.end]) {
      columns.push(planColumn({ name, type: 'timestamp', charset: null, nullable: false, generated: false }));
    }
  }
  // LOAD DATA warns of a row that ends too soon only when its last field goes straight into a column.
  const last = columns.findLastIndex((column) => column.tsv === 'text');
  if (last >= 0) columns.push(...columns.splice(last, 1));
  return {
    name: table.name,
    columns,
    // With history a key's value stands in several rows.
    key: table.period
      ? null
      : usableKey(
          table.indexes,
          columns,
          table.columns.filter((c) => c.nullable).map((c) => c.name),
        ),
    history: table.period ? ' FOR SYSTEM_TIME ALL' : '',
    enums: table.columns.filter((column) => column.type === 'enum' && !column.generated).map((column) => column.name),
    estimatedBytes: Math.max(table.dataBytes ?? 0, (table.rows ?? 0) * DEFAULT_ROW_BYTES),
    locked,
    insertsOnly: !server.mariadb && table.columns.some(({ type, nullable, generated }) => isGeometry(type) && !nullable && !generated),
    create: table.create,
  };
}

function usableKey(indexes: readonly IndexInfo[], columns: readonly ColumnPlan[], nullable: readonly string[]): KeyPlan | null {
  for (const index of indexes) {
    const at = index.columns.map((part) => columns.findIndex((column) => column.name === part.name));
    const fits = index.columns.every((part, position) => {
      const column = columns[at[position] as number];
      return column !== undefined && !part.prefix && !part.nullable && !nullable.includes(part.name) && isOrdered(column.type);
    });
    if (index.unique && fits) return { index: index.name, at };
  }
  return null;
}

/**
 * Column list and source of a SELECT over `plan`, without conditions. Every SELECT of a reading has high priority, which matters to
 * engines without transactions alone: another reader waits behind a writer who waits for our own LOCK TABLES, for ever (tried on
 * 10.11).
 */
export function selectFrom(plan: TablePlan, extra: readonly string[] = []): string {
  const list = [...plan.columns.map((column) => column.select), ...extra];
  const force = plan.key && plan.history === '' ? ` FORCE INDEX (${quoteName(plan.key.index)})` : '';
  return `SELECT HIGH_PRIORITY ${list.length > 0 ? list.join(', ') : '1'} FROM ${quoteName(plan.name)}${plan.history}${force}`;
}

export function keyNames(plan: TablePlan, key: KeyPlan): string[] {
  return key.at.map((at) => quoteName((plan.columns[at] as ColumnPlan).name));
}

/** `a > 1 OR (a = 1 AND b > 2)`: rows after the one whose key is `after`, as an index can find them. */
export function afterKey(plan: TablePlan, key: KeyPlan, after: readonly Cell[]): string {
  const names = keyNames(plan, key);
  const literals = key.at.map((at, index) => keyLiteral(plan.columns[at] as ColumnPlan, after[index] as Buffer));
  let condition = '';
  for (let index = names.length - 1; index >= 0; index--) {
    const here = `${names[index]} > ${literals[index]}`;
    condition = condition === '' ? here : `(${here} OR (${names[index]} = ${literals[index]} AND ${condition}))`;
  }
  return condition;
}

export function equalsKey(plan: TablePlan, key: KeyPlan, value: readonly Cell[]): string {
  return keyNames(plan, key)
    .map((name, index) => `${name} = ${keyLiteral(plan.columns[key.at[index] as number] as ColumnPlan, value[index] as Buffer)}`)
    .join(' AND ');
}
