// A month of a shop in a catalog, as a daemon leaves it: backups, checks, a drill, a restore, an incident, changes.
import { Temporal } from 'temporal-polyfill';
import { appendAt } from '../../src/billing/entries.ts';
import { recordDrill } from '../../src/catalog/drills.ts';
import type { Catalog } from '../../src/catalog/open.ts';
import type { RunsTable } from '../../src/catalog/tables/runs.ts';

const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const ZONE = 'Europe/Paris';
/** The last hour of October 2026 has a day of 25 hours behind it. */
export const dayMs = (day: string): number => Temporal.PlainDate.from(day).toZonedDateTime({ timeZone: ZONE }).epochMilliseconds;

/** 01 to 31 October 2026: the database every night, two of them failed, the files once a week. */
export async function october(catalog: Catalog): Promise<void> {
  let serial = 0;
  const run = async (kind: RunsTable['kind'], at: number, other: Partial<RunsTable> & { readonly tookMs?: number } = {}) => {
    const { tookMs = 600_000, ...columns } = other;
    await catalog.db
      .insertInto('runs')
      .values({
        ...{
          id: `run-${String(++serial).padStart(5, '0')}`,
          kind,
          shop: 'dupont',
          source: null,
          state: 'done',
          startedAt: at,
          endedAt: at + tookMs,
        },
        ...{ errorCode: null, errorMessage: null, errorHint: null, detail: null, who: 'schedule', task: null, takesUp: null, slot: null },
        ...columns,
      })
      .execute();
  };
  const put = (vault: string, at: number, bytes: number) =>
    catalog.transaction((tx) =>
      appendAt(tx, at, {
        vault,
        shop: 'dupont',
        key: `k${++serial}`,
        versionId: 'v',
        event: bytes < 0 ? 'release' : 'put',
        bytes,
        cause: null,
      }),
    );
  await put('offsite', dayMs('2026-09-20'), 40e9);
  await put('nas', dayMs('2026-09-20'), 38e9);
  for (let day = 1; day <= 31; day++) {
    const text = `2026-10-${String(day).padStart(2, '0')}`;
    const night = dayMs(text) + 2.5 * HOUR;
    const failed = day === 9 || day === 10;
    await run('backup', night, {
      ...{ source: 'database', state: failed ? 'failed' : 'done', errorCode: failed ? 'E_DB_CONNECT' : null },
      detail: failed ? null : JSON.stringify({ newBytes: 210e6, plainBytes: 1.4e9, full: true }),
    });
    if (!failed) for (const vault of ['nas', 'offsite']) await put(vault, night + 600_000, 210e6);
    if (day % 7 === 4) {
      await run('backup', night + HOUR, { source: 'files', tookMs: 45 * 60_000, detail: JSON.stringify({ newBytes: 6.2e9, full: true }) });
      for (const vault of ['nas', 'offsite']) await put(vault, night + 2 * HOUR, 6.2e9);
      if (day > 10) for (const vault of ['nas', 'offsite']) await put(vault, night + 5 * HOUR, -7.5e9);
    } else if (day !== 13) await run('backup', night + HOUR, { source: 'files', detail: JSON.stringify({ newBytes: 12e6, full: false }) });
    await run('verify', night + 6 * HOUR, { detail: JSON.stringify({ objects: 34, bytes: 1.3e9, damaged: day === 20 ? [{}] : [] }) });
    await run('reconcile', night + 7 * HOUR);
    await run('prune', night + 8 * HOUR);
  }
  await run('restore', dayMs('2026-10-21') + 15 * HOUR, { source: 'files', tookMs: 71 * 60_000, detail: JSON.stringify({ bytes: 31e9 }) });
  await run('drill', dayMs('2026-10-15') + 11 * HOUR, { tookMs: 95 * 60_000 });
  const drill = {
    shop: 'dupont',
    startedAt: dayMs('2026-10-15') + 11 * HOUR,
    endedAt: dayMs('2026-10-15') + 12.6 * HOUR,
    snapshots: [],
    document: '{}',
  };
  await recordDrill(catalog, {
    ...drill,
    drill: '01kdrill1',
    vault: 'offsite',
    outcome: 'passed',
    code: null,
    said: null,
    restoreMs: 88 * 60_000,
    targetMs: 4 * HOUR,
  });
  const asked = dayMs('2026-10-21') + 14 * HOUR;
  await catalog.db
    .insertInto('requests')
    .values({
      ...{ id: '01krequest', shop: 'dupont', state: 'done', wanted: '{}', preview: '{}', createdAt: asked, createdBy: 'token:dupont' },
      ...{ createdRole: 'client', approvedAt: asked + 900_000, approvedBy: 'token:dupont', approvedRole: 'client', promise: '{}' },
      ...{ deadline: asked + 900_000 + 4 * HOUR, startedAt: asked + HOUR, verifyingAt: null, endedAt: asked + 2.25 * HOUR, runId: null },
      ...{ errorCode: null, errorMessage: null, outcome: 'kept', countedMs: 2 * HOUR, leftMs: 2 * HOUR, toldEvent: 0 },
    })
    .execute();
  await catalog.db
    .insertInto('incidents')
    .values({
      ...{
        id: '01kincident',
        vault: 'nas',
        shop: 'dupont',
        kind: 'foreign version',
        key: 'dupont/x',
        versionId: 'v9',
        sizeBytes: 512,
        detail: null,
      },
      ...{ firstSeenAt: dayMs('2026-10-26') + 9 * HOUR, lastSeenAt: dayMs('2026-10-26') + 9 * HOUR, goneAt: null },
      ...{ acknowledgedAt: dayMs('2026-10-26') + 12 * HOUR, acknowledgedBy: 'marie', reason: '=test of Marie' },
    })
    .execute();
  await catalog.db
    .insertInto('audit')
    .values([
      ...[['pause', 12, { until: dayMs('2026-10-14'), reason: 'migration' }] as const, ['unpause', 13, { reason: 'done' }] as const].map(
        ([verb, day, detail]) => ({
          ...{
            at: dayMs(`2026-10-${day}`) + 10 * HOUR,
            who: 'marie',
            what: `shop ${verb}`,
            shop: 'dupont',
            detail: JSON.stringify(detail),
          },
        }),
      ),
    ])
    .execute();
  await catalog.db
    .insertInto('holds')
    .values({
      ...{ id: '01khold', shop: 'dupont', snapshotId: null, reason: 'litige 2026-113', placedAt: dayMs('2026-10-06'), placedBy: 'marie' },
      ...{ releasedAt: null, releasedBy: null, releaseReason: null },
    })
    .execute();
  const facts = [
    ...[
      ['application', 'PrestaShop 8.1.5', '2026-09-20'],
      ['database', 'MariaDB 10.11.6', '2026-09-20'],
      ['coffre', '0.9.0', '2026-09-20'],
    ],
    ...[
      ['plan', 'boutique', '2026-09-20'],
      ['plan.retention', '14d', '2026-09-20'],
      ['application', 'PrestaShop 8.2.0', '2026-10-17'],
    ],
    ...[['plan.retention', '30d', '2026-10-18']],
  ];
  for (const [name = '', value = '', day = ''] of facts)
    await catalog.db
      .insertInto('shopFacts')
      .values({ shop: 'dupont', at: dayMs(day) + 3 * HOUR, name, value })
      .execute();
}
