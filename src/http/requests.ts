// Restore requests: what one would mean, asking for one, approving it, and how it stands; a client for its own shops alone.
import * as z from 'zod';
import { pageOfRequests, type RequestRow, readRequest } from '../catalog/requests.ts';
import { asCoffreError } from '../errors.ts';
import { REQUEST_ROLES, REQUEST_STATES, REQUEST_VERBS } from '../restore/request-life.ts';
import { RESTORED_SOURCES, wantedSchema } from '../restore/request-preview.ts';
import {
  actOnRequest,
  beginsByItself,
  type DeskCaller,
  type DeskVerb,
  isUnattended,
  openRequest,
  previewNow,
} from '../schedule/request-desk.ts';
import { fullRequestDocument, PromiseCalendars, type RequestDocument, requestDocument } from '../schedule/request-document.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { bytes, idField, instant, reason, shopName } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { ADMIN, isTold, maySee, notFound, OWNER, type Principal, requireShop, unknownShop } from './principal.ts';
import { inOwnWords } from './problem.ts';
import type { Api } from './routes.ts';
import { errorFor, progressDocument, progressOf, runError } from './runs.ts';
import { Turns } from './turns.ts';

const previewFields = {
  shop: shopName,
  at: instant.nullable().describe('as it was then; null: the newest'),
  tables: z.array(z.string()).describe('of the database; empty: all'),
  paths: z.array(z.string()).describe('patterns inside the shop’s tree; empty: all'),
  snapshots: z.array(
    z.object({
      ...{ id: idField, source: z.enum(RESTORED_SOURCES), asOf: instant, ageMs: z.int(), plainBytes: bytes },
      ...{ good: z.boolean(), complete: z.boolean() },
      ...{ files: z.int().nullable(), tables: z.int().nullable(), rows: z.int().nullable() },
    }),
  ),
  gapMs: z.int().nullable().describe('between the instants of database and files; null: one of them is restored'),
  lost: z
    .array(z.object({ source: z.enum(RESTORED_SOURCES), since: instant, spanMs: z.int(), newerSnapshots: z.int(), newerSafety: z.int() }))
    .describe(
      'what was changed since the snapshot is gone after the restore; newerSafety: of the newer ones that are not taken those taken for safety',
    ),
  estimate: z
    .object({ expectedMs: z.number(), lowMs: z.number(), highMs: z.number() })
    .nullable()
    .describe('how long it takes, whole sources counted; null: nothing like it was measured'),
  unknown: z
    .array(z.string())
    .describe(
      'tables and paths of which nobody can say before the restore whether the snapshot holds them; what it does not hold is refused',
    ),
  emptied: z.array(z.string()).describe('tables whose rows are left out of backups: a restore leaves them empty'),
};
const previewDocument = z.object(previewFields);
const previewWithPromise = z.object({
  ...previewFields,
  targetMs: z.int(),
  deadline: instant.describe('if it were approved now'),
  clockStarts: instant.nullable().describe('the clock waits until then: it is outside the plan’s hours; null: it would run at once'),
  unattended: z.boolean().describe('false: once it is approved, an operator has to begin it'),
  openSince: instant.nullable().describe('a restore of the shop began then and came to no end: it is perhaps closed; null: none is open'),
});

