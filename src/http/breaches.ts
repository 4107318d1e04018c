// Cases of tampering or loss: which wait for their clients to be told, a draft of what to tell them, and that it was done.
import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';
import { breachDocument, breachScopes, findBreach, incidentsOfBreach, pageOfBreaches, stepBreach } from '../catalog/breaches.ts';
import { incidentDocument } from '../catalog/incidents.ts';
import { CoffreError } from '../errors.ts';
import { readBreachDrafts } from '../report/read-breach.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { flag, idField, instant, reason } from './fields.ts';
import { incidentFields } from './incidents.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { type Access, ADMIN, notFound } from './principal.ts';
import type { Api } from './routes.ts';

const WATCHED: Access = ['admin', 'monitor'];

const breachFields = z.object({
  ...{ id: idField, vault: z.string(), state: z.enum(['open', 'overdue', 'sent', 'closed']) },
  ...{ openedAt: instant.describe('when it was found'), lastIncidentAt: instant, deadline: instant.describe('48 hours later') },
  leftMs: z.int().nullable().describe('to the deadline; negative: it has passed; null: it was sent or closed'),
  ...{ sentAt: instant.nullable(), sentBy: z.string().nullable() },
  ...{ closedAt: instant.nullable(), closedBy: z.string().nullable(), reason: z.string().nullable() },
});
const scopeFields = {
  shops: z.array(z.string()).describe('whose objects it is about; _coffre: the daemon’s own'),
  incidents: z.int().describe('how many'),
};
const draftFields = z.object({
  shop: z.string(),
  language: z.enum(['fr', 'en']),
  subject: z.string(),
  text: z.string().describe('to be completed before it is sent'),
});
const language = z.enum(['fr', 'en']).optional().describe('of the drafts; left out: that of each shop’s contact');
const params = z.object({ breach: idField });

export function registerBreaches(api: Api, service: Service): void {
  const { catalog, clock } = service;
  api.get(
    '/v1/breaches',
    {
      config: { access: WATCHED },
      schema: {
        tags: ['incidents'],
        summary: 'cases of tampering or loss whose clients were not told yet, newest first',
        querystring: z.strictObject({ ...pageQuery, all: flag.describe('those that were sent or closed too') }),
        response: { 200: z.object({ breaches: z.array(z.object({ ...breachFields.shape, ...scopeFields })), next: nextField }) },
      },
    },
    async (request) => {
      const { all, cursor, limit } = request.query;
      const before = decodeCursor(cursor, idField);
      const found = await pageOfBreaches(catalog.db, { all, before: before ?? undefined, limit: limit + 1 });
      const { rows, next } = pageOf(found, limit, ({ id }) => id);
      const scopes = await breachScopes(catalog.db, rows);
      const nowMs = clock.nowMs();
      return { breaches: rows.map((row) => ({ ...breachDocument(row, nowMs), ...scopes(row.id) })), next };
    },
  );
  api.get(
    '/v1/breaches/:breach',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['incidents'],
        summary: 'a case, its incidents, and for each shop a draft of the notice, which names no other shop',
        params,
        querystring: z.strictObject({ lang: language }),
        response: {
          200: z.object({ ...breachFields.shape, incidents: z.array(incidentFields), drafts: z.array(draftFields) }),
        },
      },
    },
    async (request) => {
      const row = await requireBreach(request.params.breach);
      const drafts = await readBreachDrafts(catalog.db, service.config, row, request.query.lang ?? null, clock.nowMs());
      const incidents = await incidentsOfBreach(catalog.db, row.id);
      return { ...breachDocument(row, clock.nowMs()), incidents: incidents.map(incidentDocument), drafts: [...drafts] };
    },
  );
  api.post(
    '/v1/breaches/:breach/sent',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['incidents'],
        summary: 'say that the clients were told: the case is not red any more',
        params,
        body: z.strictObject({
          by: z.string().trim().min(1).max(500).describe('who told them'),
          at: instant.optional().describe('when; left out: now'),
        }),
        response: { 200: breachFields },
      },
    },
    async (request) => {
      const { at, by } = request.body;
      const row = await requireBreach(request.params.breach);
      const atMs = at === undefined ? clock.nowMs() : Temporal.Instant.from(at).epochMilliseconds;
      const { who } = principalOf(request);
      return breachDocument(await stepBreach(catalog, clock, row.id, who, { verb: 'sent', by, atMs }), clock.nowMs());
    },
  );
  api.post(
    '/v1/breaches/:breach/close',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['incidents'],
        summary: 'a false alarm, or all is said: the case is not red any more',
        params,
        body: z.strictObject({ reason }),
        response: { 200: breachFields },
      },
    },
    async (request) => {
      const row = await requireBreach(request.params.breach);
      const step = { verb: 'close', reason: request.body.reason } as const;
      return breachDocument(await stepBreach(catalog, clock, row.id, principalOf(request).who, step), clock.nowMs());
    },
  );

  /** Throws E_NOT_FOUND: its hint is for the command line. */
  async function requireBreach(id: string) {
    return await findBreach(catalog.db, id).catch((error: unknown) => {
      throw error instanceof CoffreError && error.code === 'E_NOT_FOUND' ? notFound('case') : error;
    });
  }
}
