// One source in a shop's status: what of it was due and whether it is there, good and locked, and how its last backup ended. Pure.
import { type RunRow, wasStopped } from '../catalog/runs.ts';
import { isBackup, type SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { ShopConfig } from '../config/config.ts';
import { restorable, soundVaults } from '../restore/choose.ts';
import type { Consistency, SourceKind } from '../source/source.ts';
import { type Alarm, raise } from './alarm.ts';
import { backupRules, type StartRules } from './start.ts';
import type { CopyFacts } from './status-copies.ts';
import { lastDue, nextStart, schedulesOf } from './status-due.ts';
import { FUTURE_MS, text } from './status-text.ts';

/** How long after its slot a backup may still be on its way before its absence is red. */
const GRACE_MS = 6 * 3600_000;
/** How old the newest good snapshot may be where nothing is scheduled and somebody must start backups: a day, a week. */
const UNSCHEDULED_MS: Readonly<Record<SourceKind, number>> = {
  database: 24 * 3600_000,
  files: 7 * 24 * 3600_000,
  server: 7 * 24 * 3600_000,
};

export interface SourceFacts extends Pick<CopyFacts, 'nowMs' | 'timezone' | 'shop' | 'snapshots' | 'lacking'> {
  /** Newest first within each kind. */
  readonly runs: readonly RunRow[];
  /** limits.jitter; left out: none. */
  readonly jitterMs?: number;
}

export interface SourceStatus {
  readonly source: SourceKind;
  readonly newestGood: {
    readonly id: string;
    readonly asOf: string;
    readonly ageMs: number;
    readonly vaults: readonly string[];
    readonly lockedUntil: string | null;
  } | null;
  /** Where there is no good one: the newest that some vault has whole and undamaged, and in which it is so. */
  readonly restorable: { readonly id: string; readonly asOf: string; readonly ageMs: number; readonly vaults: readonly string[] } | null;
  readonly lastRun: { readonly state: string; readonly startedAt: string; readonly error: string | null } | null;
  readonly nextRun: string | null;
  /** When the newest good one must be from, at the latest; null: nothing is scheduled. */
  readonly dueSince: string | null;
}

export function declaredSources(shop: ShopConfig): SourceKind[] {
  return [
    ...(shop.database ? (['database'] as const) : []),
    ...(shop.files ? (['files'] as const) : []),
    ...(shop.server ? (['server'] as const) : []),
  ];
}

export function sourceStatus(facts: SourceFacts, source: SourceKind, red: Alarm[]): SourceStatus {
  const { shop, nowMs } = facts;
  // what was taken before a restore in place is as young as it is unwanted
  const own = facts.snapshots.filter((snapshot) => snapshot.source === source && isBackup(snapshot));
  const good = own.find((snapshot) => snapshot.good) ?? null;
  const run = facts.runs.find((candidate) => candidate.kind === 'backup' && candidate.source === source) ?? null;
  const expressions = schedulesOf(shop, source);
  const rules = rulesOf(facts, source);
  const dueSinceMs = expressions.length === 0 ? nowMs - GRACE_MS - UNSCHEDULED_MS[source] : lastDue(expressions, rules, nowMs - GRACE_MS);
  const retry = `coffre backup ${shop.name} --source ${source}`;
  const restores = good ? null : restorable(own, source);
  const others = ` (there are some that are not good: coffre snapshots ${shop.name})`;
  if (restores)
    raise(
      red,
      'snapshot',
      { source },
      `${source}: no good snapshot, but that of ${text(restores.asOf, facts.timezone)} is restorable from ${soundVaults(restores).join(', ')}${mending(facts, restores)}; ${retry} takes a new one`,
    );
  else if (!good) raise(red, 'snapshot', { source }, `${source}: no good snapshot${own.length > 0 ? others : ''}; ${retry} takes one`);
  else if (dueSinceMs !== null && good.asOf < dueSinceMs)
    raise(
      red,
      'snapshot',
      { source },
      `${source}: the newest good snapshot is of ${text(good.asOf, facts.timezone)}, one was due at ${text(dueSinceMs, facts.timezone)}; ${retry} takes one now`,
    );
  if (good && good.asOf - nowMs > FUTURE_MS)
    raise(
      red,
      'clock',
      { source },
      `${source}: the newest good snapshot is of ${text(good.asOf, facts.timezone)}, which is still to come; coffre doctor ${shop.name} compares the clocks`,
    );
  checkFull(facts, source, own, red);
  if (run && (run.state === 'failed' || run.state === 'interrupted') && !wasStopped(run) && !isCaughtUp(facts, run)) {
    raise(
      red,
      'run',
      { source, code: run.errorCode },
      `${source}: the last backup ${run.state === 'failed' ? 'failed' : 'was cut off'} at ${text(run.endedAt ?? run.startedAt, facts.timezone)}: ${run.errorMessage ?? ''} [${run.errorCode ?? 'unknown'}]; once that is mended, ${retry} tries again`,
    );
  }
  const lock = good ? lockEnd(good) : null;
  if (good && lock === null)
    raise(
      red,
      'lock',
      { source },
      `${source}: whether the newest good snapshot is locked is not known; coffre verify ${shop.name} asks the vaults`,
    );
  else if (good && lock !== null && lock <= nowMs && good.copies.some((copy) => copy.lockMode !== 'advisory')) {
    raise(
      red,
      'lock',
      { source },
      `${source}: the newest good snapshot is not locked any more (it ended at ${text(lock, facts.timezone)}); coffre prune ${shop.name} locks it again`,
    );
  }
  const next = nextStart(expressions, rules, nowMs);
  return {
    source,
    newestGood: good && {
      id: good.id,
      asOf: text(good.asOf, facts.timezone),
      ageMs: Math.max(0, nowMs - good.asOf),
      vaults: good.copies.map((copy) => copy.vault),
      lockedUntil: lock === null ? null : text(lock, facts.timezone),
    },
    restorable: restores && {
      ...{ id: restores.id, asOf: text(restores.asOf, facts.timezone), ageMs: Math.max(0, nowMs - restores.asOf) },
      vaults: soundVaults(restores),
    },
    lastRun: run && { state: run.state, startedAt: text(run.startedAt, facts.timezone), error: run.errorCode },
    nextRun: next === null ? null : text(next, facts.timezone),
    dueSince: dueSinceMs === null ? null : text(dueSinceMs, facts.timezone),
  };
}

/** What brings it back into the vaults that lack it; empty: no catch-up would. */
function mending({ lacking, shop }: SourceFacts, { id }: SnapshotWithCopies): string {
  const vaults = lacking.gaps.filter((gap) => gap.snapshot.id === id).map(({ vault }) => vault);
  return vaults.length === 0 ? '' : `; coffre catch-up ${shop.name} mends ${[...new Set(vaults)].join(', ')}`;
}

/** Degraded then: a catch-up has mended it since, or is said to be what will. */
function isCaughtUp({ snapshots, lacking }: SourceFacts, run: RunRow): boolean {
  if (run.errorCode !== 'E_DEGRADED') return false;
  const own = snapshots.find((snapshot) => snapshot.runId === run.id);
  return own !== undefined && (own.good || lacking.gaps.some((gap) => gap.snapshot.id === own.id));
}

/** Increments alone must not hide that the full archive, which is to be read and stored anew, has not come for weeks. */
function checkFull(facts: SourceFacts, source: SourceKind, own: readonly SnapshotWithCopies[], red: Alarm[]): void {
  const { full, schedule } = facts.shop.plan;
  // `reread` fulls reuse what is equal: their snapshots do not tell
  if (source !== 'files' || full !== 'fresh' || schedule.files === null || own.length === 0) return;
  const dueMs = lastDue([schedule.files], rulesOf(facts, source), facts.nowMs - GRACE_MS);
  const newest = own.find((snapshot) => snapshot.good && snapshot.full === 1);
  if (dueMs === null || (newest && newest.asOf >= dueMs)) return;
  raise(
    red,
    'full',
    { source: 'files' },
    `files: a full archive was due at ${text(dueMs, facts.timezone)}, ${newest ? `the newest good one is of ${text(newest.asOf, facts.timezone)}` : 'and none is good'}; coffre backup ${facts.shop.name} --source files --full takes one`,
  );
}

/** The earliest end among the real locks of its manifests; the advisory one when there is no other. */
function lockEnd(snapshot: SnapshotWithCopies): number | null {
  const real = snapshot.copies.filter((copy) => copy.lockMode !== null && copy.lockMode !== 'advisory');
  const ends = (real.length > 0 ? real : snapshot.copies).flatMap((copy) => (copy.retainUntil === null ? [] : [copy.retainUntil]));
  return ends.length === 0 ? null : Math.min(...ends);
}

/** Kept and good, for nothing is missing in it; but what it says of these tables may be of several moments. */
export function noteConsistency(facts: SourceFacts, sources: readonly SourceStatus[], notes: string[]): void {
  for (const { source, newestGood } of sources) {
    const own = facts.snapshots.find((snapshot) => snapshot.id === newestGood?.id);
    if (!own?.consistency) continue;
    const { acrossTables, method, notCovered } = JSON.parse(own.consistency) as Consistency;
    if (acrossTables) continue;
    const some = `${notCovered.slice(0, 3).join(', ')}${notCovered.length > 3 ? ` and ${notCovered.length - 3} more` : ''}`;
    notes.push(
      `${source}: the newest good snapshot is not consistent across tables (${method}): ${some} may have changed while it was read`,
    );
  }
}

function rulesOf({ jitterMs = 0, shop, timezone }: SourceFacts, source: SourceKind): StartRules {
  return backupRules({ limits: { jitterMs }, timezone }, shop, source);
}
