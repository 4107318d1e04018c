// What is stored and was stored, for the billing module: levels, peaks and the ledger's rows. Answers carry an ETag.
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';
import { monthPeaksInThread } from '../billing/in-thread.ts';
import { isKnownShop, levels, requireKnown, requireOrder } from '../billing/level.ts';
import { requireBegun } from '../billing/month.ts';
import { LANGUAGES } from '../document/wording.ts';
import { CoffreError } from '../errors.ts';
import type { Service } from '../schedule/service.ts';
import { bytes, instant, instantOf, shopName } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { BILLING, unknownShop } from './principal.ts';
import type { Api } from './routes.ts';

const vaultName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
  .describe('name of a vault');
const month = z
  .string()
  .regex(/^\d{4}(-(0[1-9]|1[0-2])|-Q[1-4])?$/)
  .describe('YYYY-MM, YYYY-Q1 to YYYY-Q4 or YYYY, in the time zone of each contract');

const ledgerRow = z.object({
  id: z.int(),
  at: instant,
  vault: z.string(),
  shop: z.string(),
  key: z.string(),
  versionId: z.string(),
  event: z.enum(['put', 'part', 'complete', 'release', 'adjust']),
  bytes: z.int().describe('what came (+) or went (-)'),
  cause: z.string().nullable(),
  hash: z.string().describe('over the hash of the row before and this row'),
});

const peaksDocument = z.object({
  month,
  measured: z
    .enum(['whole', 'part', 'none'])
    .describe('how much of it the ledger knows: what was over when it began has no peak, and 0 is none'),
  contracts: z.array(z.object({ contract: z.string(), vault: z.string(), peakBytes: bytes, at: instant })),
  shops: z.array(
    z.object({
      ...{ shop: z.string(), vault: z.string(), peakBytes: bytes, at: instant },
      shareAtContractPeakBytes: bytes.nullable().describe('null: no contract covers it'),
    }),
  ),
});

