// Exports: asking for a shop's plain archive, how it stands, and its download, which goes on where it was cut off. A client for its own shops.
import type { Readable } from 'node:stream';
import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';
import { audit } from '../catalog/audit.ts';
import { runDocument } from '../catalog/run-document.ts';
import { pageOfRuns } from '../catalog/run-queue.ts';
import type { RunRow } from '../catalog/runs.ts';
import { CoffreError } from '../errors.ts';
import { openExportFile } from '../restore/export-place.ts';
import { chooseExported, demandExports, exportDetail, exportEnd } from '../schedule/export-work.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { bytes, idField, instant, instantOf, instantOrNull, shopName } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { isTold, notFound, OWNER, type Principal, requireShop } from './principal.ts';
import { inOwnWords, OwnWords } from './problem.ts';
import { parseRange } from './range.ts';
import type { Api } from './routes.ts';
import { errorFor, progressDocument, progressOf, runError } from './runs.ts';
import { Turns } from './turns.ts';

const exportDocument = z.object({
  id: idField,
  shop: shopName,
  state: z.enum(['queued', 'running', 'done', 'failed', 'interrupted', 'cancelled', 'expired']),
  startedAt: instant.describe('while it is queued: since when'),
  endedAt: instant.nullable(),
  expiresAt: instant.nullable().describe('until then it can be downloaded'),
  sizeBytes: bytes.nullable(),
  files: z.int().nullable(),
  tables: z.int().nullable(),
  rows: z.int().nullable(),
  snapshots: z.array(z.object({ snapshot: z.string(), source: z.string(), asOf: instant })),
  progress: progressDocument.nullable(),
  error: runError.nullable(),
  continuedBy: idField
    .nullable()
    .describe('the export that makes this one anew: it was interrupted by what comes first, or with its daemon'),
});

const params = z.object({ shop: shopName, export: idField });
const CONTENT = { 'application/octet-stream': { schema: z.string() } };
/** Of one shop at a time, expired ones not counted. */
const MOST_EXPORTS = 5;
/** Of one shop: each is read from its vaults and written out, whatever becomes of it. */
const MOST_A_DAY = 20;
/** Of one shop at a time. */
const MOST_DOWNLOADS = 8;
const DAY_MS = 86_400_000;
/** One reading of the file. */
const CHUNK_BYTES = 1024 * 1024;

