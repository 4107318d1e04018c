// Who did what, for the auditor. Rows are only ever added.
import type { Clock } from '../clock.ts';
import type { Catalog } from './open.ts';

export interface AuditEntry {
  /** A user name, a token's name, or `coffre` for what the daemon does by itself. */
  readonly who: string;
  /** The verb as on the command line: `prune`, `restore`, `doctor` … */
  readonly what: string;
  readonly shop?: string | null;
  /** Anything that JSON can carry and that holds no secret. */
  readonly detail?: unknown;
}

export async function audit(catalog: Catalog, clock: Clock, entry: AuditEntry): Promise<void> {
  await catalog.transaction((tx) =>
    tx
      .insertInto('audit')
      .values({
        at: clock.nowMs(),
        who: entry.who,
        what: entry.what,
        shop: entry.shop ?? null,
        detail: entry.detail === undefined ? null : JSON.stringify(entry.detail),
      })
      .execute(),
  );
}
