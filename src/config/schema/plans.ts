// The shape of a plan in the configuration file.
import * as z from 'zod';
import { businessHours, cron, maintenance } from './times.ts';
import { listOf, oneOf, positiveDuration, size, strict, text, timezone } from './values.ts';

/** A department is a number, which YAML takes for one. */
const region = z.unknown().transform((value, context): string => {
  const text = Number.isInteger(value) ? String(value) : value;
  if (typeof text === 'string' && /^[\p{L}\d][\p{L}\d .'’-]{0,59}$/u.test(text)) return text;
  context.addIssue({ code: 'custom', message: 'a part of the country is expected, such as VD, 57 or Alsace-Moselle' });
  return z.NEVER;
});

export const report = strict({ monthly: z.boolean({ error: 'true or false is expected' }).default(false) });

export const plan = strict({
  retention: positiveDuration,
  rto: strict({
    target: positiveDuration.prefault('4h'),
    calendar: oneOf('business', '24x7').default('24x7'),
    country: z
      .string({ error: 'a country of two letters is expected, such as FR' })
      .regex(/^[A-Z]{2}(-[A-Z0-9]{1,3})?$/, { error: 'a country of two letters is expected, such as FR' })
      .nullish(),
    region: region.nullish(),
    zone: timezone.nullish(),
    hours: businessHours.nullish(),
  }).prefault({}),
  quota: size.nullish(),
  full: oneOf('fresh', 'reread').default('fresh'),
  schedule: strict({
    database: cron.prefault('30 2 * * *'),
    files: cron.prefault('0 3 * * 0'),
    increments: cron.prefault('0 4 * * 1-6'),
    server: cron.prefault('0 5 * * 0'),
    drill: cron.prefault('off'),
  }).prefault({}),
  drill: strict({
    vaults: listOf(text('the name of a vault is expected'), 'a list of vaults is expected, or each-in-turn')
      .min(1, { error: 'at least one vault is expected' })
      .or(z.literal('each-in-turn'))
      .default('each-in-turn'),
    missingImagesPercent: z
      .number({ error: 'a percentage from 0 to 100 is expected' })
      .min(0, { error: 'a percentage from 0 to 100 is expected' })
      .max(100, { error: 'a percentage from 0 to 100 is expected' })
      .default(1),
    newestOrder: z
      .union([z.literal('off').transform(() => null), positiveDuration], { error: 'a duration is expected, such as 7d, or off' })
      .default(null),
  }).prefault({}),
  report: report.prefault({}),
  maintenance,
});
