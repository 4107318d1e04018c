// What a swap is to do, read from both databases before anything of it is done: which tables go, which come, and what hangs on them.
import { listContents } from './contents.ts';
import { JOURNAL_TABLE as LOAD_JOURNAL } from './journal.ts';
import type { Session } from './session.ts';
import type { SwapPlan } from './swap-journal.ts';
import type { SwapNames } from './swap-names.ts';
import { readPrograms, readProperties } from './swap-programs.ts';
import { readInbound } from './swap-references.ts';

/** `tables`: the only ones that are to come; null: all. `keepOld`: the old ones are not dropped at the end. Changes nothing. */
export async function planSwap(
  session: Session,
  names: SwapNames,
  { tables, keepOld }: { readonly tables: readonly string[] | null; readonly keepOld: boolean },
): Promise<SwapPlan> {
  const { database, scratch } = names;
  const old = await listContents(session, database);
  const loaded = await listContents(session, scratch);
  const wanted = (name: string): boolean => name !== LOAD_JOURNAL && (tables === null || tables.includes(name));
  const away = [...old.tables, ...old.sequences].filter((name) => tables === null || tables.includes(name));
  const into = [...loaded.tables, ...loaded.sequences].filter(wanted);
  const inbound = await readInbound(session, names, new Set(away));
  return {
    keepOld,
    tables,
    away,
    into,
    programs: await readPrograms(session, database, tables && new Set(tables)),
    oldProperties: await readProperties(session, database),
    newProperties: await readProperties(session, scratch),
    foreignKeys: inbound.filter((key) => into.includes(key.toTable)),
  };
}
