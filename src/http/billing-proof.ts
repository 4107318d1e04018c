// What a bill rests on, for the billing module: the proof of a period, what made its peak, and where the present one is going.
import * as z from 'zod';
import { PURPOSES, type Purpose, windowsOf } from '../billing/explain.ts';
import { explainPeakInThread } from '../billing/in-thread.ts';
import { isKnownShop } from '../billing/level.ts';
import { requireBegun } from '../billing/month.ts';
import { runningIn } from '../billing/period.ts';
import type { ContractConfig } from '../config/config.ts';
import { parseDuration } from '../config/quantity.ts';
import { CoffreError } from '../errors.ts';
import type { Service } from '../schedule/service.ts';
import { tagged } from './billing.ts';
import { bytes, instant, shopName } from './fields.ts';
import { BILLING, unknownShop } from './principal.ts';
import type { Api } from './routes.ts';

const period = z
  .string()
  .regex(/^\d{4}(-(0[1-9]|1[0-2])|-Q[1-4])?$/)
  .describe('YYYY-MM, YYYY-Q1 to YYYY-Q4 or YYYY, in the time zone of each contract');
const contractName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
  .describe('name of a contract');
const purpose = z.enum(Object.keys(PURPOSES) as [Purpose, ...Purpose[]]);

const check = z.object({
  name: z.enum(['chain', 'anchors', 'days', 'purge', 'objects', 'checkpoint', 'statements', 'peaks', 'store']),
  vault: z.string().nullable(),
  outcome: z.enum(['proven', 'broken', 'unchecked']).describe('unchecked: it could not be looked at, and detail says why'),
  detail: z.string(),
  findings: z.array(z.string()).describe('each altered, missing or reordered place, once: what follows from it is said with it'),
  more: z.int().optional().describe('so many more findings, which are not listed'),
});

const explanation = z.object({
  ...{ month: z.string(), contract: z.string(), vault: z.string(), peakBytes: bytes, at: instant },
  measured: z.boolean().describe('false: nothing was measured by then, and a peak of 0 is not known to be one'),
  purposes: z.array(z.object({ purpose, bytes: z.int(), objects: z.int(), means: z.string() })),
  shops: z.array(z.object({ shop: z.string(), bytes: z.int(), purposes: z.partialRecord(purpose, z.int()) })),
  objects: z
    .array(
      z.object({
        ...{ shop: z.string(), key: z.string(), versionId: z.string(), bytes: z.int(), kind: z.string(), purpose },
        snapshots: z.array(z.string()).describe('that used it, as far as they are known'),
        ...{ neededUntil: instant.nullable(), lockedUntil: instant.nullable().describe('as it was read back last') },
        lockReadAt: instant.nullable().describe('when; after the peak: it may have been given since'),
      }),
    )
    .describe('the largest'),
  instead: z.array(z.object({ what: z.string(), peakBytes: z.int(), savedBytes: z.int() })).describe('what other settings would have cost'),
  limits: z.array(z.string()).describe('how that was worked out, and what it does not see'),
});

const level = z.object({ bytes, at: instant });
const forecast = z.object({
  now: instant.describe('when it was made, a quarter of an hour ago at most'),
  contracts: z.array(
    z.object({
      ...{ contract: z.string(), vault: z.string(), until: instant, levelBytes: z.int(), peakSoFar: level, peak: level, endBytes: bytes },
      billedTB: z.object({ soFar: z.string(), forecast: z.string() }),
      nextStep: z.object({ bytes, reachedAt: instant.nullable() }),
      days: z.array(level),
    }),
  ),
  quotas: z.array(
    z.object({
      ...{ shop: z.string(), usedBytes: bytes, limitBytes: bytes, endBytes: bytes },
      ...{ state: z.enum(['within', 'near', 'over']), reachedAt: instant.nullable() },
    }),
  ),
  notices: z.array(z.object({ id: z.string(), kind: z.enum(['step', 'quota']), name: z.string(), bytes, at: instant })),
  limits: z.array(z.string()),
});

