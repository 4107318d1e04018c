// Runs: what was done, is done and waits; asking for one, and calling it off.
import * as z from 'zod';
import { asItIs, runDetailDocument, runDocument } from '../catalog/run-document.ts';
import { pageOfRuns, readRun } from '../catalog/run-queue.ts';
import { ERRORS, type ErrorCode } from '../errors.ts';
import type { RunProgress } from '../schedule/feed.ts';
import type { Service } from '../schedule/service.ts';
import { taskSchema } from '../schedule/task-schema.ts';
import { principalOf } from './auth.ts';
import { bytes, idField, instant, shopName, sourceKind } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { ADMIN, isTold, maySee, notFound, OWNER, type Principal, unknownShop } from './principal.ts';
import type { Api } from './routes.ts';

export const runKind = z.enum(['backup', 'restore', 'prune', 'verify', 'catch-up', 'reconcile', 'probe', 'checkpoint', 'drill', 'export']);
export const runState = z.enum(['queued', 'running', 'done', 'failed', 'interrupted', 'cancelled']);

export const progressDocument = z.object({
  doneBytes: bytes,
  carriedBytes: z.int().describe('of these, what an older segment holds already'),
  totalBytes: bytes.nullable(),
  totalIsGuess: z.boolean().describe('the total is what the last run had'),
  storedBytes: bytes,
  segments: z.int(),
  reusedSegments: z.int(),
  files: z.int(),
  bytesPerSecond: z.number().nullable(),
  leftMs: z.number().nullable(),
});

export const runError = z.object({
  code: z.string(),
  message: z.string().describe('for clients: what the code means'),
  hint: z.string().describe('for administrators'),
});

const runFields = {
  id: idField,
  kind: runKind,
  shop: z.string(),
  source: sourceKind.nullable(),
  state: runState,
  who: z.string().nullable().describe('who asked for it; for administrators'),
  startedAt: instant.describe('while it is queued: since when'),
  endedAt: instant.nullable(),
  error: runError.nullable(),
  takesUp: idField.nullable().describe('the interrupted run that this one goes on with'),
};
const runBrief = z.object(runFields);
const runInFull = z.object({
  ...runFields,
  step: z.string().nullable().describe('what it does now'),
  progress: progressDocument.nullable(),
  steps: z.array(z.object({ step: z.string(), at: instant })),
  task: z.unknown().describe('what was asked for, of a run that was submitted; for administrators'),
  detail: z.unknown().describe('what it came to; for administrators'),
});

const params = z.object({ run: idField });

export function registerRuns(api: Api, service: Service): void {
  api.get(
    '/v1/runs',
    {
      config: { access: OWNER },
      schema: {
        tags: ['runs'],
        summary: 'runs, newest first',
        querystring: z.strictObject({
          ...pageQuery,
          shop: shopName.optional(),
          kind: runKind.optional(),
          state: runState.optional(),
        }),
        response: { 200: z.object({ runs: z.array(runBrief), next: nextField }) },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { cursor, limit, shop, kind, state } = request.query;
      if (shop !== undefined && !maySee(principal, shop)) throw unknownShop();
      const shops = shop !== undefined ? [shop] : principal.shops === null ? undefined : [...principal.shops];
      const before = decodeCursor(cursor, idField);
      const found = await pageOfRuns(service.catalog, {
        ...(shops && { shops }),
        ...(kind && { kinds: [kind] }),
        ...(state && { states: [state] }),
        ...(before !== null && { before }),
        limit: limit + 1,
      });
      const { rows, next } = pageOf(found, limit, ({ id }) => id);
      const now = await Promise.all(rows.map((row) => asItIs(service.catalog, row)));
      return { runs: now.map((row) => forPrincipal(runDocument(row), principal)), next };
    },
  );
  api.post(
    '/v1/runs',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['runs'],
        summary: 'ask for a run: it is queued before whatever is scheduled; one that waits already is not queued twice',
        body: taskSchema,
        response: { 202: z.object({ run: idField }) },
      },
    },
    async (request, reply) => {
      const run = await service.submit(request.body, principalOf(request).who);
      return reply.code(202).header('location', `/v1/runs/${run}`).send({ run });
    },
  );
  api.get(
    '/v1/runs/:run',
    {
      config: { access: OWNER },
      schema: { tags: ['runs'], summary: 'one run, with its steps and how far it is', params, response: { 200: runInFull } },
    },
    async (request) => await runFor(service, principalOf(request), request.params.run),
  );
  api.post(
    '/v1/runs/:run/cancel',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['runs'],
        summary: 'call a run off: one that waits never begins, one that is under way ends soon; what it stored stays',
        params,
        response: { 202: z.object({ run: idField, cancelled: z.boolean().describe('false: it had ended already') }) },
      },
    },
    async (request, reply) => {
      const { run } = request.params;
      const cancelled = await service.cancel(run, principalOf(request).who);
      return reply.code(202).send({ run, cancelled });
    },
  );
}

/** Throws E_NOT_FOUND: in the same words whether there is none or it is of a shop that may not be seen. */
async function runFor(service: Service, principal: Principal, id: string): Promise<z.output<typeof runInFull>> {
  const run = runDetailDocument(await asItIs(service.catalog, await visibleRun(service, principal, id)));
  const latest = run.state === 'running' || run.state === 'queued' ? service.feed.latest(id) : null;
  const told = isTold(principal);
  return {
    ...forPrincipal(run, principal),
    ...{ step: latest?.step ?? null, progress: latest?.progress ? progressOf(latest.progress) : null },
    ...{ steps: run.steps, task: told ? run.task : null, detail: told ? run.detail : null },
  };
}

/** Throws E_NOT_FOUND. What may not be seen is not read either: it would show in the time that the answer takes. */
export async function visibleRun({ catalog }: Service, { shops }: Principal, id: string): ReturnType<typeof readRun> {
  let query = catalog.db.selectFrom('runs').select('id').where('id', '=', id);
  if (shops !== null) query = query.where('shop', 'in', [...shops]);
  if ((await query.executeTakeFirst()) === undefined) throw notFound('run');
  return await readRun(catalog, id);
}

function forPrincipal(run: ReturnType<typeof runDocument>, principal: Principal): z.output<typeof runBrief> {
  const told = isTold(principal);
  return { ...run, who: told ? run.who : null, error: run.error && errorFor(principal, run.error) };
}

/** The words of an error name paths, hosts and vaults: clients are told what its code means. */
export function errorFor(
  principal: Principal,
  { code, message, hint = '' }: { readonly code: string; readonly message: string; readonly hint?: string },
): z.output<typeof runError> {
  if (isTold(principal)) return { code, message, hint };
  return { code, message: Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode].means : 'it failed', hint: '' };
}

/** Schemas know no readonly fields; what else a progress holds is left out. */
export function progressOf(progress: RunProgress): z.output<typeof progressDocument> {
  return { ...progress };
}
