// Shops: which there are, and how each stands.
import * as z from 'zod';
import { listHolds } from '../catalog/holds.ts';
import { shopsHeld, vaultsHolding } from '../catalog/live-objects.ts';
import { listPauses, type Pause } from '../catalog/pauses.ts';
import { ACTIVE, listLives, readLife } from '../catalog/shop-life.ts';
import { lifeDocument } from '../retention/life-document.ts';
import type { Service } from '../schedule/service.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { principalOf } from './auth.ts';
import { instant, instantOf, instantOrNull, shopName, sourceKind } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { isTold, maySee, type Principal, unknownShop, WATCHING } from './principal.ts';
import type { Api } from './routes.ts';

export const pauseDocument = z.object({
  since: instant,
  until: instant.nullable(),
  who: z.string().nullable(),
  reason: z.string().nullable(),
});

export const shopDocument = z.object({
  shop: shopName,
  declared: z.boolean().describe('false: it is in the configuration no more, and vaults still hold something of it'),
  plan: z.string().nullable(),
  sources: z.array(sourceKind),
  vaults: z.array(z.string()),
  state: z.enum(['active', 'suspended', 'closing', 'erased']),
  since: instant.nullable(),
  endsAt: instant.nullable().describe('of a closing shop'),
  keptUntil: instant.nullable().describe('when everything of it begins to go; null: nobody knows of an end'),
  who: z.string().nullable().describe('who changed its state last; for administrators'),
  reason: z.string().nullable().describe('for administrators'),
  holds: z.int().nullable().describe('legal holds in force; for administrators'),
  paused: pauseDocument.nullable().describe('its scheduled backups wait'),
});

export type ShopDocument = z.output<typeof shopDocument>;

export function registerShops(api: Api, service: Service): void {
  api.get(
    '/v1/shops',
    {
      config: { access: WATCHING },
      schema: {
        tags: ['shops'],
        summary: 'shops, by name',
        querystring: z.strictObject(pageQuery),
        response: { 200: z.object({ shops: z.array(shopDocument), next: nextField }) },
      },
    },
    async (request) => {
      const { cursor, limit } = request.query;
      const after = decodeCursor(cursor, z.string());
      const principal = principalOf(request);
      const names = (await visibleShops(service, principal)).filter((name) => after === null || name > after);
      const { rows, next } = pageOf(names, limit, (name) => name);
      return { shops: await describeShops(service, principal, rows), next };
    },
  );
  api.get(
    '/v1/shops/:shop',
    {
      config: { access: WATCHING },
      schema: { tags: ['shops'], summary: 'one shop', params: z.object({ shop: shopName }), response: { 200: shopDocument } },
    },
    async (request) => await readShop(service, principalOf(request), request.params.shop),
  );
}

/** Throws E_UNKNOWN_SHOP. */
export async function readShop(service: Service, principal: Principal, name: string): Promise<ShopDocument> {
  // before anything is looked up
  if (!maySee(principal, name) || name === DAEMON_SHOP) throw unknownShop();
  const { db } = service.catalog;
  const isKnown = service.config.shops.has(name) || (await readLife(db, name)) !== ACTIVE || (await vaultsHolding(db, name)).length > 0;
  const [found] = isKnown ? await describeShops(service, principal, [name]) : [];
  if (found === undefined) throw unknownShop();
  return found;
}

/** Shops that are declared, or of which something is held or was ever said; those that may be seen, by name. */
async function visibleShops({ catalog: { db }, config }: Service, principal: Principal): Promise<string[]> {
  const names = new Set([...config.shops.keys(), ...(await listLives(db)).keys(), ...(await shopsHeld(db))]);
  return [...names].filter((name) => maySee(principal, name) && name !== DAEMON_SHOP).sort();
}

async function describeShops({ catalog, clock, config }: Service, principal: Principal, names: readonly string[]): Promise<ShopDocument[]> {
  const lives = await listLives(catalog.db);
  const holds = await listHolds(catalog.db, { shop: names.length === 1 ? names[0] : undefined });
  const pauses = await listPauses(catalog, clock.nowMs());
  const told = isTold(principal);
  return names.map((shop) => {
    const declared = config.shops.get(shop);
    const life = lifeDocument(lives.get(shop) ?? ACTIVE);
    const pause = pauses.get(shop);
    return {
      ...{ shop, declared: declared !== undefined, plan: declared?.plan.name ?? null },
      sources: (['database', 'files', 'server'] as const).filter((source) => declared?.[source]),
      vaults: [...(declared?.vaults ?? [])],
      ...life,
      ...{ who: told ? life.who : null, reason: told ? life.reason : null },
      holds: told ? holds.filter((hold) => hold.shop === shop).length : null,
      paused: pause === undefined ? null : pauseFor(pause, told),
    };
  });
}

const pauseFor = ({ since, until, who, reason }: Pause, told: boolean): z.output<typeof pauseDocument> => ({
  ...{ since: instantOf(since), until: instantOrNull(until) },
  ...{ who: told ? who : null, reason: told ? reason : null },
});