export function registerProof(api: Api, service: Service): void {
  api.get(
    '/v1/billing/prove',
    {
      config: { access: BILLING },
      onSend: tagged,
      schema: {
        tags: ['billing'],
        summary: 'ledger, anchors, statements, locked checkpoints and the store’s own listing against each other; may take minutes',
        querystring: z.strictObject({
          ...{ month: period, contract: contractName.optional() },
          all: z.enum(['true', 'false']).default('false').describe('computes every statement again, not only those of the month'),
        }),
        response: {
          200: z.object({
            month: z.string(),
            ok: z.boolean().describe('nothing is broken'),
            contracts: z.array(z.object({ contract: z.string(), vault: z.string(), peakBytes: bytes.nullable(), at: instant.nullable() })),
            checks: z.array(check),
          }),
        },
      },
    },
    async ({ query }) => {
      const contracts = chosen(service, query.contract);
      begun(service, query.month, contracts);
      const isNamed = query.contract !== undefined;
      const proof = await service.billing.prove({ month: query.month, contracts, isNamed, isAll: query.all === 'true' });
      const checks = proof.checks.map((one) => ({ ...one, findings: [...one.findings] }));
      return { month: proof.month, ok: proof.ok, contracts: [...proof.contracts], checks };
    },
  );
  api.get(
    '/v1/billing/explain',
    {
      config: { access: BILLING },
      onSend: tagged,
      schema: {
        tags: ['billing'],
        summary: 'which objects made each contract’s peak, and what other settings would have cost',
        querystring: z.strictObject({
          ...{ month: period, contract: contractName.optional(), shop: shopName.optional() },
          window: z.string().max(20).optional().describe('the window to be tried, such as 7d; without it half of each plan’s'),
        }),
        response: { 200: z.object({ contracts: z.array(explanation) }) },
      },
    },
    async ({ query }) => {
      const { month, shop = null, window } = query;
      const windowMs = window === undefined ? null : parseDuration(window);
      if (window !== undefined && windowMs === null) throw new CoffreError('E_REQUEST', 'window is no duration such as 7d');
      const explained: z.infer<typeof explanation>[] = [];
      const all = chosen(service, query.contract);
      begun(service, month, all);
      if (shop !== null && !(await isKnownShop(service.catalog.db, service.config, shop))) throw unknownShop();
      for (const contract of query.contract === undefined ? runningIn(all, month) : all) {
        if (shop !== null && contract.shops !== null && !contract.shops.includes(shop)) continue;
        const request = { month, contract, shop, plans: windowsOf(service.config), windowMs };
        explained.push((await explainPeakInThread(service.catalog, request)) as z.infer<typeof explanation>);
      }
      return { contracts: explained };
    },
  );
  api.get(
    '/v1/billing/forecast',
    {
      config: { access: BILLING },
      onSend: tagged,
      schema: {
        tags: ['billing'],
        summary: 'level and peak to the end of each contract’s period, its next step, and quotas',
        response: { 200: forecast },
      },
    },
    async () => (await service.billing.forecast()) as z.infer<typeof forecast>,
  );
}

/** Throws E_USAGE for a period that is still to come. */
function begun({ clock, config }: Service, month: string, contracts: Iterable<ContractConfig>): void {
  requireBegun(month, [config.timezone, ...[...contracts].map(({ timezone }) => timezone)], clock.now(), '/v1/billing/forecast');
}

/** All, or the one that was named. Throws E_UNKNOWN_CONTRACT. */
function chosen({ config }: Service, name: string | undefined): readonly ContractConfig[] {
  if (name === undefined) return [...config.contracts.values()];
  const contract = config.contracts.get(name);
  if (!contract) throw new CoffreError('E_UNKNOWN_CONTRACT', 'no such contract');
  return [contract];
}
