// Which tables go where in a swap, from where each one is now: the same function moves forward, back, and repairs what a crash left.
import { quoteName, quoteText } from './names.ts';
import type { Session } from './session.ts';
import type { SwapNames } from './swap-names.ts';

/** Tables and sequences (not views) that each of the three databases holds now. */
export interface Whereabouts {
  readonly database: ReadonlySet<string>;
  readonly scratch: ReadonlySet<string>;
  readonly old: ReadonlySet<string>;
}

export interface Moves {
  readonly away: readonly string[];
  readonly into: readonly string[];
}

type Side = keyof SwapNames;
interface Move {
  readonly table: string;
  readonly from: Side;
  readonly to: Side;
}

/** Throws ServerError. */
export async function findTables(session: Session, names: SwapNames): Promise<Whereabouts> {
  const of = async (schema: string): Promise<ReadonlySet<string>> =>
    new Set(
      (
        await session.texts(
          `SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=${quoteText(schema)} AND TABLE_TYPE NOT LIKE '%VIEW'`,
        )
      ).map(([name]) => name as string),
    );
  return { database: await of(names.database), scratch: await of(names.scratch), old: await of(names.old) };
}

/** What is still to be done to have the new tables in. Empty: they are. */
export function movesForward({ away, into }: Moves, now: Whereabouts): readonly Move[] {
  return [
    ...away.filter((table) => !now.old.has(table)).map((table) => ({ table, from: 'database', to: 'old' }) as const),
    ...into.filter((table) => now.scratch.has(table)).map((table) => ({ table, from: 'scratch', to: 'database' }) as const),
  ];
}

/** What is to be done to have the old tables back. Empty: they are where they were. */
export function movesBack({ away, into }: Moves, now: Whereabouts): readonly Move[] {
  return [
    // an old table that has not left must not be taken for its successor, even if that is gone
    ...into
      .filter((table) => !now.scratch.has(table) && now.database.has(table) && (!away.includes(table) || now.old.has(table)))
      .map((table) => ({ table, from: 'database', to: 'scratch' }) as const),
    ...away.filter((table) => now.old.has(table)).map((table) => ({ table, from: 'old', to: 'database' }) as const),
  ];
}

/** One statement for all: readers see all old tables or all new ones. */
export function renameStatement(names: SwapNames, moves: readonly Move[]): string {
  const place = (side: Side, table: string): string => `${quoteName(names[side])}.${quoteName(table)}`;
  return `RENAME TABLE ${moves.map(({ table, from, to }) => `${place(from, table)} TO ${place(to, table)}`).join(', ')}`;
}
