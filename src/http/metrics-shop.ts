// A shop's metrics, from its status. Pure.
import { Temporal } from 'temporal-polyfill';
import type { ShopStatus } from '../schedule/status.ts';
import type { ShopSurvey } from '../schedule/survey.ts';
import { type Sample, sample } from './metrics-table.ts';

const seconds = (instant: string | null): number => (instant === null ? 0 : Temporal.Instant.from(instant).epochMilliseconds / 1000);

/** Unknown is red: a shop that could not be looked at has that one series, and its others are gone. */
export function shopSamples(survey: ShopSurvey): Sample[] {
  const { shop, status } = survey;
  if (status === null) return [sample('coffre_shop_red', { shop }, true)];
  const kinds = new Map<string, number>();
  for (const { kind } of status.alarms) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  const { estimate } = status.rto;
  return [
    sample('coffre_shop_red', { shop }, !status.ok),
    ...[...kinds].map(([kind, count]) => sample('coffre_shop_alarms', { shop, kind }, count)),
    sample('coffre_shop_backed_up', { shop }, status.life.state === 'active' || status.life.state === 'closing'),
    sample('coffre_shop_used_bytes', { shop }, status.quota.usedBytes),
    ...(status.quota.limitBytes === null ? [] : [sample('coffre_shop_quota_bytes', { shop }, status.quota.limitBytes)]),
    sample('coffre_restore_target_seconds', { shop }, status.rto.targetMs / 1000),
    ...(estimate === null
      ? []
      : [
          sample('coffre_restore_estimate_seconds', { shop }, estimate.expectedMs / 1000),
          sample('coffre_restore_estimate_low_seconds', { shop }, estimate.lowMs / 1000),
          sample('coffre_restore_estimate_high_seconds', { shop }, estimate.highMs / 1000),
          sample('coffre_restore_fits', { shop }, estimate.fit !== 'no'),
        ]),
    ...status.sources.flatMap((source) => sourceSamples(survey, source)),
    ...copySamples(shop, status),
    ...drillSamples(shop, status),
    ...[...survey.levels].map(([vault, bytes]) => sample('coffre_shop_stored_bytes', { shop, vault }, bytes)),
  ];
}

function sourceSamples({ shop, snapshots }: ShopSurvey, status: ShopStatus['sources'][number]): Sample[] {
  const { dueSince, lastRun, newestGood, source } = status;
  const of = { shop, source };
  const figures = newestGood === null ? undefined : snapshots.get(newestGood.id);
  const ended = lastRun !== null && lastRun.state !== 'running' && lastRun.state !== 'queued';
  return [
    sample('coffre_snapshot_good_timestamp_seconds', of, seconds(newestGood?.asOf ?? null)),
    ...(dueSince === null ? [] : [sample('coffre_snapshot_due_timestamp_seconds', of, seconds(dueSince))]),
    ...(newestGood === null ? [] : [sample('coffre_snapshot_lock_end_timestamp_seconds', of, seconds(newestGood.lockedUntil))]),
    ...(figures === undefined
      ? []
      : [
          sample('coffre_snapshot_plain_bytes', of, figures.plainBytes),
          sample('coffre_snapshot_stored_bytes', of, figures.storedBytes),
          sample('coffre_snapshot_fresh_bytes', of, figures.freshBytes),
          sample('coffre_snapshot_duration_seconds', of, figures.durationMs / 1000),
        ]),
    ...(lastRun === null ? [] : [sample('coffre_run_last_timestamp_seconds', of, seconds(lastRun.startedAt))]),
    ...(ended ? [sample('coffre_run_last_success', of, lastRun.state === 'done')] : []),
  ];
}

function copySamples(shop: string, { copies, lacking, reading }: ShopStatus): Sample[] {
  return [
    sample('coffre_copies', { shop }, copies.copies),
    sample('coffre_copies_ok', { shop }, copies.ok),
    sample('coffre_copies_verify_errors', { shop }, copies.verifyErrors),
    ...copies.vaults.flatMap(({ vault, holds, lock }) => {
      const gap = lacking.find((one) => one.vault === vault);
      const unread = reading?.vaults.find((level) => level.vault === vault);
      return [
        sample('coffre_copy_held', { shop, vault }, holds),
        sample('coffre_copy_lock_end_timestamp_seconds', { shop, vault }, seconds(lock?.retainUntil ?? null)),
        sample('coffre_copy_lacking_snapshots', { shop, vault }, gap === undefined ? 0 : gap.missing.length + gap.damaged.length),
        ...(unread === undefined ? [] : [sample('coffre_copy_unread_bytes', { shop, vault }, unread.overdueBytes)]),
      ];
    }),
  ];
}

function drillSamples(shop: string, { drills }: ShopStatus): Sample[] {
  return [
    ...drills.vaults.flatMap(({ at, passed, restoreMs, vault }) => [
      sample('coffre_drill_timestamp_seconds', { shop, vault }, seconds(at)),
      ...(passed === null ? [] : [sample('coffre_drill_passed', { shop, vault }, passed)]),
      ...(restoreMs === null ? [] : [sample('coffre_drill_restore_seconds', { shop, vault }, restoreMs / 1000)]),
    ]),
    ...(drills.dueSince === null ? [] : [sample('coffre_drill_due_timestamp_seconds', { shop }, seconds(drills.dueSince))]),
  ];
}