export function registerExports(api: Api, service: Service): void {
  const turns = new Turns();
  const downloads = new Downloads();
  api.post(
    '/v1/shops/:shop/exports',
    {
      config: { access: OWNER },
      schema: {
        tags: ['exports'],
        summary: 'have a plain archive of the shop made, files and database, for whoever leaves; one that waits already is not made twice',
        params: z.object({ shop: shopName }),
        body: z.strictObject({ at: instant.nullable().default(null).describe('as it was then; null: the newest') }),
        response: { 202: z.object({ export: idField }) },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const { shop } = request.params;
      requireShop(principal, shop, (name) => service.config.shops.has(name));
      demandSwitchedOn(service, principal, shop);
      const { at } = request.body;
      const task = { kind: 'export' as const, shop, at: at === null ? null : Temporal.Instant.from(at).epochMilliseconds };
      const id = await turns.take(shop, async () => {
        await inOwnWords(demandPossible(service, task));
        return await service.submit(task, principal.who);
      });
      await audit(service.catalog, service.clock, { who: principal.who, what: 'export order', shop, detail: { run: id, at } });
      return reply.code(202).header('location', `/v1/shops/${shop}/exports/${id}`).send({ export: id });
    },
  );
  api.get(
    '/v1/shops/:shop/exports',
    {
      config: { access: OWNER },
      schema: {
        tags: ['exports'],
        summary: 'exports of a shop, newest first',
        params: z.object({ shop: shopName }),
        querystring: z.strictObject(pageQuery),
        response: { 200: z.object({ exports: z.array(exportDocument), next: nextField }) },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { shop } = request.params;
      requireShop(principal, shop, (name) => service.config.shops.has(name));
      const { cursor, limit } = request.query;
      const before = decodeCursor(cursor, idField);
      const filter = { shops: [shop], kinds: ['export' as const], limit: limit + 1 };
      const found = await pageOfRuns(service.catalog, before === null ? filter : { ...filter, before });
      const { rows, next } = pageOf(found, limit, ({ id }) => id);
      return { exports: await Promise.all(rows.map((row) => documentOf(service, principal, row))), next };
    },
  );
  api.get(
    '/v1/shops/:shop/exports/:export',
    {
      config: { access: OWNER },
      schema: { tags: ['exports'], summary: 'how an export stands', params, response: { 200: exportDocument } },
    },
    async (request) => {
      const principal = principalOf(request);
      return await documentOf(service, principal, await exportRow(service, principal, request.params));
    },
  );
  api.get(
    '/v1/shops/:shop/exports/:export/content',
    {
      config: { access: OWNER },
      schema: {
        tags: ['exports'],
        summary: 'the archive (.tar.zst); Range and If-Range go on with a download that was cut off',
        params,
        response: {
          200: { description: 'all of it', content: CONTENT },
          206: { description: 'the part that was asked for', content: CONTENT },
        },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const row = await exportRow(service, principal, request.params);
      if (stateOf(service, row) !== 'done') throw notFound('export to download');
      const opened = await openExportFile(service.config.restore.scratchDir, row.id);
      if (opened === null) throw notFound('export to download');
      const { file, sizeBytes } = opened;
      try {
        const etag = `"${row.id}-${sizeBytes}"`;
        const ifRange = request.headers['if-range'];
        const range = ifRange === undefined || ifRange === etag ? parseRange(request.headers.range, sizeBytes) : null;
        reply.headers({
          ...{ etag, 'accept-ranges': 'bytes', 'content-type': 'application/octet-stream' },
          'content-disposition': `attachment; filename="${row.shop}-${row.id}.tar.zst"`,
        });
        if (range === 'unsatisfiable') {
          await file.close();
          reply.header('content-range', `bytes */${sizeBytes}`);
          throw new CoffreError('E_RANGE', 'the range is beyond the end of the export');
        }
        const { start, end } = range ?? { start: 0, end: sizeBytes - 1 };
        // each beginning once; what goes on is the same download
        if (start === 0)
          await audit(service.catalog, service.clock, {
            who: principal.who,
            what: 'export download',
            shop: row.shop,
            detail: { run: row.id },
          });
        if (range !== null) reply.code(206).header('content-range', `bytes ${start}-${end}/${sizeBytes}`);
        reply.header('content-length', String(end - start + 1));
        // a stream goes out as it is: the schema is of the document
        const stream = file.createReadStream({ start, end, highWaterMark: CHUNK_BYTES });
        downloads.add(row.shop, stream);
        return reply.send(stream as never);
      } catch (error) {
        await file.close().catch(() => {});
        throw error;
      }
    },
  );
}

/**
 * Downloads under way. One that nobody reads any more (its line went dead) holds a connection and an open file for long: beyond some of a shop the
 * oldest ends, and goes on where it was if somebody is there after all.
 */
class Downloads {
  readonly #of = new Map<string, Set<Readable>>();

  add(shop: string, stream: Readable): void {
    const streams = this.#of.get(shop) ?? new Set();
    this.#of.set(shop, streams.add(stream));
    stream.once('close', () => {
      streams.delete(stream);
      if (streams.size === 0) this.#of.delete(shop);
    });
    const [oldest] = streams;
    if (streams.size > MOST_DOWNLOADS) oldest?.destroy();
  }
}

/** Throws E_CONFIG: to an owner without the names of files and keys, which are an administrator's. */
function demandSwitchedOn({ config }: Service, principal: Principal, shop: string): void {
  try {
    demandExports(config, shop);
  } catch (error) {
    if (isTold(principal)) throw error;
    const hint = 'those who look after the backups make one by hand';
    throw new OwnWords('E_CONFIG', 'exports are not made through the API here', { hint, cause: error });
  }
}

/** Throws E_USAGE, E_UNKNOWN_SNAPSHOT, E_EXPORTS. */
async function demandPossible(service: Service, task: { readonly shop: string; readonly at: number | null }): Promise<void> {
  const shop = service.config.shops.get(task.shop);
  if (shop !== undefined) await chooseExported(service, shop, task.at);
  await demandFew(service, task.shop);
}

/** Throws E_EXPORTS: they all lie in one folder, which drills need too. */
async function demandFew({ catalog, clock, config }: Service, shop: string): Promise<void> {
  const { asked } = await catalog.db
    .selectFrom('runs')
    .select((eb) => eb.fn.countAll<number>().as('asked'))
    .where('kind', '=', 'export')
    .where('shop', '=', shop)
    .where('task', 'is not', null)
    .where('takesUp', 'is', null)
    .where('startedAt', '>', clock.nowMs() - DAY_MS)
    .executeTakeFirstOrThrow();
  if (Number(asked) >= MOST_A_DAY) {
    throw new CoffreError('E_EXPORTS', `${asked} exports of ${shop} were asked for within a day`, { hint: 'one of tomorrow is made' });
  }
  const rows = await catalog.db
    .selectFrom('runs')
    .select(['state', 'endedAt'])
    .where('kind', '=', 'export')
    .where('shop', '=', shop)
    .where('state', 'in', ['queued', 'running', 'done'])
    .orderBy('id', 'desc')
    .limit(MOST_EXPORTS * 10)
    .execute();
  const there = rows.filter((row) => row.state !== 'done' || exportEnd(config, row) > clock.nowMs());
  if (there.length < MOST_EXPORTS) return;
  throw new CoffreError('E_EXPORTS', `${there.length} exports of ${shop} are there or on their way`);
}

/** Throws E_UNKNOWN_SHOP, E_NOT_FOUND: in the same words whether there is none or it is of another shop. */
async function exportRow(
  { catalog, config }: Service,
  principal: Principal,
  { shop, export: id }: z.output<typeof params>,
): Promise<RunRow> {
  requireShop(principal, shop, (name) => config.shops.has(name));
  const row = await catalog.db
    .selectFrom('runs')
    .selectAll()
    .where('id', '=', id)
    .where('kind', '=', 'export')
    .where('shop', '=', shop)
    .executeTakeFirst();
  if (row === undefined) throw notFound('export');
  return row;
}

function stateOf({ clock, config }: Service, row: RunRow): z.output<typeof exportDocument>['state'] {
  return row.state === 'done' && exportEnd(config, row) <= clock.nowMs() ? 'expired' : row.state;
}

async function documentOf(service: Service, principal: Principal, row: RunRow): Promise<z.output<typeof exportDocument>> {
  const run = runDocument(row);
  const detail = row.state === 'done' ? exportDetail(row) : null;
  const latest = row.state === 'running' || row.state === 'queued' ? service.feed.latest(row.id) : null;
  return {
    ...{ id: row.id, shop: row.shop, state: stateOf(service, row) },
    ...{ startedAt: instantOf(row.startedAt), endedAt: instantOrNull(row.endedAt) },
    expiresAt: detail === null ? null : instantOf(exportEnd(service.config, row)),
    ...{ sizeBytes: detail?.sizeBytes ?? null, files: detail?.files ?? null, tables: detail?.tables ?? null, rows: detail?.rows ?? null },
    snapshots: detail?.snapshots.map((one) => ({ ...one })) ?? [],
    progress: latest?.progress ? progressOf(latest.progress) : null,
    error: run.error && errorFor(principal, run.error),
    continuedBy: row.state === 'interrupted' ? await takenUpBy(service, row.id) : null,
  };
}

async function takenUpBy({ catalog }: Service, id: string): Promise<string | null> {
  const next = await catalog.db.selectFrom('runs').select('id').where('takesUp', '=', id).executeTakeFirst();
  return next?.id ?? null;
}
