// Where ledger, anchors, statements and corrections stand, as counts and hashes: what a checkpoint says in the clear.
import type { Kysely } from 'kysely';
import type { Tables } from '../catalog/tables.ts';
import type { LedgerMark } from '../segment/ledger-mark.ts';
import { CHAIN_START } from './chain.ts';
import { correctionsEnd } from './check-corrections.ts';
import type { ChainPlace } from './ledger-page.ts';

export async function billingMark(tx: Kysely<Tables>, { hash, row }: ChainPlace): Promise<Omit<LedgerMark, 'vault' | 'time'>> {
  const anchors = await endOf(tx, 'anchors');
  const statements = await endOf(tx, 'statements');
  const corrections = await correctionsEnd(tx);
  return {
    ...{ row, head: hash, anchors: anchors.count, anchor: anchors.hash },
    ...{ statements: statements.count, statement: statements.hash },
    ...{ corrections: corrections.count, correction: corrections.hash },
  };
}

async function endOf(tx: Kysely<Tables>, name: 'anchors' | 'statements'): Promise<{ readonly count: number; readonly hash: string }> {
  const table = name as 'anchors';
  const { count } = await tx
    .selectFrom(table)
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  const last = await tx.selectFrom(table).select('hash').orderBy('id', 'desc').limit(1).executeTakeFirst();
  return { count: Number(count), hash: last?.hash ?? CHAIN_START };
}
