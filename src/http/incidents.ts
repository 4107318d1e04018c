// Incidents: what was found in the vaults that coffre cannot explain, and who has looked into it.
import * as z from 'zod';
import { acknowledgeIncident, incidentDocument, pageOfIncidents } from '../catalog/incidents.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { bytes, flag, idField, instant, reason, shopName } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { type Access, ADMIN, notFound } from './principal.ts';
import type { Api } from './routes.ts';

const INCIDENTS: Access = ['admin', 'monitor'];

export const incidentFields = z.object({
  ...{ id: idField, shop: z.string(), vault: z.string(), kind: z.string(), key: z.string(), versionId: z.string(), sizeBytes: bytes },
  ...{ detail: z.string().nullable(), firstSeenAt: instant, lastSeenAt: instant, goneAt: instant.nullable() },
  ...{ acknowledgedAt: instant.nullable(), acknowledgedBy: z.string().nullable(), reason: z.string().nullable() },
});

export function registerIncidents(api: Api, service: Service): void {
  const { catalog, clock } = service;
  api.get(
    '/v1/incidents',
    {
      config: { access: INCIDENTS },
      schema: {
        tags: ['incidents'],
        summary: 'incidents, newest first: those that are open and that nobody has acknowledged',
        querystring: z.strictObject({
          ...pageQuery,
          shop: shopName.optional(),
          all: flag.describe('acknowledged ones and those that are gone too'),
        }),
        response: { 200: z.object({ incidents: z.array(incidentFields), next: nextField }) },
      },
    },
    async (request) => {
      const { all, cursor, limit, shop } = request.query;
      const before = decodeCursor(cursor, idField);
      const found = await pageOfIncidents(catalog.db, { shop, all, before: before ?? undefined, limit: limit + 1 });
      const { rows, next } = pageOf(found, limit, ({ id }) => id);
      return { incidents: rows.map(incidentDocument), next };
    },
  );
  api.post(
    '/v1/incidents/:incident/acknowledge',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['incidents'],
        summary: 'say that an incident was looked into: it is not red any more',
        params: z.object({ incident: idField }),
        body: z.strictObject({ reason }),
        response: { 200: incidentFields },
      },
    },
    async (request) => {
      const { incident } = request.params;
      const known = await catalog.db.selectFrom('incidents').select('id').where('id', '=', incident).executeTakeFirst();
      if (known === undefined) throw notFound('incident');
      const by = { who: principalOf(request).who, reason: request.body.reason };
      return incidentDocument(await acknowledgeIncident(catalog, clock, incident, by));
    },
  );
}
