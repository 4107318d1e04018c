// What is found altered or gone by whoever looks at single objects, as incidents: the time in which a client is to be told runs from there.
import type { Clock } from '../clock.ts';
import { recordLook, type Sighting } from './incidents.ts';
import { versionRow } from './object-version.ts';
import type { Catalog } from './open.ts';

const KINDS: ReadonlyMap<string, 'altered' | 'missing'> = new Map([
  ['E_OBJECT_ALTERED', 'altered'],
  ['E_OBJECT_MISSING', 'missing'],
]);

export interface DamagedObject {
  readonly key: string;
  readonly versionId: string | null;
  readonly sizeBytes: number;
  readonly code: string;
  readonly detail: string;
}

export interface DamageFound {
  readonly vault: string;
  readonly shop: string;
  readonly objects: readonly DamagedObject[];
  /** For the audit. */
  readonly who: string;
}

/**
 * An incident for each object that is altered or missing, under the name by which a reconciliation knows it: one thing is one incident,
 * and of one case. Of what was pruned or stored anew meanwhile there is none.
 */
export async function recordDamageFound(catalog: Catalog, clock: Clock, { objects, shop, vault, who }: DamageFound): Promise<void> {
  const sightings: Sighting[] = [];
  for (const { code, detail, key, sizeBytes, versionId } of objects) {
    const kind = KINDS.get(code);
    if (kind === undefined || versionId === null) continue;
    if ((await versionRow(catalog.db, { vault, key, versionId }))?.state !== 'stored') continue;
    sightings.push({ kind, key, versionId, sizeBytes, detail });
  }
  // no kinds: not everything was looked at, so nothing is gone
  if (sightings.length > 0) await recordLook(catalog, clock, { vault, shop, kinds: [], sightings, who });
}
