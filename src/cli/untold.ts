// Says on stderr that what was issued or corrected is in no checkpoint yet, and who writes one.
import { billingEnd, untoldVaults } from '../billing/untold.ts';
import type { Catalog } from '../catalog/open.ts';
import type { CliContext, Invocation } from './context.ts';

/** Nothing when every vault's checkpoint knows of it. What goes to stdout may be CSV or a page. */
export async function sayUntold({ io }: CliContext, invocation: Invocation, { db }: Catalog): Promise<void> {
  const { checkpointVaults } = await import('../backup/checkpoint.ts');
  const vaults = await untoldVaults(db, checkpointVaults(invocation.config()), await billingEnd(db));
  if (vaults.length === 0) return;
  const daemon = await invocation.daemon();
  const who =
    daemon === null ? 'no daemon runs: coffre catalog checkpoint writes one' : 'the daemon writes one within a quarter of an hour at most';
  io.err(`No checkpoint in ${vaults.join(', ')} knows of it yet; ${who}.\n`);
}
