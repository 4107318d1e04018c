// Drills: which there were and what came of them; their evidence, to be handed over; and asking for one.
import * as z from 'zod';
import { type DrillRow, pageOfDrills, readDrill } from '../catalog/drills.ts';
import { CoffreError } from '../errors.ts';
import { parseEvidence } from '../restore/drill/evidence.ts';
import { evidencePage } from '../restore/drill/page.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { idField, instant, instantOf, shopName, sourceKind } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { ADMIN, notFound, OWNER, type Principal } from './principal.ts';
import type { Api } from './routes.ts';
import { errorFor, runError } from './runs.ts';
import { readShop } from './shops.ts';

const drillFields = z.object({
  id: idField,
  shop: z.string(),
  vault: z.string().describe('the one that was read'),
  startedAt: instant,
  endedAt: instant,
  outcome: z.enum(['passed', 'failed']),
  code: z.string().nullable().describe('of the first check that was not passed'),
  error: runError.nullable(),
  restoreMs: z.int().describe('how long the restore itself took'),
  targetMs: z.int().describe('how long it may take'),
  snapshots: z.array(idField),
});

const listed = z.object({ drills: z.array(drillFields), next: nextField });
const byDrill = z.object({ drill: idField });

export function registerDrills(api: Api, service: Service): void {
  const { db } = service.catalog;
  const list = async (
    principal: Principal,
    shops: readonly string[] | undefined,
    query: { cursor?: string | undefined; limit: number },
  ) => {
    const before = decodeCursor(query.cursor, idField);
    const found = await pageOfDrills(db, { shops, before: before ?? undefined, limit: query.limit + 1 });
    const { rows, next } = pageOf(found, query.limit, ({ drill }) => drill);
    return { drills: rows.map((row) => forPrincipal(row, principal)), next };
  };
  api.get(
    '/v1/drills',
    {
      config: { access: OWNER },
      schema: { tags: ['drills'], summary: 'drills, newest first', querystring: z.strictObject(pageQuery), response: { 200: listed } },
    },
    async (request) => {
      const principal = principalOf(request);
      return await list(principal, principal.shops === null ? undefined : [...principal.shops], request.query);
    },
  );
  api.get(
    '/v1/shops/:shop/drills',
    {
      config: { access: OWNER },
      schema: {
        tags: ['drills'],
        summary: 'drills of a shop, newest first',
        params: z.object({ shop: shopName }),
        querystring: z.strictObject(pageQuery),
        response: { 200: listed },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { shop } = await readShop(service, principal, request.params.shop);
      return await list(principal, [shop], request.query);
    },
  );
  api.post(
    '/v1/shops/:shop/drills',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['drills'],
        summary: 'ask for a drill: it is queued, and gives way to what is due',
        params: z.object({ shop: shopName }),
        body: z.strictObject({
          from: z.string().min(1).max(63).nullable().default(null).describe('the vault to read; null: the one whose turn it is'),
          source: sourceKind.nullable().default(null).describe('null: database and files'),
        }),
        response: { 202: z.object({ run: idField.describe('the drill has the same id') }) },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const { shop } = await readShop(service, principal, request.params.shop);
      const run = await service.submit({ kind: 'drill', shop, ...request.body }, principal.who);
      return reply.code(202).header('location', `/v1/runs/${run}`).send({ run });
    },
  );
  api.get(
    '/v1/drills/:drill',
    {
      config: { access: OWNER },
      schema: { tags: ['drills'], summary: 'one drill', params: byDrill, response: { 200: drillFields } },
    },
    async (request) => {
      const principal = principalOf(request);
      return forPrincipal((await visibleDrill(service, principal, request.params.drill)).drill, principal);
    },
  );
  api.get(
    '/v1/drills/:drill/evidence',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['drills'],
        summary: 'the signed evidence of a drill; as json exactly what was signed, as html a page that needs nothing else',
        params: byDrill,
        querystring: z.strictObject({ format: z.enum(['json', 'html']).default('json'), lang: z.enum(['fr', 'en']).default('en') }),
        response: {
          200: {
            description: 'the evidence',
            content: {
              'application/json': { schema: z.looseObject({ evidence: z.looseObject({}), signature: z.looseObject({}) }) },
              'text/html': { schema: z.string() },
            },
          },
        },
      },
    },
    async (request, reply) => {
      const { document } = await visibleDrill(service, principalOf(request), request.params.drill);
      const { format, lang } = request.query;
      // as text: what was signed must not be written anew
      if (format === 'html') reply.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
      const raw = reply.type(format === 'html' ? 'text/html; charset=utf-8' : 'application/json').serializer(String);
      return raw.send((format === 'html' ? evidencePage(parseEvidence(document, request.params.drill), lang) : document) as never);
    },
  );
}

/** Throws E_NOT_FOUND: in the same words whether there is none or it is of a shop that may not be seen. */
async function visibleDrill({ catalog: { db } }: Service, { shops }: Principal, id: string): ReturnType<typeof readDrill> {
  try {
    return await readDrill(db, id, shops === null ? undefined : [...shops]);
  } catch (error) {
    throw error instanceof CoffreError && error.code === 'E_NOT_FOUND' ? notFound('drill') : error;
  }
}

function forPrincipal(row: DrillRow, principal: Principal): z.output<typeof drillFields> {
  const { code, drill, endedAt, outcome, restoreMs, said, shop, snapshots, startedAt, targetMs, vault } = row;
  return {
    ...{ id: drill, shop, vault, startedAt: instantOf(startedAt), endedAt: instantOf(endedAt), outcome, code, restoreMs, targetMs },
    error: code === null ? null : errorFor(principal, { code, message: said ?? '' }),
    snapshots: [...snapshots],
  };
}
