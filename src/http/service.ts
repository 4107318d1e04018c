// The daemon itself: whether it lives, whether it is ready, what it does now, who asks it, and its configuration read anew.
import { sql } from 'kysely';
import * as z from 'zod';
import { overdueContracts } from '../billing/due-statements.ts';
import { breachesOfOthers, breachState } from '../catalog/breaches.ts';
import { incidentsOfOthers } from '../catalog/incidents.ts';
import { channelTroubles } from '../catalog/messages.ts';
import type { Service } from '../schedule/service.ts';
import { TASK_KINDS } from '../schedule/task.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { principalOf } from './auth.ts';
import { idField, instant, instantOf, sourceKind } from './fields.ts';
import { type Access, ADMIN, EVERY_ROLE } from './principal.ts';
import type { Api } from './routes.ts';
import { errorFor } from './runs.ts';

const SERVICE: Access = ['admin', 'monitor'];

const serviceDocument = z.object({
  version: z.string(),
  startedAt: instant,
  config: z.string().describe('the configuration file'),
  timezone: z.string(),
  shops: z.int().describe('how many are declared'),
  running: z.array(
    z.object({
      run: idField,
      kind: z.enum(TASK_KINDS),
      shop: z.string(),
      source: sourceKind.nullable(),
      who: z.string(),
      startedAt: instant,
      hung: z.boolean().describe('it was told to stop, and does not'),
    }),
  ),
  queued: z.int().describe('submitted runs that wait'),
  due: z.int().describe('scheduled slots that are due and wait'),
  loading: z.boolean().describe('the schedule is still being read: nothing begins yet'),
  stopping: z.boolean(),
  configProblem: z
    .object({ at: instant, code: z.string(), message: z.string(), hint: z.string() })
    .nullable()
    .describe('why the file was not taken when it was last read: the configuration before is in force'),
  notifications: z
    .array(
      z.object({
        channel: z.enum(['mail', 'webhook', 'ping']),
        waiting: z.int().describe('messages that are still to be sent'),
        since: instant,
        code: z.string(),
        error: z.string().describe('for administrators; to others what the code means'),
      }),
    )
    .describe('channels over which nobody can be told'),
  unbilled: z.array(z.string()).describe('contracts of which the daemon should have issued a statement'),
  breaches: z
    .array(z.object({ id: idField, vault: z.string(), deadline: instant, overdue: z.boolean() }))
    .describe('cases of tampering or loss whose clients were not told, and that are of no declared shop: no shop is red for them'),
  incidents: z
    .array(z.object({ shop: z.string(), vault: z.string(), kind: z.string(), count: z.int() }))
    .describe('incidents that nobody has looked into, and that are of no declared shop: no shop is red for them'),
});

export function registerService(api: Api, service: Service): void {
  const alive = { 200: z.object({ ok: z.literal(true) }) };
  api.get(
    '/healthz',
    { config: { access: 'anyone' }, schema: { tags: ['service'], summary: 'whether the daemon lives', security: [], response: alive } },
    async () => ({ ok: true as const }),
  );
  api.get(
    '/readyz',
    {
      config: { access: 'anyone' },
      schema: {
        tags: ['service'],
        summary: 'whether the daemon takes work: its catalog answers, its schedule is read, and it does not stop',
        security: [],
        response: { 200: z.object({ ready: z.literal(true) }), 503: z.object({ ready: z.literal(false) }) },
      },
    },
    async (_request, reply) => {
      const answers = await sql`select 1 from "runs" limit 1`.execute(service.catalog.db).then(
        () => true,
        () => false,
      );
      const { loading, stopping } = service.state;
      if (answers && !loading && !stopping) return { ready: true as const };
      return reply.code(503).send({ ready: false });
    },
  );
  api.get(
    '/v1/me',
    {
      config: { access: EVERY_ROLE },
      schema: {
        tags: ['service'],
        summary: 'who asks, and what they may see',
        response: {
          200: z.object({
            who: z.string(),
            role: z.enum(['admin', 'client', 'billing', 'monitor']),
            shops: z.array(z.string()).nullable().describe('null: all of them'),
            expiresAt: instant.nullable(),
          }),
        },
      },
    },
    async (request) => {
      const { who, role, shops, expiresAt } = principalOf(request);
      return { who, role, shops: shops && [...shops], expiresAt: expiresAt === null ? null : instantOf(expiresAt) };
    },
  );
  api.get(
    '/v1/service',
    { config: { access: SERVICE }, schema: { tags: ['service'], summary: 'what the daemon does now', response: { 200: serviceDocument } } },
    async (request) => {
      const { catalog, clock, config, state, version } = service;
      const principal = principalOf(request);
      const { configProblem, queued, due, loading, stopping } = state;
      return {
        ...{ version, startedAt: instantOf(state.startedAt), config: config.file, timezone: config.timezone, shops: config.shops.size },
        running: state.running.map((run) => ({ ...run, startedAt: instantOf(run.startedAt) })),
        ...{ queued, due, loading, stopping, configProblem: configProblem && { ...configProblem, at: instantOf(configProblem.at) } },
        notifications: (await channelTroubles(catalog.db, clock.nowMs())).map(({ code, error, since, ...trouble }) => ({
          ...{ ...trouble, since: instantOf(since), code, error: errorFor(principal, { code, message: error }).message },
        })),
        unbilled: await overdueContracts(catalog.db, config.contracts.values(), clock.now()),
        breaches: (await breachesOfOthers(catalog.db, config.shops.values(), DAEMON_SHOP)).map((row) => ({
          ...{ id: row.id, vault: row.vault, deadline: instantOf(row.deadline) },
          overdue: breachState(row, clock.nowMs()) === 'overdue',
        })),
        incidents: await incidentsOfOthers(catalog.db, config.shops.values(), DAEMON_SHOP),
      };
    },
  );
  api.post(
    '/v1/reload',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['service'],
        summary: 'take the configuration file as it is now; a wrong one is refused, and the old one stays',
        response: { 200: z.object({ config: z.string(), shops: z.int() }) },
      },
    },
    async (request) => {
      await service.reload(principalOf(request).who);
      return { config: service.config.file, shops: service.config.shops.size };
    },
  );
}
