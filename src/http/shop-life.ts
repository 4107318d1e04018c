// A shop's life: administrators pause, suspend and resume it, the billing module suspends and resumes for payment, and nothing else. Closing
// and erasing stay with the command line: they are signed.

import type { Kysely } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';
import { changeLife, readLife, type ShopLife } from '../catalog/shop-life.ts';
import type { Tables } from '../catalog/tables.ts';
import { CoffreError } from '../errors.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { instant, reason, shopName } from './fields.ts';
import { ADMIN, BILLING } from './principal.ts';
import type { Api } from './routes.ts';
import { readShop, shopDocument } from './shops.ts';

const params = z.object({ shop: shopName });
const orReason = z.strictObject({ reason: reason.nullable().default(null) });
/** A request without a body gives no reason. */
const orNothing = orReason.nullish();

export function registerShopLife(api: Api, service: Service): void {
  const { catalog, clock } = service;
  api.post(
    '/v1/shops/:shop/suspend',
    {
      config: { access: BILLING },
      schema: {
        tags: ['shops'],
        summary: 'no new backups; the newest good one of each source is kept for 30 days, then everything goes as its locks end',
        params,
        body: orNothing,
        response: { 200: shopDocument },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { shop } = await readShop(service, principal, request.params.shop);
      await changeLife(catalog, clock, shop, { verb: 'suspend' }, { who: principal.who, reason: request.body?.reason ?? null });
      return await readShop(service, principal, shop);
    },
  );
  api.post(
    '/v1/shops/:shop/pause',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['shops'],
        summary: 'scheduled backups wait until then, or until the shop is resumed',
        params,
        body: z
          .strictObject({ ...orReason.shape, until: instant.nullable().default(null).describe('null: until it is resumed') })
          .nullish(),
        response: { 200: shopDocument },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { shop } = await readShop(service, principal, request.params.shop);
      const { reason: why, until } = request.body ?? { reason: null, until: null };
      const untilMs = until === null ? null : Temporal.Instant.from(until).epochMilliseconds;
      await service.pause(shop, { who: principal.who, reason: why, until: untilMs });
      return await readShop(service, principal, shop);
    },
  );
  api.post(
    '/v1/shops/:shop/resume',
    {
      config: { access: BILLING },
      schema: {
        tags: ['shops'],
        summary:
          'end a pause, a suspension or a closing: backups are taken again; of the role billing a suspension alone, that was not ordered by an administrator',
        params,
        body: orNothing,
        response: { 200: shopDocument },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { shop, declared } = await readShop(service, principal, request.params.shop);
      const by = { who: principal.who, reason: request.body?.reason ?? null };
      const life = await readLife(catalog.db, shop);
      const { state } = life;
      if (principal.role === 'billing') {
        // what people ordered for other reasons than payment is theirs to end, pauses too
        if (state === 'active') return await readShop(service, principal, shop);
        if (state !== 'suspended' || !(await isBilling(catalog.db, life)))
          throw new CoffreError('E_SHOP_STATE', 'this was not ordered for billing: an administrator has to resume it');
        await changeLife(catalog, clock, shop, { verb: 'resume' }, by);
        return await readShop(service, principal, shop);
      }
      if (state !== 'active') await changeLife(catalog, clock, shop, { verb: 'resume' }, by);
      if (declared) await service.resume(shop, by);
      return await readShop(service, principal, shop);
    },
  );
}

/** Whether it was ordered with a token of the role billing: by the one that had the name then, whoever has it now. */
async function isBilling(db: Kysely<Tables>, { since, who }: ShopLife): Promise<boolean> {
  if (!who.startsWith('token:')) return false;
  const row = await db
    .selectFrom('tokens')
    .select('role')
    .where('name', '=', who.slice('token:'.length))
    .where('createdAt', '<=', since)
    .where((eb) => eb.or([eb('revokedAt', 'is', null), eb('revokedAt', '>=', since)]))
    .orderBy('createdAt', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.role === 'billing';
}
