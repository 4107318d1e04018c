// What a restore in place measured, for the estimate of the next one: each source's phases, and what the whole shop costs beside them.
import type { Catalog } from '../catalog/open.ts';
import { type PhaseFigures, rateHost, recordRates } from '../catalog/rates.ts';
import type { Clock } from '../clock.ts';
import type { ShopConfig } from '../config/config.ts';
import type { SourceKind } from '../source/source.ts';
import type { InPlaceResult, InPlaceStep } from './in-place.ts';

/** What the estimate calls `finish`: all that happens while nothing is loaded. */
const FINISHING: readonly InPlaceStep[] = ['maintenance', 'swap', 'finish', 'check'];

/** Where little differs little is read, and what that takes says nothing of how fast a whole shop comes. */
async function readMost(catalog: Catalog, snapshot: string, readBytes: number): Promise<boolean> {
  const row = await catalog.db.selectFrom('snapshots').select('plainBytes').where('id', '=', snapshot).executeTakeFirst();
  return row !== undefined && readBytes * 2 >= row.plainBytes;
}

/**
 * Keeps them; nothing of one that was rolled back or that went on with another call's work. `safetyMs`: what the safety snapshot took; null:
 * none was taken. What is the whole shop's is kept with its first source, however little was read: it costs the same whatever the size.
 */
export async function recordInPlaceRates(
  catalog: Catalog,
  clock: Clock,
  { shop, runId }: { readonly shop: Pick<ShopConfig, 'name' | 'host'>; readonly runId: string },
  { outcome, restored, steps }: InPlaceResult,
  safetyMs: number | null,
): Promise<void> {
  if (outcome !== 'restored' || !steps.some(({ step }) => step === 'maintenance')) return;
  const ofShop = (bytes: number): PhaseFigures[] => {
    const ms = steps.reduce((sum, { step, durationMs }) => (FINISHING.includes(step) ? sum + durationMs : sum), 0);
    const finish: PhaseFigures = { phase: 'finish', vault: null, bytes, ms };
    return safetyMs === null ? [finish] : [finish, { phase: 'safety', vault: null, bytes, ms: safetyMs }];
  };
  for (const [at, { source, phases, readBytes, snapshot }] of restored.entries()) {
    const own = phases.length > 0 && (await readMost(catalog, snapshot, readBytes)) ? phases : [];
    const of = { host: rateHost(shop.host), shop: shop.name, source: source as SourceKind, kind: 'restore' as const, runId };
    await recordRates(catalog, clock, { ...of, beside: restored.length > 1 }, [...own, ...(at === 0 ? ofShop(readBytes) : [])]);
  }
}
