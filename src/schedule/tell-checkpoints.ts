// The daemon has a checkpoint written as soon as a statement or a correction is in none: the daily one may be a day away.

import { checkpointVaults } from '../backup/checkpoint.ts';
import { type BillingEnd, billingEnd, untoldVaults } from '../billing/untold.ts';
import { asCoffreError } from '../errors.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import type { Service } from './service.ts';

/** What was ordered last, and when by the monotonic clock. */
export interface Told {
  readonly end: BillingEnd;
  readonly atMs: number;
}

/** Whoever issues dozens one by one gets two checkpoints, not dozens: each is locked for more than a year. */
const NEXT_AFTER_MS = 15 * 60_000;
/** One that failed is red in status, and is tried again. */
const AGAIN_AFTER_MS = 3_600_000;

/** One look: orders a checkpoint when one is due. Returns what is to be handed in the next time. Never throws. */
export async function tellCheckpoints(
  service: Pick<Service, 'catalog' | 'clock' | 'config' | 'log' | 'submit'>,
  told: Told | null,
): Promise<Told | null> {
  const { catalog, clock, config, log } = service;
  try {
    const end = await billingEnd(catalog.db);
    const atMs = clock.monotonicMs();
    if (told !== null) {
      const isSame = told.end.statements === end.statements && told.end.corrections === end.corrections;
      if (atMs - told.atMs < (isSame ? AGAIN_AFTER_MS : NEXT_AFTER_MS)) return told;
    }
    if ((await untoldVaults(catalog.db, checkpointVaults(config), end)).length === 0) return told;
    await service.submit({ kind: 'checkpoint', shop: DAEMON_SHOP }, 'coffre');
    return { end, atMs };
  } catch (error) {
    const { code, message } = asCoffreError(error);
    if (code !== 'E_INTERRUPTED') log.error({ event: 'checkpoint.failed', code }, message);
    return told;
  }
}
