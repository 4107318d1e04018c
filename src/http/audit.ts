// The audit: who did what, and when.
import * as z from 'zod';
import type { Service } from '../schedule/service.ts';
import { instant, instantOf, shopName } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { ADMIN } from './principal.ts';
import type { Api } from './routes.ts';

const auditRow = z.object({
  id: z.int(),
  at: instant,
  who: z.string().describe('a user, token: and its name, or coffre for what the daemon does by itself'),
  what: z.string(),
  shop: z.string().nullable(),
  detail: z.unknown(),
});

export function registerAudit(api: Api, service: Service): void {
  api.get(
    '/v1/audit',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['audit'],
        summary: 'who did what, newest first',
        querystring: z.strictObject({ ...pageQuery, shop: shopName.optional(), who: z.string().max(100).optional() }),
        response: { 200: z.object({ audit: z.array(auditRow), next: nextField }) },
      },
    },
    async (request) => {
      const { cursor, limit, shop, who } = request.query;
      const before = decodeCursor(cursor, z.int().nonnegative());
      let query = service.catalog.db.selectFrom('audit').selectAll();
      if (before !== null) query = query.where('id', '<', before);
      if (shop !== undefined) query = query.where('shop', '=', shop);
      if (who !== undefined) query = query.where('who', '=', who);
      const found = await query
        .orderBy('id', 'desc')
        .limit(limit + 1)
        .execute();
      const { rows, next } = pageOf(found, limit, ({ id }) => id);
      const told = rows.map((row) => ({
        ...row,
        at: instantOf(row.at),
        detail: row.detail === null ? null : (JSON.parse(row.detail) as unknown),
      }));
      return { audit: told, next };
    },
  );
}
