// A shop's life as administrators change it: suspended, paused, resumed. Closing and erasing stay with the command line: they are signed.

import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';
import { changeLife, readLife } from '../catalog/shop-life.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { instant, reason, shopName } from './fields.ts';
import { ADMIN } from './principal.ts';
import type { Api } from './routes.ts';
import { readShop, shopDocument } from './shops.ts';

const params = z.object({ shop: shopName });
const orReason = z.strictObject({ reason: reason.nullable().default(null) });

export function registerShopLife(api: Api, service: Service): void {
  const { catalog, clock } = service;
  api.post(
    '/v1/shops/:shop/suspend',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['shops'],
        summary: 'no new backups; the newest good one of each source is kept for 30 days, then everything goes as its locks end',
        params,
        body: orReason,
        response: { 200: shopDocument },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { shop } = await readShop(service, principal, request.params.shop);
      await changeLife(catalog, clock, shop, { verb: 'suspend' }, { who: principal.who, reason: request.body.reason });
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
        body: z.strictObject({ ...orReason.shape, until: instant.nullable().default(null).describe('null: until it is resumed') }),
        response: { 200: shopDocument },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { shop } = await readShop(service, principal, request.params.shop);
      const { reason: why, until } = request.body;
      const untilMs = until === null ? null : Temporal.Instant.from(until).epochMilliseconds;
      await service.pause(shop, { who: principal.who, reason: why, until: untilMs });
      return await readShop(service, principal, shop);
    },
  );
  api.post(
    '/v1/shops/:shop/resume',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['shops'],
        summary: 'end a pause, a suspension or a closing: backups are taken again',
        params,
        body: orReason,
        response: { 200: shopDocument },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { shop, declared } = await readShop(service, principal, request.params.shop);
      const by = { who: principal.who, reason: request.body.reason };
      const { state } = await readLife(catalog.db, shop);
      if (state !== 'active') await changeLife(catalog, clock, shop, { verb: 'resume' }, by);
      if (declared) await service.resume(shop, by);
      return await readShop(service, principal, shop);
    },
  );
}
