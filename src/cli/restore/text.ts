// What `coffre restore` says: what it would do, and what it did.
import { Temporal } from 'temporal-polyfill';
import type { SnapshotWithCopies } from '../../catalog/snapshots.ts';
import type { Config, ShopConfig } from '../../config/config.ts';
import type { FilesPreview } from '../adapters.ts';
import { formatBytes, formatDuration, formatInstant, table } from '../output.ts';
import { describeLanding, describeOverwritingText, type Overwriting, type RestoredHere } from './database.ts';
import { describeFiles, describePreview, describeRemoved, describeWithheld } from './files.ts';
import type { Task } from './tasks.ts';

/** Someone who restores the newest must hear that there is something newer, which is not whole. */
export function passedOverNote(config: Config, { source, passedOver }: Task): string[] {
  const [newest] = passedOver;
  if (!newest) return [];
  const at = formatInstant(Temporal.Instant.fromEpochMilliseconds(newest.asOf), config.timezone);
  const why = newest.complete === 1 ? 'damaged, or not in the vault asked for' : 'incomplete: something could not be read';
  return [`note: ${source}: snapshot ${newest.id} of ${at} is newer and ${why}; --snapshot ${newest.id} takes it`];
}

/** Whoever looks for what the last restore replaced must hear that it is there, and not taken. */
function safetyNote({ safetyNewer, snapshot, source }: Task): string[] {
  if (safetyNewer === 0) return [];
  const are = safetyNewer === 1 ? 'newer snapshot is' : 'newer snapshots are';
  return [
    `note: ${source}: ${safetyNewer} ${are} not taken (safety): coffre snapshots ${snapshot.shop} lists them, --snapshot ID takes one`,
  ];
}

export const instantText = (epochMs: number): string => Temporal.Instant.fromEpochMilliseconds(epochMs).toString();

export function describePlan(
  config: Config,
  shop: ShopConfig,
  tasks: readonly Task[],
  present: Overwriting | null,
  preview: FilesPreview | null,
) {
  const rows = tasks.map((task) => [
    task.source,
    task.snapshot.id,
    formatInstant(Temporal.Instant.fromEpochMilliseconds(task.snapshot.asOf), config.timezone),
    formatBytes(task.snapshot.plainBytes),
    task.snapshot.copies.map((copy) => copy.vault).join(', '),
    task.snapshot.good ? 'good' : 'not good',
  ]);
  return {
    document: {
      shop: shop.name,
      dryRun: true,
      tasks: tasks.map((task) => ({
        source: task.source,
        snapshot: task.snapshot.id,
        asOf: instantText(task.snapshot.asOf),
        passedOver: task.passedOver.map((newer) => newer.id),
        safetyNewer: task.safetyNewer,
        bytes: task.snapshot.plainBytes,
        vaults: task.snapshot.copies.map((copy) => copy.vault),
        good: task.snapshot.good,
      })),
      ...(present ? { overwrites: present } : {}),
      ...(preview ? { files: preview } : {}),
    },
    text: [
      'dry run: nothing was written; this would be restored:',
      table(
        ['source', 'snapshot', 'as of', 'size', 'vaults', 'state'].map((title) => ({ title })),
        rows,
      ),
      ...(present ? [describeOverwritingText(present)] : []),
      ...tasks.flatMap(({ to }) => (preview && 'directory' in to ? [describePreview(to.directory, preview)] : [])),
      ...tasks.flatMap((task) => [...passedOverNote(config, task), ...safetyNote(task)]),
    ].join('\n'),
  };
}

export function incompleteness(snapshot: SnapshotWithCopies): { readonly incomplete?: true } {
  return snapshot.complete === 1 ? {} : { incomplete: true };
}

function describeCheck({ verified, bySizeAndTime = false, unchanged = 0, resumed = 0 }: RestoredHere): string {
  if (!verified) return 'NOT CHECKED';
  return bySizeAndTime && unchanged + resumed > 0 ? 'identical, what was there by size and time' : 'identical to the manifest';
}

export function describeRestored(config: Config, restored: readonly RestoredHere[]): string {
  const lines = [
    table(
      ['source', 'snapshot', 'as of', 'written', 'what', 'took', 'checked'].map((title) => ({ title })),
      restored.map((one) => [
        one.source,
        one.snapshot,
        formatInstant(Temporal.Instant.from(one.asOf), config.timezone),
        formatBytes(one.bytes),
        one.tables === undefined ? describeFiles(one) : `${one.tables} ${one.tables === 1 ? 'table' : 'tables'}, ${one.rows} rows`,
        formatDuration(one.durationMs),
        describeCheck(one),
      ]),
    ),
  ];
  for (const one of restored) {
    lines.push(...describeLanding(one), ...describeRemoved(one), ...describeWithheld(one));
    if (one.incomplete)
      lines.push(
        `note: snapshot ${one.snapshot} is incomplete: what could not be read when it was taken is missing (coffre show ${one.snapshot})`,
      );
    for (const problem of one.problems) lines.push(`refused: ${problem.message} [${problem.code}]; another vault’s copy was used`);
  }
  return lines.join('\n');
}
