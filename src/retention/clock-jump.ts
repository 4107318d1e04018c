// Whether our own clock may have jumped ahead: where no vault has a clock of its own, only the history of runs can contradict it.
import { Temporal } from 'temporal-polyfill';
import { type Recorded, recordLook } from '../catalog/incidents.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { clockJumpMs } from './margins.ts';

/** Epoch milliseconds, by our clock: nothing ran in between. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

/** The latest time without any run, of any shop, that was suspiciously long and ended within the window before `nowMs`; null: none. */
export async function suspiciousGap(catalog: Catalog, nowMs: number, retentionMs: number): Promise<Gap | null> {
  const since = nowMs - retentionMs;
  const before = await catalog.db
    .selectFrom('runs')
    .select((eb) => eb.fn.max('startedAt').as('last'))
    .where('startedAt', '<', since)
    .executeTakeFirstOrThrow();
  const rows = await catalog.db
    .selectFrom('runs')
    .select('startedAt')
    .where('startedAt', '>=', since)
    // what is still to come was written under a clock that was wrong then and is not now
    .where('startedAt', '<=', nowMs)
    .orderBy('startedAt')
    .execute();
  let from = before.last as number | null;
  let found: Gap | null = null;
  for (const to of [...rows.map((row) => row.startedAt), nowMs]) {
    if (from !== null && to - from > clockJumpMs(retentionMs)) found = { from, to };
    from = to;
  }
  return found;
}

/**
 * For a shop none of whose vaults has a clock of its own. An incident for each vault that somebody must acknowledge: a machine that was
 * off looks like a clock that jumped, and only a person knows. Throws E_CLOCK_JUMP until then.
 */
export async function requireNoJump(
  catalog: Catalog,
  clock: Clock,
  request: { readonly vaults: readonly string[]; readonly nowMs: number; readonly retentionMs: number; readonly who: string },
): Promise<void> {
  const { vaults, nowMs, retentionMs, who } = request;
  const gap = await suspiciousGap(catalog, nowMs, retentionMs);
  if (gap === null) return;
  const [from, to] = [clockText(gap.from), clockText(gap.to)];
  const detail = `by our clock nothing ran from ${from} to ${to}: it jumped ahead, or the machine was off`;
  // the name of the incident is the gap, whatever shop finds it
  const sighting = { kind: 'clock', key: '', versionId: `until ${to}`, sizeBytes: 0, detail } as const;
  let open = 0;
  for (const vault of vaults) {
    const look = { vault, shop: DAEMON_SHOP, kinds: [], sightings: [sighting], who };
    const { unacknowledged }: Recorded = await recordLook(catalog, clock, look);
    open += unacknowledged.length;
  }
  if (open > 0)
    throw new CoffreError('E_CLOCK_JUMP', `${detail}; no vault that answers has a clock to compare with, and nothing is given up`);
}

const clockText = (ms: number): string => Temporal.Instant.fromEpochMilliseconds(ms).toString({ smallestUnit: 'second' });
