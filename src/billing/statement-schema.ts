// The document of a statement. config/statement.schema.json is this as JSON Schema; a test keeps both the same.
import * as z from 'zod';

const day = z.iso.date().describe('a day in the contract’s time zone');
const instant = z.iso.datetime({ offset: true }).describe('RFC 3339');
const bytes = z.int().describe('bytes');
const money = z
  .string()
  .regex(/^-?\d+(\.\d+)?$/)
  .describe('an amount in the statement’s currency, with all its decimals');
const decimal = z
  .string()
  .regex(/^\d+(\.\d+)?$/)
  .describe('a decimal number');
const tb = decimal.describe('TB: 10^12 bytes');
const number = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}-\d{4}-\d{4,}$/)
  .describe('contract, year of issue, place in that year');
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const shop = z.string().describe('name of a shop');

const periodFields = {
  from: day.describe('its first day'),
  to: day.describe('its last day'),
  months: z.int().min(1).max(12),
  start: instant.describe('its first instant'),
  end: instant.describe('the first instant after it'),
};

const index = z
  .strictObject({
    ...{ basePrice: decimal.describe('P0'), s0: decimal.describe('S0'), s: decimal.describe('S') },
    date: day.describe('since when S was the newest value'),
    anniversary: day.describe('since when the price is indexed with it'),
  })
  .describe('unitPrice is P0 x S / S0, rounded half up to four decimals');

const use = {
  ...{ from: day, to: day, quantityTB: tb },
  months: z
    .strictObject({ numerator: z.int().positive(), denominator: z.int().positive() })
    .describe('months of the line; of a month in part, its days divided by all days of that month'),
  unitPrice: decimal.describe('of a TB and month'),
  index: index.nullable().describe('null: the price as agreed'),
  amount: money.describe('quantityTB x months x unitPrice, rounded half up to the smallest unit'),
};

export const correctionLine = z.strictObject({
  kind: z.literal('correction'),
  id: z.string(),
  of: number.describe('the statement that it corrects, which stays as it was'),
  at: instant,
  reason: z.string(),
  shop: shop.nullable().describe('whom it is billed to; null: divided as the corrected statement was'),
  amount: money,
});

export const statementLine = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('subscribed'), ...use }),
  z.strictObject({ kind: z.literal('variable'), ...use }),
  correctionLine,
]);

const measured = z.strictObject({
  ...periodFields,
  peakBytes: bytes.describe('the highest level of the period, over all shops of the contract together'),
  peakAt: instant.describe('when it was first reached'),
  ...{ subscribedTB: tb, variableTB: tb.describe('ceil(max(0, peak - subscribed) / step) x step'), billedTB: tb.describe('both together') },
  shops: z.array(
    z.strictObject({ shop, peakBytes: bytes, peakAt: instant, shareBytes: bytes.describe('its level at peakAt of the contract') }),
  ),
});

const weight = z
  .int()
  .nonnegative()
  .describe(
    'by which the charges were divided: bytes, with flat 1; where all are 0, equally. Of nothing but corrections that of the corrected statement, 0 where they do not share one',
  );

const terms = z
  .strictObject({
    ...{ subscribedTB: tb, stepTB: tb, period: z.enum(['month', 'quarter', 'year']), paid: z.enum(['arrears', 'advance']) },
    ...{ firstMonth: z.int().min(1).max(12), start: day.nullable(), end: day.nullable(), perTBMonth: decimal },
    prices: z.array(z.strictObject({ from: day, perTBMonth: decimal, s0: decimal.nullable() })),
    index: z.strictObject({ s0: decimal, anniversary: day, values: z.array(z.strictObject({ date: day, value: decimal })) }).nullable(),
    taxPercent: decimal.nullable().describe('on the last day of the period'),
    taxRates: z
      .array(z.strictObject({ from: day.nullable().describe('null: from the beginning'), percent: decimal }))
      .optional()
      .describe('up to the period’s end; not in version 1'),
    rebill: z.enum(['share', 'peak', 'flat', 'none']),
    covers: z.array(shop).nullable().describe('shops whose bytes are measured; null: everything in its vault'),
    shops: z.array(shop).describe('shops of the configuration that it covered: they pay the same each where nothing was stored'),
  })
  .describe('the contract as it was applied, prices and index values up to the period’s end');

export const statementSchema = z
  .strictObject({
    version: z.union([z.literal(1), z.literal(2)]).describe('1: issued by an older coffre'),
    kind: z.enum(['period', 'correction']).describe('correction: nothing but corrections of other statements'),
    state: z.enum(['issued', 'draft', 'provisional']).describe('draft: it may be issued; provisional: what it tells of is not over'),
    number: number.nullable().describe('null: not issued'),
    issuedAt: instant.nullable(),
    previous: hash.nullable().describe('hash of the statement issued before this one, of whatever contract; of the first: zeros'),
    ...{ contract: z.string(), title: z.string().nullable(), vault: z.string(), timezone: z.string() },
    period: z
      .strictObject(periodFields)
      .nullable()
      .describe('null: of corrections, which are of the periods of what they correct; in version 1 that in which they were issued'),
    measured: measured
      .nullable()
      .describe('what variable use is counted from; paid in advance: the period before. null: nothing was due, or nothing is known of it'),
    terms,
    currency: z.string().regex(/^[A-Z]{3}$/),
    decimals: z.int().min(0).max(4).describe('of amounts'),
    lines: z.array(statementLine),
    net: money.describe('before tax: the sum of the lines'),
    tax: z
      .strictObject({ percent: decimal.nullable().describe('null: several, in taxes'), amount: money })
      .nullable()
      .describe('of all lines together'),
    taxes: z
      .array(z.strictObject({ percent: decimal, net: money, amount: money.describe('net x percent, rounded half up') }))
      .optional()
      .describe('of each rate; a line has that of the last day of what it bills, a correction that of what it corrects; not in version 1'),
    total: money.describe('with tax'),
    rebilling: z
      .strictObject({
        by: z.enum(['share', 'peak', 'flat']),
        shops: z.array(z.strictObject({ shop, weight, amount: money.describe('before tax') })),
        unassigned: money.describe('what no shop is there for; with the shops’ amounts it is net, to the smallest unit'),
      })
      .nullable(),
    notices: z
      .array(z.strictObject({ code: z.enum(['index-unknown', 'unmeasured']), day }))
      .describe(
        'index-unknown: of that anniversary, the price before goes on. unmeasured (not in version 1): the ledger knows nothing of the measured period through that day; through its last one: variable use is not billed',
      ),
    hash: hash.nullable().describe('hex SHA-256 of the document without this key, as jq -cjS prints it; null: not issued'),
  })
  .describe('What a contract costs for a period');

export type Statement = z.output<typeof statementSchema>;
export type StatementLine = Statement['lines'][number];
export type CorrectionLine = z.output<typeof correctionLine>;
/** What it says, whoever issues it and when. */
export type StatementBody = Omit<Statement, 'state' | 'number' | 'issuedAt' | 'previous' | 'hash'>;

/** For whoever reads statements: JSON Schema, draft 2020-12. */
export function statementJsonSchema(): object {
  const { $schema, ...schema } = z.toJSONSchema(statementSchema, { target: 'draft-2020-12' });
  return { $schema, $id: 'urn:coffre:statement:2', title: 'statement', ...schema };
}
