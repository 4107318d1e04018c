// Snapshots: which there are, where, and until when they are locked.
import * as z from 'zod';
import { drilledSnapshots } from '../catalog/drills.ts';
import { gapsOf } from '../catalog/gaps.ts';
import { snapshotDocument } from '../catalog/snapshot-document.ts';
import { findSnapshot, pageOfSnapshots, type SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { bytes, idField, instant, shopName, sourceKind } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { isTold, maySee, OWNER, type Principal, unknownShop, unknownSnapshot } from './principal.ts';
import type { Api } from './routes.ts';
import { readShop } from './shops.ts';

const snapshotFields = z.object({
  id: idField,
  shop: z.string(),
  source: sourceKind,
  state: z.enum(['good', 'incomplete', 'damaged', 'degraded']),
  asOf: instant,
  completedAt: instant,
  keepUntil: instant.describe('end of its window'),
  full: z.boolean(),
  plainBytes: bytes,
  storedBytes: bytes,
  segments: z.int(),
  reusedSegments: z.int(),
  files: z.int().optional(),
  directories: z.int().optional(),
  tables: z.int().optional(),
  rows: z.int().optional(),
  vaults: z.array(
    z.object({
      vault: z.string(),
      lock: z.object({ mode: z.string().nullable(), retainUntil: instant }).nullable().describe('as last read back'),
      verifiedAt: instant.nullable(),
      verifyError: z.string().nullable(),
    }),
  ),
  drilled: z
    .object({ drill: idField, at: instant, passed: z.boolean(), code: z.string().nullable() })
    .nullable()
    .describe('the newest drill that restored it; null: none did'),
  lacking: z
    .array(z.object({ vault: z.string(), code: z.string().nullable(), message: z.string().nullable().describe('for administrators') }))
    .describe('vaults that were to have it and do not'),
  consistency: z.unknown().describe('of a database: how one moment was read; for administrators'),
});

const listed = z.object({ snapshots: z.array(snapshotFields), next: nextField });

export function registerSnapshots(api: Api, service: Service): void {
  const { catalog } = service;
  const list = async (
    principal: Principal,
    shops: readonly string[] | undefined,
    query: { cursor?: string | undefined; limit: number; source?: z.output<typeof sourceKind> | undefined },
  ) => {
    const before = decodeCursor(query.cursor, idField);
    const found = await pageOfSnapshots(catalog, { shops, source: query.source, before: before ?? undefined, limit: query.limit + 1 });
    const { rows, next } = pageOf(found, query.limit, ({ id }) => id);
    const one = shops?.length === 1 ? shops[0] : undefined;
    const [gaps, drilled] = [await gapsOf(catalog, one), await drilledSnapshots(catalog.db, one)];
    return { snapshots: rows.map((row) => forPrincipal(row, gaps, drilled, principal)), next };
  };
  api.get(
    '/v1/snapshots',
    {
      config: { access: OWNER },
      schema: {
        tags: ['snapshots'],
        summary: 'snapshots, newest first',
        querystring: z.strictObject({ ...pageQuery, shop: shopName.optional(), source: sourceKind.optional() }),
        response: { 200: listed },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { shop } = request.query;
      if (shop !== undefined && !maySee(principal, shop)) throw unknownShop();
      return await list(
        principal,
        shop !== undefined ? [shop] : principal.shops === null ? undefined : [...principal.shops],
        request.query,
      );
    },
  );
  api.get(
    '/v1/shops/:shop/snapshots',
    {
      config: { access: OWNER },
      schema: {
        tags: ['snapshots'],
        summary: 'snapshots of a shop, newest first',
        params: z.object({ shop: shopName }),
        querystring: z.strictObject({ ...pageQuery, source: sourceKind.optional() }),
        response: { 200: listed },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { shop } = await readShop(service, principal, request.params.shop);
      return await list(principal, [shop], request.query);
    },
  );
  api.get(
    '/v1/snapshots/:snapshot',
    {
      config: { access: OWNER },
      schema: {
        tags: ['snapshots'],
        summary: 'one snapshot',
        params: z.object({ snapshot: idField }),
        response: { 200: snapshotFields },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const found = await findSnapshot(catalog, request.params.snapshot, principal.shops && [...principal.shops]);
      if (found === null) throw unknownSnapshot();
      return forPrincipal(found, await gapsOf(catalog, found.shop), await drilledSnapshots(catalog.db, found.shop), principal);
    },
  );
}

function forPrincipal(
  snapshot: SnapshotWithCopies,
  gaps: Parameters<typeof snapshotDocument>[1],
  drilled: Parameters<typeof snapshotDocument>[2],
  principal: Principal,
): z.output<typeof snapshotFields> {
  const document = snapshotDocument(snapshot, gaps, drilled);
  if (isTold(principal)) return document;
  return { ...document, lacking: document.lacking.map((row) => ({ ...row, message: null })), consistency: null };
}
