// Shops: which there are, and how each stands.
import * as z from 'zod';
import { listHolds } from '../catalog/holds.ts';
import { shopsHeld, vaultsHolding } from '../catalog/live-objects.ts';
import { listPauses, type Pause } from '../catalog/pauses.ts';
import { ACTIVE, listLives, readLife } from '../catalog/shop-life.ts';
import { nextTurn } from '../clock.ts';
import { lifeDocument } from '../retention/life-document.ts';
import { readStatus } from '../schedule/read-status.ts';
import type { Service } from '../schedule/service.ts';
import type { ShopStatus } from '../schedule/status.ts';
import { DAEMON_PREFIX } from '../segment/layout.ts';
import { principalOf } from './auth.ts';
import { bytes, instant, instantOf, instantOrNull, shopName, sourceKind } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { isTold, maySee, type Principal, requireShop, unknownShop, WATCHING } from './principal.ts';
import type { Api } from './routes.ts';

const pauseDocument = z.object({ since: instant, until: instant.nullable(), who: z.string().nullable(), reason: z.string().nullable() });

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

const statusDocument = z.object({
  shop: shopName,
  ok: z.boolean(),
  life: z.object({
    state: z.string(),
    keptUntil: instant.nullable(),
    holds: z.array(z.string()).optional().describe('reasons of the legal holds in force; for administrators'),
  }),
  sources: z.array(
    z.object({
      source: sourceKind,
      newestGood: z
        .object({ id: z.string(), asOf: instant, ageMs: z.int(), vaults: z.array(z.string()), lockedUntil: instant.nullable() })
        .nullable(),
      lastRun: z.object({ state: z.string(), startedAt: instant, error: z.string().nullable() }).nullable(),
      nextRun: instant.nullable(),
      dueSince: instant.nullable(),
    }),
  ),
  copies: z.object({
    copies: z.int(),
    media: z.array(z.string()),
    offsite: z.array(z.string()),
    immutable: z.array(z.string()),
    verifyErrors: z.int(),
    ok: z.boolean(),
    vaults: z.array(
      z.object({
        vault: z.string(),
        media: z.string(),
        offsite: z.boolean(),
        holds: z.boolean(),
        lock: z.object({ mode: z.string(), retainUntil: instant }).nullable(),
      }),
    ),
  }),
  quota: z.object({ usedBytes: bytes, limitBytes: bytes.nullable() }),
  rto: z.object({ targetMs: z.int(), measured: z.object({ bytes, durationMs: z.int() }).nullable() }),
  lacking: z
    .array(
      z.object({
        vault: z.string(),
        missing: z.array(z.string()),
        damaged: z.array(z.string()),
        reason: z.object({ code: z.string(), message: z.string(), at: instant }).nullable(),
      }),
    )
    .optional()
    .describe('what a catch-up brings; for administrators'),
  incidents: z
    .array(
      z.object({
        ...{ id: z.string(), vault: z.string(), kind: z.string(), key: z.string(), detail: z.string().nullable() },
        ...{ firstSeen: instant, lastSeen: instant },
      }),
    )
    .optional()
    .describe('for administrators'),
  reading: z
    .object({
      withinMs: z.int(),
      vaults: z.array(z.object({ vault: z.string(), storedBytes: bytes, readBytes: bytes, overdueBytes: bytes })),
    })
    .nullable()
    .optional()
    .describe('how much was read back within verify.readWithin; for administrators'),
  red: z.array(z.string()).optional().describe('what is red, in words; for administrators'),
  notes: z.array(z.string()).optional().describe('worth knowing, not red; for administrators'),
});

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
  api.get(
    '/v1/shops/:shop/status',
    {
      config: { access: WATCHING },
      schema: {
        tags: ['shops'],
        summary: 'how a shop stands: its newest good snapshots, its copies, its recovery time, and what is red',
        params: z.object({ shop: shopName }),
        response: { 200: statusDocument },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { shop } = request.params;
      const { config } = service;
      requireShop(principal, shop, (name) => config.shops.has(name));
      return await statusOfShop(service, principal, shop);
    },
  );
  api.get(
    '/v1/status',
    {
      config: { access: WATCHING },
      schema: {
        tags: ['shops'],
        summary: 'how all declared shops stand, by name; ok: none of this page is red',
        querystring: z.strictObject(pageQuery),
        response: { 200: z.object({ ok: z.boolean(), shops: z.array(statusDocument), next: nextField }) },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { cursor, limit } = request.query;
      const after = decodeCursor(cursor, z.string());
      const names = [...service.config.shops.keys()].filter((name) => maySee(principal, name) && (after === null || name > after)).sort();
      const { rows, next } = pageOf(names, limit, (name) => name);
      const shops: z.output<typeof statusDocument>[] = [];
      for (const name of rows) {
        if (!service.config.shops.has(name)) continue;
        shops.push(await statusOfShop(service, principal, name));
        // the catalog answers without leaving this thread: whoever else asks has their turn in between
        await nextTurn();
      }
      // no shop at all: nothing is backed up, and that is not well
      return { ok: names.length > 0 && shops.every(({ ok }) => ok), shops, next };
    },
  );
}

/** Throws E_UNKNOWN_SHOP. */
export async function readShop(service: Service, principal: Principal, name: string): Promise<ShopDocument> {
  // before anything is looked up
  if (!maySee(principal, name) || `${name}/` === DAEMON_PREFIX) throw unknownShop();
  const { db } = service.catalog;
  const isKnown = service.config.shops.has(name) || (await readLife(db, name)) !== ACTIVE || (await vaultsHolding(db, name)).length > 0;
  const [found] = isKnown ? await describeShops(service, principal, [name]) : [];
  if (found === undefined) throw unknownShop();
  return found;
}

/** Shops that are declared, or of which something is held or was ever said; those that may be seen, by name. */
async function visibleShops({ catalog: { db }, config }: Service, principal: Principal): Promise<string[]> {
  const names = new Set([...config.shops.keys(), ...(await listLives(db)).keys(), ...(await shopsHeld(db))]);
  return [...names].filter((name) => maySee(principal, name) && `${name}/` !== DAEMON_PREFIX).sort();
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

async function statusOfShop(service: Service, principal: Principal, name: string): Promise<z.output<typeof statusDocument>> {
  const { catalog, clock, config } = service;
  const shop = config.shops.get(name);
  if (shop === undefined) throw unknownShop();
  const status = await readStatus(config, catalog, shop, clock.nowMs());
  const all = mutable(status);
  if (principal.role !== 'client') return all;
  const { lacking: _lacking, incidents: _incidents, reading: _reading, red: _red, notes: _notes, life, ...open } = all;
  return { ...open, life: { state: life.state, keptUntil: life.keptUntil } };
}

/** Schemas know no readonly arrays. */
const mutable = (status: ShopStatus): Required<z.output<typeof statusDocument>> =>
  status as unknown as Required<z.output<typeof statusDocument>>;
