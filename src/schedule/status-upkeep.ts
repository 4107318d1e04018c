// What the daemon does for a shop beside backups, and when that is red: prune, checkpoints, reconciliation, reading back. Pure.
import type { IncidentRow } from '../catalog/incidents.ts';
import type { ReadingLevel } from '../catalog/reading.ts';
import { type RunRow, wasStopped } from '../catalog/runs.ts';
import { type Alarm, raise } from './alarm.ts';
import type { CopyFacts } from './status-copies.ts';
import { text } from './status-text.ts';

/** Prune runs daily; one missed day is not red yet. Nor is one missed checkpoint. */
const PRUNE_MISSED_MS = 50 * 3600_000;
const CHECKPOINT_MISSED_MS = 50 * 3600_000;

export interface UpkeepFacts extends Pick<CopyFacts, 'nowMs' | 'timezone' | 'shop' | 'snapshots' | 'vaults'> {
  /** Newest first within each kind. */
  readonly runs: readonly RunRow[];
  /** Open, and acknowledged by nobody. */
  readonly incidents: readonly IncidentRow[];
  /** Of each vault, for the period; null: no reading is asked for. */
  readonly reading: { readonly withinMs: number; readonly levels: readonly ReadingLevel[] } | null;
  /** When the newest checkpoint of coffre's own state in each vault is of, epoch milliseconds; null: it holds none. */
  readonly checkpoints: ReadonlyMap<string, number | null>;
  /** By vault, the last attempt to write one where that failed. Left out: none did. */
  readonly checkpointFailures?: ReadonlyMap<string, { readonly at: number; readonly code: string; readonly message: string }>;
}

/** Without prune locks are not kept ahead, tampering is not seen, and what is past its window is paid for. */
export function checkPrune(facts: UpkeepFacts, red: Alarm[]): void {
  checkDaily(facts, red, 'prune', {
    ...{ named: 'the last prune', again: `coffre prune ${facts.shop.name}` },
    missed: (since) => `prune has not run since ${since}`,
  });
}

/** Without it tampering, shortened locks and lost bytes are not seen. */
export function checkReconcile(facts: UpkeepFacts, red: Alarm[]): void {
  checkDaily(facts, red, 'reconcile', {
    ...{ named: 'the last reconciliation', again: `coffre reconcile ${facts.shop.name}` },
    missed: (since) => `what the vaults hold was not compared with the catalog since ${since}`,
  });
}

interface DailyWords {
  readonly named: string;
  /** The command that does it now. */
  readonly again: string;
  readonly missed: (since: string) => string;
}

/** What the daemon does for each shop every day: its last run went well, and is not too long ago. */
function checkDaily(facts: UpkeepFacts, red: Alarm[], kind: 'prune' | 'reconcile', { named, again, missed }: DailyWords): void {
  const { runs, snapshots, nowMs, timezone } = facts;
  const last = runs.find((run) => run.kind === kind && run.state !== 'running' && !wasStopped(run));
  if (last && last.state !== 'done') {
    const ended = `${last.state === 'failed' ? 'failed' : 'was cut off'} at ${text(last.endedAt ?? last.startedAt, timezone)}`;
    const why = `${last.errorMessage ?? ''} [${last.errorCode ?? 'unknown'}]`;
    raise(red, kind, { code: last.errorCode }, `${named} ${ended}: ${why}; ${again} tries again`);
    return;
  }
  const oldest = Math.min(...snapshots.map((snapshot) => snapshot.completedAt));
  const since = Math.max(last?.endedAt ?? 0, oldest);
  if (nowMs - since > PRUNE_MISSED_MS)
    raise(red, kind, {}, `${missed(text(since, timezone))}: is the daemon running? ${again} does it now`);
}

/** Without one a lost machine comes back without its ledger, holds and evidence. */
export function checkCheckpoints(facts: UpkeepFacts, red: Alarm[]): void {
  const { checkpoints, checkpointFailures, nowMs, snapshots, timezone, vaults } = facts;
  for (const { name } of vaults) {
    const at = checkpoints.get(name) ?? null;
    const failed = checkpointFailures?.get(name);
    if (failed) {
      const when = text(failed.at, timezone);
      raise(
        red,
        'checkpoint',
        { vault: name, code: failed.code },
        `vault ${name} lacks the newest state of coffre: its checkpoint failed at ${when}: ${failed.message} [${failed.code}]; coffre catalog checkpoint tries again`,
      );
      continue;
    }
    const committed = snapshots.flatMap((snapshot) =>
      snapshot.copies.filter((copy) => copy.vault === name).map((copy) => copy.committedAt),
    );
    // a vault in which there is nothing yet has nothing to come back to
    if (committed.length === 0 || nowMs - Math.max(at ?? 0, Math.min(...committed)) <= CHECKPOINT_MISSED_MS) continue;
    const which =
      at === null ? 'no checkpoint of coffre’s own state' : `its last checkpoint of coffre’s own state is of ${text(at, timezone)}`;
    raise(red, 'checkpoint', { vault: name }, `vault ${name}: ${which}; coffre catalog checkpoint writes one`);
  }
}

/** Each kind in each vault is one line. */
export function checkIncidents({ incidents, shop, timezone }: UpkeepFacts, red: Alarm[]): void {
  const groups = new Map<string, IncidentRow[]>();
  for (const row of incidents)
    groups.set(`${row.shop}\0${row.vault}\0${row.kind}`, [...(groups.get(`${row.shop}\0${row.vault}\0${row.kind}`) ?? []), row]);
  for (const [first, ...more] of groups.values()) {
    if (!first) continue;
    const what = [first.key, first.detail].filter(Boolean).join(': ');
    const others = more.length > 0 ? `, and ${more.length} more` : '';
    const list = `coffre incident list ${first.shop === shop.name ? shop.name : first.shop}`;
    raise(
      red,
      'incident',
      { vault: first.vault, detail: first.kind, code: 'E_INCIDENT' },
      `vault ${first.vault}: ${first.kind}: ${what} (first seen ${text(first.firstSeenAt, timezone)})${others}; ${list} names them`,
    );
  }
}

/** Rot shows in the bytes alone: what was not read for too long is not known to be good. */
export function checkReading({ nowMs, reading, shop, snapshots, timezone }: UpkeepFacts, red: Alarm[], notes: string[]): void {
  if (reading === null) return;
  const since = text(nowMs - reading.withinMs, timezone);
  const levels = reading.levels.filter(({ storedBytes }) => storedBytes > 0);
  for (const { vault, overdueBytes } of levels) {
    if (overdueBytes === 0) continue;
    raise(
      red,
      'reading',
      { vault },
      `vault ${vault}: ${overdueBytes} bytes were neither read nor stored since ${since}: is the daemon running? coffre verify ${shop.name} --read-data reads them`,
    );
  }
  // a shop that is younger than the period: a share of it would read like neglect
  const isYoung = snapshots.every(({ completedAt }) => completedAt > nowMs - reading.withinMs);
  if (isYoung && levels.every(({ overdueBytes, readBytes }) => overdueBytes === 0 && readBytes === 0)) return;
  const shares = levels.map(({ vault, storedBytes, readBytes }) => `${Math.floor((readBytes / storedBytes) * 100)} % of ${vault}`);
  if (shares.length > 0) notes.push(`read back since ${since}: ${shares.join(', ')}`);
}