const requestFields = {
  ...{ id: idField, shop: z.string(), state: z.enum(REQUEST_STATES), wanted: wantedSchema, preview: previewDocument },
  ...{ createdAt: instant, createdBy: z.string().nullable(), createdRole: z.enum(['client', 'operator']) },
  approvedAt: instant.nullable().describe('the clock runs since'),
  ...{ approvedBy: z.string().nullable(), approvedRole: z.enum(['client', 'operator']).nullable() },
  clock: z
    .object({
      ...{ targetMs: z.int(), deadline: instant, state: z.enum(['running', 'paused', 'kept', 'broken']), countedMs: z.int() },
      leftMs: z.int().describe('negative: by how much the target was exceeded'),
      resumesAt: instant.nullable().describe('when a paused clock goes on'),
      holiday: z.string().nullable(),
    })
    .nullable()
    .describe('null: nobody approved it, or it was called off'),
  ...{ startedAt: instant.nullable(), verifyingAt: instant.nullable(), endedAt: instant.nullable() },
  run: idField.nullable().describe('the last run that worked on it: its events show how it goes'),
  error: runError.nullable(),
  outcome: z.enum(['kept', 'broken']).nullable().describe('whether the promise was kept; null: not decided, or never given'),
  unattended: z.boolean().describe('false: once it is approved, an operator has to begin it, as root: coffre request run'),
};
const requestBrief = z.object(requestFields);
const requestInFull = z.object({
  ...requestFields,
  heldMs: z.int().describe('how long it was held after its approval: the clock went on meanwhile'),
  step: z.string().nullable().describe('what is done now'),
  progress: progressDocument.nullable(),
  history: z.array(
    z.object({
      ...{ at: instant, verb: z.enum(REQUEST_VERBS), state: z.enum(REQUEST_STATES) },
      ...{ who: z.string().nullable().describe('for administrators'), role: z.enum(REQUEST_ROLES), reason: z.string().nullable() },
      error: runError.nullable().describe('why it failed then'),
    }),
  ),
  result: z
    .object({
      ...{ durationMs: z.int(), maintenanceMs: z.int().nullable() },
      safety: z
        .object({ database: idField.nullable(), files: idField.nullable() })
        .nullable()
        .describe('snapshots of the shop as it was before the restore; null: none were taken'),
      checks: z.int().describe('how many things were looked at before the shop was opened'),
      checked: z.array(z.string()).describe('for administrators: which'),
    })
    .nullable()
    .describe('of one that is done'),
  restoreOpen: z.boolean().describe('it had begun, and a restore of its shop came to no end: the shop is perhaps closed'),
  told: z.boolean().describe('it failed, and a message that says so to those who look after the backups got through'),
});

const { at, paths, sources, tables } = wantedSchema.shape;
const wantedFields = {
  shop: shopName,
  at: at.default(null).describe('as it was then; null: the newest'),
  sources: sources.default(null).describe('null: what tables and paths mean, else all'),
  tables: tables.default([]).describe('only these tables of the database'),
  paths: paths.default([]).describe('only files that match, inside the shop’s tree: img/p, config/*.php'),
};
const orReason = z.strictObject({ reason: reason.nullable().default(null) });
const withReason = z.strictObject({ reason });
const params = z.object({ request: idField });

/** What may be done to a request, by whom of those that have tokens, and whether a reason is asked for in any case. */
const ACTS = [
  ['approve', OWNER, orReason, 'the owner’s word starts work and clock; an administrator’s, in the owner’s name, needs a reason'],
  ['hold', ADMIN, withReason, 'it is not begun until it is released; the clock of one that is approved goes on'],
  ['release', ADMIN, orReason, 'end a hold'],
  ['refuse', ADMIN, withReason, 'it is not restored'],
  ['cancel', OWNER, orReason, 'call it off, as long as it has not begun'],
  ['retry', ADMIN, orReason, 'try one again that failed; the clock went on'],
] as const satisfies readonly (readonly [DeskVerb, ...unknown[]])[];

const callerOf = ({ role, who }: Principal): DeskCaller => ({ who, role: role === 'client' ? 'client' : 'operator' });

