// What a report says about a shop and a period: the document of `coffre report --format json` and of the API. Sizes in bytes, durations in ms.
import * as z from 'zod';

const instant = z.iso.datetime({ offset: true });
const bytes = z.int();
const source = z.enum(['database', 'files', 'server']).nullable();
const RUN_KINDS = ['backup', 'restore', 'prune', 'verify', 'catch-up', 'reconcile', 'probe', 'checkpoint', 'drill', 'export'] as const;

export const reportSchema = z
  .object({
    format: z.literal(1),
    shop: z.string(),
    plan: z.string().nullable().describe('as it is now; null: the shop is declared no more'),
    state: z.enum(['active', 'suspended', 'closing', 'erased']).describe('as it is now'),
    period: z.object({
      from: z.iso.date(),
      to: z.iso.date().describe('the last day, which is in it'),
      timezone: z.string(),
    }),
    madeAt: instant,
    complete: z
      .object({
        runs: instant.nullable().describe('runs before this instant may be forgotten; null: the whole period is complete'),
        changes: instant.nullable().describe('the same of changes'),
        volume: instant.nullable().describe('the same of stored volume'),
      })
      .describe('from when on the detail is complete, where it is not from the first day on'),
    totals: z.object({
      backups: z.object({ done: z.int(), failed: z.int(), other: z.int().describe('interrupted, cancelled, or not over') }),
      planned: z
        .object({ expected: z.int(), done: z.int(), missed: z.int() })
        .nullable()
        .describe('slots of the plan’s present schedule, and those in which a backup went well; null: not declared, or nothing scheduled'),
      storedBytes: bytes.describe('what backups newly stored, once for all vaults'),
      verifiedBytes: bytes.describe('read back and compared'),
      verifiedObjects: z.int(),
      damaged: z.int().describe('findings of verifications'),
      drills: z.object({ passed: z.int(), failed: z.int() }),
      restores: z.object({ done: z.int(), failed: z.int() }),
      requests: z.object({ kept: z.int(), broken: z.int(), open: z.int().describe('no result yet, or none: refused, called off') }),
      incidents: z.object({ found: z.int(), open: z.int().describe('neither gone nor acknowledged when the report was made') }),
    }),
    runs: z
      .array(
        z.object({
          run: z.string(),
          kind: z.enum(RUN_KINDS),
          source,
          startedAt: instant,
          endedAt: instant.nullable(),
          state: z.enum(['queued', 'running', 'done', 'failed', 'interrupted', 'cancelled']),
          code: z.string().nullable().describe('of the error table: coffre errors'),
          bytes: bytes.nullable().describe('backup: newly stored; verification: read; restore: written; null: not told'),
          full: z.boolean().nullable().describe('of backups'),
        }),
      )
      .describe('oldest first'),
    drills: z.array(
      z.object({
        drill: z.string(),
        vault: z.string(),
        startedAt: instant,
        endedAt: instant,
        outcome: z.enum(['passed', 'failed']),
        code: z.string().nullable(),
        restoreMs: z.int(),
        targetMs: z.int(),
      }),
    ),
    requests: z.array(
      z.object({
        request: z.string(),
        state: z.string(),
        askedBy: z.enum(['client', 'operator']),
        createdAt: instant,
        approvedAt: instant.nullable(),
        deadline: instant.nullable(),
        endedAt: instant.nullable(),
        outcome: z.enum(['kept', 'broken']).nullable().describe('of the promised recovery time'),
        countedMs: z.int().nullable(),
        leftMs: z.int().nullable().describe('negative: by how much the promise was exceeded'),
      }),
    ),
    incidents: z.array(
      z.object({
        incident: z.string(),
        vault: z.string(),
        kind: z.string(),
        sizeBytes: bytes,
        firstSeenAt: instant,
        goneAt: instant.nullable(),
        acknowledgedAt: instant.nullable(),
        reason: z.string().nullable().describe('for operators alone'),
      }),
    ),
    breaches: z.array(
      z.object({
        breach: z.string(),
        vault: z.string(),
        openedAt: instant,
        deadline: instant,
        sentAt: instant.nullable(),
        closedAt: instant.nullable(),
        reason: z.string().nullable().describe('for operators alone'),
      }),
    ),
    holds: z
      .array(
        z.object({
          hold: z.string(),
          snapshot: z.string().nullable(),
          placedAt: instant,
          releasedAt: instant.nullable(),
          reason: z.string(),
        }),
      )
      .nullable()
      .describe('null: for operators alone'),
    changes: z
      .array(
        z.object({
          at: instant,
          what: z.string().describe('shop suspend, shop resume, shop close, shop erase, shop pause, shop unpause; or the name of a fact'),
          from: z.string().nullable(),
          to: z.string().nullable(),
          reason: z.string().nullable().describe('for operators alone'),
        }),
      )
      .describe('of the shop’s state, of its plan’s terms, of versions'),
    versions: z.record(z.string(), z.string()).describe('as they were at the end of the period'),
    volume: z.object({
      levelBytes: bytes.nullable().describe('held at the end of the period, all vaults'),
      peakBytes: bytes.nullable(),
      peakAt: instant.nullable(),
      vaults: z.array(z.object({ vault: z.string(), levelBytes: bytes, peakBytes: bytes })),
    }),
    days: z.array(
      z.object({
        day: z.iso.date(),
        done: z.int().describe('backups'),
        failed: z.int(),
        peakBytes: bytes.nullable(),
        endBytes: bytes.nullable(),
      }),
    ),
  })
  .describe('Everything that was done for a shop in a period');

export type Report = z.output<typeof reportSchema>;
export type ReportDay = Report['days'][number];
