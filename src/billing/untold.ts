// Which vaults' checkpoints do not know yet of every statement and correction: until then nothing but this catalog vouches for them.
import type { Kysely } from 'kysely';
import { lastCheckpoint, type Positions } from '../catalog/checkpoint-tables.ts';
import type { Tables } from '../catalog/tables.ts';

/** Ids of the newest, 0: there is none. */
export interface BillingEnd {
  readonly statements: number;
  readonly corrections: number;
}

export async function billingEnd(db: Kysely<Tables>): Promise<BillingEnd> {
  const newest = async (table: 'statements' | 'corrections'): Promise<number> =>
    (await db.selectFrom(table).select('id').orderBy('id', 'desc').limit(1).executeTakeFirst())?.id ?? 0;
  return { statements: await newest('statements'), corrections: await newest('corrections') };
}

/** Those of `vaults` whose newest checkpoint was written before `end`. */
export async function untoldVaults(db: Kysely<Tables>, vaults: readonly string[], end: BillingEnd): Promise<string[]> {
  const untold: string[] = [];
  if (end.statements === 0 && end.corrections === 0) return untold;
  for (const vault of vaults) {
    const told = JSON.parse((await lastCheckpoint(db, vault))?.positions ?? '{}') as Positions;
    if ((told.statements ?? 0) < end.statements || (told.corrections ?? 0) < end.corrections) untold.push(vault);
  }
  return untold;
}