export function registerBilling(api: Api, service: Service): void {
  const { catalog } = service;
  api.get(
    '/v1/billing/level',
    {
      config: { access: BILLING },
      onSend: tagged,
      schema: {
        tags: ['billing'],
        summary: 'bytes that the vaults hold for us, now or then, by the ledger',
        querystring: z.strictObject({ at: instant.optional(), vault: vaultName.optional(), shop: shopName.optional() }),
        response: {
          200: z.object({
            at: instant.describe('RFC 3339: what was asked for; else when the level changed last'),
            levelBytes: bytes,
            vaults: z.array(z.object({ vault: z.string(), levelBytes: bytes })),
            shops: z.array(z.object({ shop: z.string(), vault: z.string(), levelBytes: bytes })),
            unsettled: z.array(z.string()).describe('vaults in which uploads are under way, or were cut off and are not asked about yet'),
          }),
        },
      },
    },
    async (request) => {
      const { at, vault, shop } = request.query;
      if (vault !== undefined && !service.config.vaults.has(vault)) throw new CoffreError('E_UNKNOWN_VAULT', 'no such vault');
      if (shop !== undefined && !(await isKnownShop(catalog.db, service.config, shop))) throw unknownShop();
      const instantAsked = at === undefined ? undefined : Temporal.Instant.from(at);
      if (instantAsked !== undefined) await requireKnown(catalog.db, instantAsked, service.clock.now());
      const shops = await levels(catalog, { at: instantAsked, vault, shop });
      const sums = new Map<string, number>();
      for (const row of shops) sums.set(row.vault, (sums.get(row.vault) ?? 0) + row.levelBytes);
      const open =
        at === undefined ? await catalog.db.selectFrom('objects').select('vault').distinct().where('state', '=', 'intent').execute() : [];
      return {
        at: (instantAsked ?? (await lastChange(service))).toString(),
        levelBytes: shops.reduce((sum, row) => sum + row.levelBytes, 0),
        vaults: [...sums].map(([name, levelBytes]) => ({ vault: name, levelBytes })),
        shops,
        unsettled: open.map((row) => row.vault).sort(),
      };
    },
  );
  api.get(
    '/v1/billing/peaks',
    {
      config: { access: BILLING },
      onSend: tagged,
      schema: {
        tags: ['billing'],
        summary: 'highest level of a month, a quarter or a year, for each contract that ran then and each shop',
        querystring: z.strictObject({
          month,
          format: z.enum(['json', 'csv']).default('json'),
          lang: z.enum(LANGUAGES).default('en').describe('of the decimals in csv'),
        }),
        response: {
          200: {
            description: 'the peaks',
            content: { 'application/json': { schema: peaksDocument }, 'text/csv': { schema: z.string() } },
          },
        },
      },
    },
    async (request, reply) => {
      const { clock, config } = service;
      const zones = [...config.contracts.values()].map(({ timezone }) => timezone);
      requireBegun(request.query.month, [config.timezone, ...zones], clock.now(), '/v1/billing/forecast');
      const found = await monthPeaksInThread(catalog, {
        month: request.query.month,
        contracts: config.contracts.values(),
        timezone: config.timezone,
      });
      // what a route answers with is one of two forms: the type of it is of no use here
      const sent = reply as unknown as { send(payload: unknown): Promise<never> };
      if (request.query.format === 'json') return await sent.send(found);
      const { peaksCsv } = await import('../billing/ledger-csv.ts');
      reply.header('content-disposition', `attachment; filename="peaks-${found.month}.csv"`);
      reply.type('text/csv; charset=utf-8').serializer(String);
      return await sent.send(peaksCsv(found, request.query.lang));
    },
  );
  api.get(
    '/v1/billing/ledger',
    {
      config: { access: BILLING },
      onSend: tagged,
      schema: {
        tags: ['billing'],
        summary: 'the rows behind every figure, oldest first',
        querystring: z.strictObject({
          ...pageQuery,
          vault: vaultName.optional(),
          shop: shopName.optional(),
          from: instant.optional().describe('inclusive'),
          to: instant.optional().describe('exclusive'),
        }),
        response: { 200: z.object({ rows: z.array(ledgerRow), next: nextField }) },
      },
    },
    async (request) => {
      const { cursor, from, limit, shop, to, vault } = request.query;
      const after = decodeCursor(cursor, z.int().nonnegative());
      if (vault !== undefined && !service.config.vaults.has(vault)) throw new CoffreError('E_UNKNOWN_VAULT', 'no such vault');
      if (shop !== undefined && !(await isKnownShop(catalog.db, service.config, shop))) throw unknownShop();
      const instantOrNone = (text: string | undefined) => (text === undefined ? undefined : Temporal.Instant.from(text));
      requireOrder(instantOrNone(from), instantOrNone(to));
      let query = catalog.db.selectFrom('ledger').selectAll();
      if (after !== null) query = query.where('id', '>', after);
      if (vault !== undefined) query = query.where('vault', '=', vault);
      if (shop !== undefined) query = query.where('shop', '=', shop);
      if (from !== undefined) query = query.where('at', '>=', epochMs(from));
      if (to !== undefined) query = query.where('at', '<', epochMs(to));
      const found = await query
        .orderBy('id')
        .limit(limit + 1)
        .execute();
      const { rows, next } = pageOf(found, limit, ({ id }) => id);
      return { rows: rows.map((row) => ({ ...row, at: instantOf(row.at) })), next };
    },
  );
}

const epochMs = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;

/** The level has been what it is since then: an answer that says the same is the same answer. */
async function lastChange({ catalog }: Service): Promise<Temporal.Instant> {
  const last = await catalog.db.selectFrom('ledger').select('at').orderBy('id', 'desc').limit(1).executeTakeFirst();
  return Temporal.Instant.fromEpochMilliseconds(last?.at ?? 0);
}

/** Tags an answer with its hash; who has it already is told so. */
export async function tagged(request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<unknown> {
  if (reply.statusCode !== 200 || typeof payload !== 'string') return payload;
  const tag = `"${createHash('sha256').update(payload).digest('base64url')}"`;
  reply.headers({ etag: tag, 'cache-control': 'private, no-cache' });
  const known = (request.headers['if-none-match'] ?? '').split(',').map((one) => one.trim().replace(/^W\//, ''));
  if (!known.includes(tag) && !known.includes('*')) return payload;
  reply.code(304).removeHeader('content-type');
  return null;
}
