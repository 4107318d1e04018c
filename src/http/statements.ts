// Statements for the billing module: as they would be, as they were issued, and the orders to issue and to correct them.
import type { FastifyReply } from 'fastify';
import * as z from 'zod';
import { type CorrectionRow, correctStatement, waitingCorrections, withdrawCorrection } from '../billing/corrections.ts';
import { contractPeaksInThread } from '../billing/in-thread.ts';
import { statementsCsv } from '../billing/statement-csv.ts';
import { statementsHtml } from '../billing/statement-html.ts';
import { type BillingDeps, documentOf, requireContract, type StatementRow, statementRow } from '../billing/statement-rows.ts';
import { type Statement, statementJsonSchema, statementSchema } from '../billing/statement-schema.ts';
import { issueCorrections, issueStatement, pageOfStatements, readStatement } from '../billing/statements.ts';
import { LANGUAGES } from '../document/wording.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { tagged } from './billing.ts';
import { idField, instant, instantOf, reason, shopName } from './fields.ts';
import { decodeCursor, nextField, pageOf, pageQuery } from './page.ts';
import { ADMIN, BILLING, isTold } from './principal.ts';
import type { Api } from './routes.ts';

const contractName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
  .describe('name of a contract');
const month = z
  .string()
  .regex(/^\d{4}-(0[1-9]|1[0-2])$/)
  .describe('YYYY-MM: any month of the contract’s period, in its time zone');
/** What is no number at all is the number of no statement. */
const anyNumber = z.string().min(1).max(100).describe('its number, such as csi-001-2026-0001');
const form = {
  format: z.enum(['json', 'csv', 'html']).default('json'),
  lang: z.enum(LANGUAGES).default('en').describe('of html, and of the decimals in csv'),
};
const forms = {
  description: 'the statement',
  content: {
    'application/json': { schema: statementSchema },
    'text/csv': { schema: z.string() },
    'text/html': { schema: z.string() },
  },
};

const listed = z.object({
  ...{ number: z.string(), contract: z.string(), kind: z.enum(['period', 'correction']) },
  period: z.string().describe('its first month; of a correction the month in which it was issued'),
  ...{ currency: z.string(), net: z.string().describe('before tax'), issuedAt: instant },
  issuedBy: z.string().nullable().describe('null: not told to this role'),
  hash: z.string(),
});
const correctionFields = z.object({
  ...{ correction: idField, statement: z.string(), amount: z.string(), shop: z.string().nullable(), reason: z.string(), at: instant },
});

