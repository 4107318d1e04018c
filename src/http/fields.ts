// Fields that many documents of the API have.
import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';
import { instantText, ONE_LINE } from '../restore/request-preview.ts';

/** Tasks name shops and sources too, and the catalog keeps them. */
export { shopName, sourceKind } from '../schedule/task-schema.ts';

/** Instants are told in UTC or with their offset. */
export const instant = instantText.describe('RFC 3339');
export const bytes = z.int().describe('bytes');
export const idField = z
  .string()
  .regex(/^[0-7][0-9a-hjkmnp-tv-z]{25}$/)
  .describe('26 characters, sortable by time');

/** Of a query: false unless it is said. */
export const flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform((text) => text === 'true');

/** Why a person did it, for the audit. */
export const reason = z
  .string()
  .trim()
  .min(1)
  .max(1000)
  .regex(ONE_LINE, 'one line without control characters')
  .describe('why, for the audit');

/** Epoch milliseconds as text in UTC. */
export const instantOf = (atMs: number): string => Temporal.Instant.fromEpochMilliseconds(atMs).toString();
export const instantOrNull = (atMs: number | null): string | null => (atMs === null ? null : instantOf(atMs));
