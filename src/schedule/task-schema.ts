// The task schema: what somebody may ask the daemon for, as the API takes it and as the catalog keeps it.

import * as z from 'zod';
import { DAEMON_SHOP } from '../segment/layout.ts';
import type { TaskRequest } from './task.ts';

export const sourceKind = z.enum(['database', 'files', 'server']);

/** As the configuration allows them, and `_coffre`: nothing else is looked up. */
export const shopName = z
  .string()
  .regex(/^(_coffre|[a-z0-9][a-z0-9-]{0,62})$/)
  .describe('name of a shop; _coffre: what the daemon does for itself');

export const taskSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('backup'),
    shop: shopName,
    source: sourceKind,
    full: z.boolean().default(false).describe('everything read anew'),
    safety: z.boolean().optional().describe('the state before a restore: never taken for the newest good one'),
  }),
  z.strictObject({
    kind: z.literal('restore'),
    shop: shopName,
    request: z
      .string()
      .regex(/^[0-7][0-9a-hjkmnp-tv-z]{25}$/)
      .describe('id of an approved request'),
  }),
  z.strictObject({
    kind: z.literal('drill'),
    shop: shopName,
    from: z.string().min(1).max(63).nullable().default(null).describe('the vault to read; null: the one whose turn it is'),
    source: sourceKind.nullable().default(null).describe('null: database and files'),
  }),
  z.strictObject({ kind: z.literal('verify'), shop: shopName, all: z.boolean().default(false).describe('read back all of it') }),
  z.strictObject({
    kind: z.literal('export'),
    shop: shopName,
    at: z.int().nullable().default(null).describe('as it was then, epoch milliseconds'),
  }),
  z.strictObject({ kind: z.literal('prune'), shop: shopName }),
  z.strictObject({ kind: z.literal('reconcile'), shop: shopName }),
  z.strictObject({ kind: z.literal('catch-up'), shop: shopName }),
  z.strictObject({ kind: z.literal('probe'), shop: shopName.default(DAEMON_SHOP) }),
  z.strictObject({ kind: z.literal('checkpoint'), shop: shopName.default(DAEMON_SHOP) }),
]) satisfies z.ZodType<TaskRequest>;
