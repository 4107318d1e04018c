// Legal holds: placed, listed, released.
import * as z from 'zod';
import { holdDocument, pageOfHolds, placeHold, releaseHold } from '../catalog/holds.ts';
import { asCoffreError } from '../errors.ts';
import type { Service } from '../schedule/service.ts';
import { newId } from '../segment/id.ts';
import { principalOf } from './auth.ts';
import { flag, idField, instant, reason, shopName } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { ADMIN, notFound } from './principal.ts';
import type { Api } from './routes.ts';
import { readShop } from './shops.ts';

const holdFields = z.object({
  ...{ id: idField, shop: z.string(), snapshot: idField.nullable().describe('null: everything of the shop'), reason: z.string() },
  ...{ placedAt: instant.nullable(), placedBy: z.string() },
  ...{ releasedAt: instant.nullable(), releasedBy: z.string().nullable(), releaseReason: z.string().nullable() },
});

export function registerHolds(api: Api, service: Service): void {
  const { catalog, clock } = service;
  api.get(
    '/v1/holds',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['holds'],
        summary: 'legal holds in force, newest first',
        querystring: z.strictObject({
          ...pageQuery,
          shop: shopName.optional(),
          all: flag.describe('released ones too'),
        }),
        response: { 200: z.object({ holds: z.array(holdFields), next: nextField }) },
      },
    },
    async (request) => {
      const { all, cursor, limit, shop } = request.query;
      const before = decodeCursor(cursor, idField);
      const found = await pageOfHolds(catalog.db, { shop, released: all, before: before ?? undefined, limit: limit + 1 });
      const { rows, next } = pageOf(found, limit, ({ id }) => id);
      return { holds: rows.map(holdDocument), next };
    },
  );
  api.post(
    '/v1/holds',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['holds'],
        summary: 'hold a snapshot, or everything of a shop: it is kept, and a prune that begins at once moves its locks ahead',
        body: z.strictObject({ shop: shopName, snapshot: idField.nullable().default(null), reason }),
        response: {
          201: z.object({
            hold: holdFields,
            run: idField.nullable().describe('the prune that moves the locks ahead; null: none could be queued, the daily one does it'),
          }),
        },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const { snapshot, reason: why } = request.body;
      const { shop } = await readShop(service, principal, request.body.shop);
      const row = await placeHold(catalog, clock, { id: newId(clock), shop, snapshotId: snapshot, reason: why, who: principal.who });
      // a hold must not begin with a night without a lock
      const run = await service.submit({ kind: 'prune', shop }, principal.who).catch((error: unknown) => {
        // it is placed: whoever is told that it failed would place another one
        const { code } = asCoffreError(error);
        service.log.error({ event: 'http.failed', method: 'POST', route: '/v1/holds', code, err: error }, 'no prune was queued for a hold');
        return null;
      });
      return reply.code(201).send({ hold: holdDocument(row), run });
    },
  );
  api.post(
    '/v1/holds/:hold/release',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['holds'],
        summary: 'lift a hold: what it kept goes by its window from then on',
        params: z.object({ hold: idField }),
        body: z.strictObject({ reason }),
        response: { 200: holdFields },
      },
    },
    async (request) => {
      const { hold } = request.params;
      const known = await catalog.db.selectFrom('holds').select('id').where('id', '=', hold).executeTakeFirst();
      if (known === undefined) throw notFound('hold');
      return holdDocument(await releaseHold(catalog, clock, hold, { who: principalOf(request).who, reason: request.body.reason }));
    },
  );
}
