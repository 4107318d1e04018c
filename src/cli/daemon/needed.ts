// The daemon, for what cannot be done without one.
import { CoffreError } from '../../errors.ts';
import type { Invocation } from '../context.ts';
import type { DaemonClient } from './client.ts';

export const noDaemon = (why: string): CoffreError =>
  new CoffreError('E_DAEMON_UNREACHABLE', `no daemon runs: ${why}`, { hint: 'systemctl start coffre, or coffre daemon, starts one' });

/** To read through it what this user may not read (`readsCatalog`). Throws E_DAEMON_UNREACHABLE when none runs, and what finding it throws. */
export async function neededDaemon(invocation: Pick<Invocation, 'daemon'>): Promise<DaemonClient> {
  const daemon = await invocation.daemon();
  if (daemon === null) throw noDaemon('only it, and root, may read its state');
  return daemon;
}
