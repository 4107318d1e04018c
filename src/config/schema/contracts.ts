// The shape of a contract in the configuration file.
import * as z from 'zod';
import { listOf, oneOf, parsed, strict, text, timezone, wholeNumber } from './values.ts';

const decimal = parsed((value) => (/^\d+(\.\d+)?$/.test(value) ? value : null), 'a decimal number in quotes is expected, such as "23.00"');
/** Exact as it is written: fifteen digits come back from a double as they went in. */
const positiveNumber = z
  .number({ error: 'a number above 0 is expected' })
  .positive({ error: 'a number above 0 is expected' })
  .refine((value) => /^\d{1,9}(\.\d{1,6})?$/.test(String(value)), {
    error: 'a number above 0 is expected, with at most nine digits before the point and six after it',
  });
const volumeTB = z
  .number({ error: 'a number of TB is expected' })
  .nonnegative({ error: 'a number of TB, 0 or more, is expected' })
  .refine((value) => /^\d{1,9}(\.\d{1,6})?$/.test(String(value)), {
    error: 'a number of TB is expected, with at most six decimals',
  });
const date = z.iso.date({ error: 'a date is expected, such as 2026-06-02' });

export const contract = strict({
  vault: text('the name of a vault is expected'),
  title: text('what the contract is called is expected').nullish(),
  subscribedTB: volumeTB,
  period: oneOf('month', 'quarter', 'year').default('month'),
  paid: oneOf('arrears', 'advance').default('arrears'),
  firstMonth: wholeNumber(1, 12).default(1),
  start: date.nullish(),
  end: date.nullish(),
  timezone: timezone.optional(),
  price: strict({
    perTBMonth: decimal,
    currency: z
      .string({ error: 'a currency of three letters is expected, such as EUR' })
      .regex(/^[A-Z]{3}$/, { error: 'a currency of three letters is expected, such as EUR' })
      .default('EUR'),
    stepTB: positiveNumber.default(1),
  }),
  prices: listOf(strict({ from: date, perTBMonth: decimal, s0: positiveNumber.nullish() }), 'a list of prices is expected').default([]),
  taxPercent: decimal.nullish(),
  taxRates: listOf(strict({ from: date, percent: decimal }), 'a list of tax rates is expected').default([]),
  index: strict({
    s0: positiveNumber,
    anniversary: date,
    values: listOf(strict({ date, value: positiveNumber }), 'a list of index values is expected').default([]),
  }).nullish(),
  rebill: oneOf('share', 'peak', 'flat', 'none').default('share'),
  issue: oneOf('manual', 'auto').default('manual'),
  shops: listOf(text('the name of a shop is expected'), 'a list of shops is expected').nullish(),
});
