// How long a shop's restore would take: the document of `coffre estimate`; a client is not told what the host could change.
import * as z from 'zod';
import { RATE_PHASES } from '../catalog/rates.ts';
import { type EstimateDocument, estimateDocument, readEstimateWithAdvice } from '../schedule/restore-estimate.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { bytes, shopName, sourceKind } from './fields.ts';
import { isTold, OWNER, requireShop, unknownShop } from './principal.ts';
import type { Api } from './routes.ts';

const range = { expectedMs: z.int(), lowMs: z.int(), highMs: z.int() };
const phase = z.enum(RATE_PHASES);
const phaseFields = z.object({
  ...{ phase, bytes, bytesPerSecond: z.int().nullable(), measurements: z.int(), ...range },
  basis: z.enum(['shop', 'host', 'elsewhere']).describe('whose measurements it comes from'),
});

const fields = z.object({
  shop: shopName,
  targetMs: z.int(),
  calendar: z.enum(['business', '24x7']),
  fit: z.enum(['yes', 'tight', 'no']).nullable().describe('tight: within the target as expected, not at its slowest; null: unknown'),
  snapshots: z.array(z.object({ source: z.string(), id: z.string(), plainBytes: bytes, storedBytes: bytes })),
  countedMs: z.int().nullable().describe('of the expected time the most that the plan’s clock counts'),
  estimate: z
    .object({
      ...{ vault: z.string().describe('that it would be read from'), ...range },
      combined: z.enum(['single', 'beside', 'summed']).describe('summed: the sources were measured apart only'),
      notIncluded: z.array(phase).describe('in place, and never measured'),
      sources: z.array(z.object({ source: sourceKind, boundBy: z.enum(['download', 'work']), ...range, phases: z.array(phaseFields) })),
      phases: z.array(phaseFields).describe('of the whole shop'),
    })
    .nullable(),
  notMeasured: z
    .array(z.object({ source: sourceKind, phase, vault: z.string().optional().describe('of download') }))
    .describe('why there is no estimate'),
  advice: z.array(z.looseObject({ kind: z.string() })).describe('what would make it faster; for administrators'),
});

export function registerEstimate(api: Api, service: Service): void {
  api.get(
    '/v1/shops/:shop/estimate',
    {
      config: { access: OWNER },
      schema: {
        tags: ['shops'],
        summary: 'how long a restore of the newest good snapshots would take, from what was measured, and whether that keeps the promise',
        params: z.object({ shop: shopName }),
        response: { 200: fields },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { catalog, clock, config } = service;
      requireShop(principal, request.params.shop, (name) => config.shops.has(name));
      const shop = config.shops.get(request.params.shop);
      if (shop === undefined) throw unknownShop();
      const { advice, ...told } = await readEstimateWithAdvice(config, catalog, shop, clock.nowMs());
      const document: EstimateDocument = estimateDocument(told, isTold(principal) ? advice : []);
      return document satisfies z.input<typeof fields>;
    },
  );
}
