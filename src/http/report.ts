// The report of a shop: everything that was done for it in a period. Its owner's too, without what is for operators alone.

import type { FastifyReply } from 'fastify';
import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';
import type { Language } from '../document/wording.ts';
import { readReport, requirePeriod } from '../report/read-report.ts';
import { reportCsv } from '../report/report-csv.ts';
import { reportPage } from '../report/report-page.ts';
import { type Report, reportSchema } from '../report/report-schema.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { shopName } from './fields.ts';
import { isTold, OWNER } from './principal.ts';
import type { Api } from './routes.ts';
import { readShop } from './shops.ts';

const query = z.strictObject({
  from: z.iso.date().optional().describe('first day, in the configured time zone; left out: the first of the month of `to`'),
  to: z.iso.date().optional().describe('last day, which is in the period; left out: today'),
  format: z.enum(['json', 'csv', 'html']).default('json'),
  lang: z.enum(['fr', 'en']).default('en').describe('of html, and of the decimals in csv'),
});

export function registerReport(api: Api, service: Service): void {
  api.get(
    '/v1/shops/:shop/report',
    {
      config: { access: OWNER },
      schema: {
        tags: ['shops'],
        summary: 'everything that was done for a shop in a period; reasons and legal holds for administrators alone',
        params: z.object({ shop: shopName }),
        querystring: query,
        response: {
          200: {
            description: 'the report',
            content: {
              'application/json': { schema: reportSchema },
              'text/csv': { schema: z.string() },
              'text/html': { schema: z.string() },
            },
          },
        },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const { shop } = await readShop(service, principal, request.params.shop);
      const { catalog, clock, config } = service;
      const { format, from, lang, to } = request.query;
      const today = clock.now().toZonedDateTimeISO(config.timezone).toPlainDate();
      const last = to === undefined ? today : Temporal.PlainDate.from(to);
      const period = requirePeriod({ from: from === undefined ? last.with({ day: 1 }) : Temporal.PlainDate.from(from), to: last }, today);
      const report = await readReport(config, catalog, { shop, ...period, nowMs: clock.nowMs(), isTold: isTold(principal) });
      return await sendAs(reply, report, format, lang);
    },
  );
}

async function sendAs(reply: FastifyReply, report: Report, format: 'json' | 'csv' | 'html', lang: Language): Promise<never> {
  // what a route answers with is one of several forms: the type of it is of no use here
  const sent = reply as unknown as { send(payload: unknown): Promise<never> };
  if (format === 'json') return await sent.send(report);
  const { period, shop } = report;
  reply.header(
    'content-disposition',
    `${format === 'csv' ? 'attachment' : 'inline'}; filename="${shop}-${period.from}-${period.to}.${format}"`,
  );
  if (format === 'html') reply.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
  reply.type(`text/${format}; charset=utf-8`).serializer(String);
  return await sent.send(format === 'csv' ? reportCsv(report, lang) : reportPage(report, lang));
}
