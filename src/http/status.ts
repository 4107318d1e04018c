// How shops stand: the document of `coffre status`, and less of it for a client.
import * as z from 'zod';
import { ALARM_KINDS } from '../schedule/alarm.ts';
import { readStatus } from '../schedule/read-status.ts';
import type { Service } from '../schedule/service.ts';
import type { ShopStatus } from '../schedule/status.ts';
import { principalOf } from './auth.ts';
import { bytes, instant, shopName, sourceKind } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { maySee, type Principal, requireShop, unknownShop, WATCHING } from './principal.ts';
import type { Api } from './routes.ts';
import { pauseDocument } from './shops.ts';

export const statusDocument = z.object({
  shop: shopName,
  ok: z.boolean(),
  life: z.object({
    state: z.string(),
    keptUntil: instant.nullable(),
    holds: z.array(z.string()).optional().describe('reasons of the legal holds in force; for administrators'),
  }),
  pause: pauseDocument.nullable().describe('its scheduled backups wait'),
  sources: z.array(
    z.object({
      source: sourceKind,
      newestGood: z
        .object({ id: z.string(), asOf: instant, ageMs: z.int(), vaults: z.array(z.string()), lockedUntil: instant.nullable() })
        .nullable(),
      restorable: z
        .object({ id: z.string(), asOf: instant, ageMs: z.int(), vaults: z.array(z.string()) })
        .nullable()
        .describe('where none is good: the newest that some vault has whole and undamaged'),
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
  rto: z.object({
    targetMs: z.int(),
    measured: z.object({ bytes, durationMs: z.int() }).nullable().describe('the last restore'),
    estimate: z
      .object({
        ...{ expectedMs: z.int(), lowMs: z.int(), highMs: z.int() },
        vault: z.string().describe('that it would be read from'),
        fit: z.enum(['yes', 'tight', 'no']).describe('tight: within the target as expected, not at its slowest'),
      })
      .nullable()
      .describe('of a restore into its place, from what restores and drills measured; null: something of it never was'),
  }),
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
  drills: z
    .object({
      vaults: z.array(
        z.object({
          ...{ vault: z.string(), drill: z.string().nullable(), at: instant.nullable(), passed: z.boolean().nullable() },
          ...{ code: z.string().nullable(), restoreMs: z.int().nullable() },
        }),
      ),
      dueSince: instant.nullable(),
    })
    .optional()
    .describe('the last drill of each vault, and since when there must have been one; for administrators'),
  requests: z
    .array(
      z.object({
        ...{ id: z.string(), state: z.string(), deadline: instant.nullable() },
        leftMs: z.int().nullable().describe('of the promised time; negative: by how much it is exceeded'),
        clock: z.enum(['running', 'paused', 'kept', 'broken']).nullable().describe('null: nobody approved it'),
      }),
    )
    .describe('restores that were asked for, as long as something is to come of them'),
  red: z.array(z.string()).optional().describe('what is red, in words; for administrators'),
  alarms: z
    .array(
      z.object({
        ...{ kind: z.enum(ALARM_KINDS), source: sourceKind.nullable(), vault: z.string().nullable(), code: z.string().nullable() },
        text: z.string(),
      }),
    )
    .optional()
    .describe('the same, each by its kind; for administrators'),
  notes: z.array(z.string()).optional().describe('worth knowing, not red; for administrators'),
});

type StatusDocument = z.output<typeof statusDocument>;

export function registerStatus(api: Api, service: Service): void {
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
        summary: 'how all declared shops stand, by name, as of a minute ago at most; ok: none of this page is red',
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
      const statuses = await service.board.of(rows.flatMap((name) => service.config.shops.get(name) ?? []));
      const shops = statuses.map((status) => statusFor(principal, status));
      // no shop at all: nothing is backed up, and that is not well
      return { ok: names.length > 0 && shops.every(({ ok }) => ok), shops, next };
    },
  );
}

/** Throws E_UNKNOWN_SHOP. */
async function statusOfShop({ catalog, clock, config }: Service, principal: Principal, name: string): Promise<StatusDocument> {
  const shop = config.shops.get(name);
  if (shop === undefined) throw unknownShop();
  return statusFor(principal, await readStatus(config, catalog, shop, clock.nowMs()));
}

function statusFor(principal: Principal, status: ShopStatus): StatusDocument {
  const all = documentOf(status);
  if (principal.role !== 'client') return all;
  const { ok, sources, copies, quota, requests, rto, life, pause } = all;
  return {
    ...{ shop: all.shop, ok, sources, copies, quota, requests, rto, life: { state: life.state, keptUntil: life.keptUntil } },
    pause: pause && { ...pause, who: null, reason: null },
  };
}

type ReadOnly<T> = T extends object ? { readonly [K in keyof T]: ReadOnly<T[K]> } : T;

/** What the status says and this document does not: nothing, or this does not compile. */
type Untold = Exclude<keyof ShopStatus, keyof StatusDocument>;

/** Schemas know no readonly arrays. */
function documentOf(status: ReadOnly<Required<StatusDocument>> & Record<Untold, never>): Required<StatusDocument> {
  return status as Required<StatusDocument>;
}