export function registerStatements(api: Api, service: Service): void {
  const { catalog } = service;
  const deps = (): BillingDeps => ({ catalog, clock: service.clock, config: service.config, peaks: contractPeaksInThread });
  api.get(
    '/v1/billing/statement.schema.json',
    {
      config: { access: 'anyone' },
      onSend: tagged,
      schema: {
        tags: ['billing'],
        summary: 'JSON Schema of statements',
        security: [],
        response: { 200: z.record(z.string(), z.unknown()) },
      },
    },
    async () => statementJsonSchema() as Record<string, unknown>,
  );
  api.get(
    '/v1/billing/statement',
    {
      config: { access: BILLING },
      onSend: tagged,
      schema: {
        tags: ['billing'],
        summary: 'what a contract costs for a period: as it was issued, else as it would be now',
        querystring: z.strictObject({ contract: contractName, month, ...form }),
        response: { 200: forms },
      },
    },
    async (request, reply) => {
      const { contract, month: asked, ...rest } = request.query;
      const statement = await readStatement(deps(), requireContract(service.config, contract), asked);
      return await sendAs(reply, statement, rest);
    },
  );
  api.get(
    '/v1/billing/statements',
    {
      config: { access: BILLING },
      onSend: tagged,
      schema: {
        tags: ['billing'],
        summary: 'statements that were issued, newest first',
        querystring: z.strictObject({
          ...pageQuery,
          contract: contractName.optional(),
          year: z.coerce.number().int().min(1970).max(9999).optional().describe('of issue'),
        }),
        response: {
          200: z.object({
            statements: z.array(listed),
            corrections: z.array(correctionFields).describe('those that wait for the next statement of their contract'),
            next: nextField,
          }),
        },
      },
    },
    async (request) => {
      const { contract, cursor, limit, year } = request.query;
      const before = decodeCursor(cursor, z.int().nonnegative());
      const found = await pageOfStatements(catalog.db, { contract, year, before: before ?? undefined, limit: limit + 1 });
      const { rows, next } = pageOf(found, limit, ({ id }) => id);
      const waiting = await waitingCorrections(catalog.db, contract);
      const told = isTold(principalOf(request));
      return {
        statements: rows.map((row) => listedFields(row, told)),
        corrections: waiting.map(correctionDocument),
        next,
      };
    },
  );
  api.get(
    '/v1/billing/statements/:statement',
    {
      config: { access: BILLING },
      onSend: tagged,
      schema: {
        tags: ['billing'],
        summary: 'one as it was issued',
        params: z.object({ statement: anyNumber }),
        querystring: z.strictObject(form),
        response: { 200: forms },
      },
    },
    async (request, reply) => {
      const statement = documentOf(await statementRow(catalog.db, request.params.statement));
      return await sendAs(reply, statement, request.query);
    },
  );
  api.post(
    '/v1/billing/corrections/:correction/withdraw',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['billing'],
        summary: 'take back a correction that no statement carries yet',
        params: z.object({ correction: idField }),
        body: z.strictObject({ reason }),
        response: {
          201: z.object({ withdrawn: idField, correction: correctionFields.describe('its opposite, which no statement carries') }),
        },
      },
    },
    async (request, reply) => {
      const { correction } = request.params;
      const made = await withdrawCorrection(deps(), { correction, reason: request.body.reason, who: principalOf(request).who });
      return await reply.code(201).send({ withdrawn: correction, correction: correctionDocument(made) });
    },
  );
  api.post(
    '/v1/billing/statements',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['billing'],
        summary: 'issue the statement of a period, once: who asks again gets the same one (200)',
        body: z.strictObject({ contract: contractName, month }),
        response: { 200: statementSchema, 201: statementSchema },
      },
    },
    async (request, reply) => {
      const { contract, month: asked } = request.body;
      const who = principalOf(request).who;
      const { isNew, statement } = await issueStatement(deps(), requireContract(service.config, contract), asked, who);
      return await reply.code(isNew ? 201 : 200).send(statement);
    },
  );
  api.post(
    '/v1/billing/statements/:statement/corrections',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['billing'],
        summary: 'correct a statement: it stays as it is, and the next one of its contract carries a line',
        params: z.object({ statement: anyNumber }),
        body: z.strictObject({
          amount: z
            .string()
            .regex(/^-?\d{1,9}(\.\d{1,4})?$/)
            .nullable()
            .describe(
              'before tax, negative for a credit; null: what volume and use would be now, less what was billed and recomputed for them',
            ),
          shop: shopName.nullable().default(null).describe('whose it is; null: divided as the statement was'),
          reason,
          beyond: z.boolean().default(false).describe('a credit may be more than what was billed, less earlier credits'),
          issue: z.boolean().default(false).describe('issue a statement of the corrections that wait, now'),
        }),
        response: {
          201: z.object({
            correction: correctionFields,
            apart: z.array(correctionFields).describe('of a recomputed one: amounts that were given before, which stay'),
            statement: statementSchema.nullable(),
          }),
        },
      },
    },
    async (request, reply) => {
      const { amount, beyond, issue, reason: why, shop } = request.body;
      const { who } = principalOf(request);
      const row = await statementRow(catalog.db, request.params.statement);
      const contract = requireContract(service.config, row.contract);
      const { apart, made } = await correctStatement(deps(), contract, { statement: row.number, amount, shop, reason: why, who, beyond });
      const issued = issue ? await issueCorrections(deps(), contract, who) : [];
      const carries = ({ lines }: Statement): boolean => lines.some((line) => line.kind === 'correction' && line.id === made.correction);
      const statement = issued.find(carries) ?? null;
      return await reply.code(201).send({ correction: correctionDocument(made), apart: apart.map(correctionDocument), statement });
    },
  );
  api.post(
    '/v1/billing/corrections/issue',
    {
      config: { access: ADMIN },
      schema: {
        tags: ['billing'],
        summary: 'issue statements of the corrections that wait: one for each tax rate and currency of what they correct',
        body: z.strictObject({ contract: contractName }),
        response: {
          200: z.object({ statements: z.array(statementSchema).describe('none: nothing waits') }),
          201: z.object({ statements: z.array(statementSchema) }),
        },
      },
    },
    async (request, reply) => {
      const contract = requireContract(service.config, request.body.contract);
      const statements = await issueCorrections(deps(), contract, principalOf(request).who);
      return statements.length === 0 ? await reply.code(200).send({ statements: [] }) : await reply.code(201).send({ statements });
    },
  );
}

const correctionDocument = ({
  amount,
  at,
  correction,
  reason: why,
  shop,
  statement,
}: CorrectionRow): z.output<typeof correctionFields> => ({
  ...{ correction, statement, amount, shop, reason: why, at: instantOf(at) },
});

interface Form {
  readonly format: 'json' | 'csv' | 'html';
  readonly lang: (typeof LANGUAGES)[number];
}

async function sendAs(reply: FastifyReply, statement: Statement, { format, lang }: Form): Promise<never> {
  // what a route answers with is one of several forms: the type of it is of no use here
  const sent = reply as unknown as { send(payload: unknown): Promise<never> };
  if (format === 'json') return await sent.send(statement);
  const name = `${statement.number ?? `${statement.contract}-${statement.period?.from.slice(0, 7) ?? 'corrections'}`}.${format}`;
  reply.header('content-disposition', `${format === 'csv' ? 'attachment' : 'inline'}; filename="${name}"`);
  if (format === 'html') reply.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
  reply.type(`text/${format}; charset=utf-8`).serializer(String);
  return await sent.send(format === 'csv' ? statementsCsv([statement], lang) : statementsHtml([statement], lang));
}

function listedFields(row: StatementRow, told: boolean): z.output<typeof listed> {
  const { contract, currency, hash, issuedBy, kind, net, number, period } = row;
  return {
    ...{ number, contract, kind, period, currency, net, hash },
    issuedAt: instantOf(row.issuedAt),
    issuedBy: told ? issuedBy : null,
  };
}