export function registerRequests(api: Api, service: Service): void {
  const turns = new Turns();
  api.post(
    '/v1/requests/preview',
    {
      config: { access: OWNER },
      schema: {
        tags: ['requests'],
        summary:
          'what a restore would mean: snapshots, what is lost since, how long it takes, until when it would be done; nothing is asked for',
        body: z.strictObject(wantedFields),
        response: { 200: previewWithPromise },
      },
    },
    async (request) => {
      const { shop, ...wanted } = request.body;
      mustBeOwn(service, principalOf(request), shop);
      return previewFor(await turns.take(shop, () => inOwnWords(previewNow(service, shop, wanted))));
    },
  );
  api.post(
    '/v1/requests',
    {
      config: { access: OWNER },
      schema: {
        tags: ['requests'],
        summary: 'ask for a restore into the shop’s own place; the same that is open already is not asked for twice',
        body: z.strictObject({
          ...wantedFields,
          approve: z.boolean().default(false).describe('at once; an administrator’s approval is in the owner’s name, and needs a reason'),
          reason: reason.nullable().default(null),
        }),
        response: { 201: requestInFull },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const { approve, reason: why, shop, ...wanted } = request.body;
      mustBeOwn(service, principal, shop);
      const order = { shop, wanted, approve, reason: why };
      const row = await turns.take(shop, () => inOwnWords(openRequest(service, order, callerOf(principal))));
      await begin(service, row, principal);
      return reply
        .code(201)
        .header('location', `/v1/requests/${row.id}`)
        .send(await inFull(service, principal, row.id));
    },
  );
  api.get(
    '/v1/requests',
    {
      config: { access: OWNER },
      schema: {
        tags: ['requests'],
        summary: 'restore requests, newest first',
        querystring: z.strictObject({ ...pageQuery, shop: shopName.optional(), state: z.enum(REQUEST_STATES).optional() }),
        response: { 200: z.object({ requests: z.array(requestBrief), next: nextField }) },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { cursor, limit, shop, state } = request.query;
      if (shop !== undefined && !maySee(principal, shop)) throw unknownShop();
      const shops = shop !== undefined ? [shop] : principal.shops === null ? undefined : [...principal.shops];
      const before = decodeCursor(cursor, idField);
      const found = await pageOfRequests(service.catalog, {
        ...(shops && { shops }),
        ...(state && { states: [state] }),
        ...(before !== null && { before }),
        limit: limit + 1,
      });
      const { rows, next } = pageOf(found, limit, ({ id }) => id);
      const calendars = new PromiseCalendars();
      const nowMs = service.clock.nowMs();
      const unattended = beginsByItself(service.config);
      const requests = await Promise.all(
        rows.map(async (row) => forPrincipal({ ...(await requestDocument(row, nowMs, calendars)), unattended }, principal)),
      );
      return { requests, next };
    },
  );
  api.get(
    '/v1/requests/:request',
    {
      config: { access: OWNER },
      schema: {
        tags: ['requests'],
        summary:
          'one request, with its history, its clock at this moment, and how far its restore is; its ETag changes when something happens',
        params,
        headers: z.object({ 'if-none-match': z.string().max(200).optional() }),
        response: { 200: requestInFull, 304: z.undefined().describe('nothing has happened since') },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const row = await visibleRequest(service, principal, request.params.request);
      const tag = await tagOf(service, row);
      reply.header('etag', tag);
      if (request.headers['if-none-match'] === tag) return reply.code(304).send(undefined);
      return await inFull(service, principal, row.id);
    },
  );
  for (const [verb, access, body, summary] of ACTS) {
    api.post(
      `/v1/requests/:request/${verb}`,
      { config: { access }, schema: { tags: ['requests'], summary, params, body, response: { 200: requestInFull } } },
      async (request) => {
        const principal = principalOf(request);
        const { id } = await visibleRequest(service, principal, request.params.request);
        const row = await inOwnWords(actOnRequest(service, id, verb, callerOf(principal), request.body.reason));
        await begin(service, row, principal);
        return await inFull(service, principal, id);
      },
    );
  }
}

/** Throws E_UNKNOWN_SHOP: in the same words whether there is none or it is somebody else's. */
function mustBeOwn({ config }: Service, principal: Principal, shop: string): void {
  requireShop(principal, shop, (name) => config.shops.has(name));
}

/** Throws E_NOT_FOUND. What may not be seen is not read either: it would show in the time that the answer takes. */
async function visibleRequest({ catalog }: Service, { shops }: Principal, id: string): Promise<RequestRow> {
  let query = catalog.db.selectFrom('requests').select('id').where('id', '=', id);
  if (shops !== null) query = query.where('shop', 'in', [...shops]);
  if ((await query.executeTakeFirst()) === undefined) throw notFound('request');
  return await readRequest(catalog, id);
}

/** What is approved is queued at once. That it could not be is not the caller's fault: the daemon looks again by itself. */
async function begin(service: Service, { id, shop, state }: RequestRow, { who }: Principal): Promise<void> {
  if (state !== 'approved' || !isUnattended(service.config)) return;
  try {
    await service.submit({ kind: 'restore', shop, request: id }, who);
  } catch (error) {
    const { code } = asCoffreError(error);
    service.log.error({ event: 'http.failed', method: 'POST', route: '/v1/requests', code, err: error }, 'a restore was not queued');
  }
}

async function tagOf({ catalog, feed }: Service, { id, runId }: RequestRow): Promise<string> {
  const last = await catalog.db
    .selectFrom('requestEvents')
    .select((eb) => eb.fn.max('id').as('id'))
    .where('requestId', '=', id)
    .executeTakeFirst();
  return `W/"${id}-${last?.id ?? 0}-${(runId === null ? null : feed.latest(runId)?.seq) ?? 0}"`;
}

async function inFull(service: Service, principal: Principal, id: string): Promise<z.output<typeof requestInFull>> {
  const { catalog, clock, feed } = service;
  const row = await readRequest(catalog, id);
  const unattended = beginsByItself(service.config);
  const { heldMs, history, restoreOpen, result, told, ...rest } = await fullRequestDocument(
    catalog,
    row,
    clock.nowMs(),
    new PromiseCalendars(),
  );
  const document = forPrincipal({ ...rest, unattended }, principal);
  const isUnderWay = row.state === 'running' || row.state === 'verifying';
  const latest = isUnderWay && row.runId !== null ? feed.latest(row.runId) : null;
  return {
    ...document,
    ...{ heldMs, restoreOpen, told },
    result: result && { ...result, checked: isTold(principal) ? [...result.checked] : [] },
    ...{ step: latest?.step ?? null, progress: latest?.progress ? progressOf(latest.progress) : null },
    history: history.map((event) => ({
      ...event,
      who: isTold(principal) || event.role === 'client' ? event.who : null,
      error: event.error && errorFor(principal, event.error),
    })),
  };
}

/** Who of the operators did it, and the words of an error, are theirs. */
function forPrincipal(document: RequestDocument & { readonly unattended: boolean }, principal: Principal): z.output<typeof requestBrief> {
  const told = isTold(principal);
  const { approvedBy, approvedRole, createdBy, createdRole, error, preview } = document;
  return {
    ...document,
    preview: mutablePreview(preview),
    createdBy: told || createdRole === 'client' ? createdBy : null,
    approvedBy: told || approvedRole === 'client' ? approvedBy : null,
    error: error && errorFor(principal, error),
  };
}

/** Schemas know no readonly arrays. */
const mutablePreview = ({
  emptied,
  lost,
  paths,
  snapshots,
  tables,
  unknown,
  ...rest
}: RequestDocument['preview']): z.output<typeof previewDocument> => ({
  ...{ ...rest, paths: [...paths], tables: [...tables], snapshots: [...snapshots], lost: [...lost] },
  ...{ emptied: [...emptied], unknown: [...unknown] },
});

const previewFor = ({ deadline, clockStarts, openSince, targetMs, unattended, ...preview }: Awaited<ReturnType<typeof previewNow>>) => ({
  ...mutablePreview(preview),
  ...{ deadline, clockStarts, openSince, targetMs, unattended },
});
