// Fields that many documents of the API have.
import { Temporal } from 'temporal-polyfill';
import * as z from 'zod';

/** Instants are told in UTC or with their offset. */
export const instant = z.iso.datetime({ offset: true }).describe('RFC 3339');
export const bytes = z.int().describe('bytes');
export const sourceKind = z.enum(['database', 'files', 'server']);

/** As the configuration allows them, and `_coffre`: nothing else is looked up. */
export const shopName = z
  .string()
  .regex(/^(_coffre|[a-z0-9][a-z0-9-]{0,62})$/)
  .describe('name of a shop; _coffre: what the daemon does for itself');
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
export const reason = z.string().trim().min(1).max(1000).describe('why, for the audit');

/** Epoch milliseconds as text in UTC. */
export const instantOf = (atMs: number): string => Temporal.Instant.fromEpochMilliseconds(atMs).toString();
export const instantOrNull = (atMs: number | null): string | null => (atMs === null ? null : instantOf(atMs));
