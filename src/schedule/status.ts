// How a shop stands: what was due and whether it is there, where its copies are, what is red and why. Pure over what was read.

import type { BreachCase } from '../catalog/breaches.ts';
import type { OpenRestoreRow } from '../catalog/open-restores.ts';
import type { Pause } from '../catalog/pauses.ts';
import type { Probe } from '../catalog/probes.ts';
import type { ReadingLevel } from '../catalog/reading.ts';
import { type RunRow, wasStopped } from '../catalog/runs.ts';
import { ACTIVE, type ShopLife } from '../catalog/shop-life.ts';
import { isBackup, type SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { ShopConfig } from '../config/config.ts';
import type { Fit } from '../restore/recovery-fit.ts';
import { isBackedUp, lifeEnd } from '../retention/policy.ts';
import type { Consistency, SourceKind } from '../source/source.ts';
import { type Alarm, raise } from './alarm.ts';
import type { RestoreEstimate } from './restore-estimate.ts';
import { backupRules, type StartRules } from './start.ts';
import { checkBreaches } from './status-breach.ts';
import { type Copies, type CopyFacts, countCopies, type Lacking, whatLacks } from './status-copies.ts';
import { checkDrills, type DrillStatus, type DrillsRead, UNDRILLED } from './status-drill.ts';
import { lastDue, nextStart, schedulesOf } from './status-due.ts';
import { checkRequests, type RequestFact, type RequestStatus } from './status-requests.ts';
import { text } from './status-text.ts';
import { checkCheckpoints, checkIncidents, checkPrune, checkReading, checkReconcile, type UpkeepFacts } from './status-upkeep.ts';

/** How long after its slot a backup may still be on its way before its absence is red. */
const GRACE_MS = 6 * 3600_000;
/** A probe older than this proves nothing about today: it runs daily. */
export const PROBE_VALID_MS = 26 * 3600_000;
/** What is dated further ahead of our clock than this was written under a wrong clock, or our clock is wrong now. */
const FUTURE_MS = 10 * 60_000;
/** How old the newest good snapshot may be where nothing is scheduled and somebody must start backups: a day, a week. */
const UNSCHEDULED_MS: Readonly<Record<SourceKind, number>> = {
  database: 24 * 3600_000,
  files: 7 * 24 * 3600_000,
  server: 7 * 24 * 3600_000,
};

export interface StatusFacts extends CopyFacts, UpkeepFacts {
  readonly probes: ReadonlyMap<string, Probe | null>;
  /** Versions on our keys that are not ours and that no reconciliation has looked at yet. */
  readonly foreignVersions: number;
  /** Left out: none is open, and the last one did not fail. */
  readonly requests?: readonly RequestFact[];
  readonly openRestore?: OpenRestoreRow | null;
  /** Cases of tampering or loss that concern the shop, and wait. */
  readonly breaches?: readonly BreachCase[];
  /** limits.jitter; left out: none. */
  readonly jitterMs?: number;
  /** Left out or null: its scheduled backups do not wait. */
  readonly pause?: Pause | null;
  /** Left out: active, and held by nobody. */
  readonly life?: ShopLife;
  /** Left out: nobody looked. */
  readonly drills?: DrillsRead;
  /** Reasons of the holds in force. */
  readonly holds?: readonly string[];
  /** How long a restore would take. Left out: nobody looked. */
  readonly recovery?: RestoreEstimate;
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
  readonly lastRun: { readonly state: string; readonly startedAt: string; readonly error: string | null } | null;
  readonly nextRun: string | null;
  /** When the newest good one must be from, at the latest; null: nothing is scheduled. */
  readonly dueSince: string | null;
}

/** Milliseconds. */
export interface RecoveryEstimate {
  readonly expectedMs: number;
  readonly lowMs: number;
  readonly highMs: number;
  /** The vault that it would be read from. */
  readonly vault: string;
  readonly fit: Fit;
}

export interface ShopStatus {
  readonly shop: string;
  readonly ok: boolean;
  /** `keptUntil`: from then on everything goes; null: nobody knows of an end. */
  readonly life: { readonly state: ShopLife['state']; readonly keptUntil: string | null; readonly holds: readonly string[] };
  /** Scheduled backups wait; `until` null: until somebody resumes it. null: they do not. */
  readonly pause: { readonly since: string; readonly until: string | null; readonly who: string; readonly reason: string | null } | null;
  readonly sources: readonly SourceStatus[];
  readonly copies: Copies;
  /** Vaults that lack snapshots of the shop, or hold damaged ones: what a catch-up brings. */
  readonly lacking: readonly Lacking[];
  readonly incidents: readonly {
    readonly id: string;
    readonly vault: string;
    readonly kind: string;
    readonly key: string;
    readonly detail: string | null;
    readonly firstSeen: string;
    readonly lastSeen: string;
  }[];
  /** How much of what is stored was read, and found to be what was written, within verify.readWithin; bytes. */
  readonly reading: {
    readonly withinMs: number;
    readonly vaults: readonly ReadingLevel[];
  } | null;
  readonly quota: { readonly usedBytes: number; readonly limitBytes: number | null };
  readonly rto: {
    readonly targetMs: number;
    readonly measured: { readonly bytes: number; readonly durationMs: number } | null;
    /** Of a restore into its place, from what was measured; `fit` as expected and at its slowest. Null: something of it never was. */
    readonly estimate: RecoveryEstimate | null;
  };
  readonly drills: DrillStatus;
  /** Restores that somebody asked for, as long as something is to come of them. */
  readonly requests: readonly RequestStatus[];
  /** What is red, in words. */
  readonly red: readonly string[];
  /** The same, each by its kind. */
  readonly alarms: readonly Alarm[];
  /** Worth knowing, not red. */
  readonly notes: readonly string[];
}

export function shopStatus(facts: StatusFacts): ShopStatus {
  const { shop, nowMs } = facts;
  const red: Alarm[] = [];
  const notes: string[] = [];
  const life = facts.life ?? ACTIVE;
  // what is not to be backed up is not late, and its copies become fewer as they should
  const ofBackups = isBackedUp(life, nowMs) ? red : [];
  const keptUntil = noteLife(facts, life, notes);
  const sources = declaredSources(shop).map((source) => sourceStatus(facts, source, ofBackups));
  if (sources.length === 0)
    raise(
      red,
      'undeclared',
      {},
      'declares neither database nor files: nothing is backed up; declare one in the configuration, then coffre doctor',
    );
  const pause = notePause(facts, notes);
  noteConsistency(facts, sources, notes);
  const newestGood = sources.map((status) => status.newestGood?.id);
  const copies = countCopies(facts, newestGood, ofBackups);
  const lacking = whatLacks(facts, red);
  for (const vault of facts.vaults) {
    const probe = facts.probes.get(vault.name) ?? null;
    const again = `; coffre doctor ${shop.name} probes it`;
    if (probe === null) raise(red, 'probe', { vault: vault.name }, `vault ${vault.name} was never probed${again}`);
    else if (probe.outcome !== 'proven')
      raise(red, 'probe', { vault: vault.name }, `vault ${vault.name}: the probe says ${probe.outcome}: ${probeReason(probe)}${again}`);
    else if (probe.at - nowMs > FUTURE_MS)
      raise(
        red,
        'clock',
        { vault: vault.name },
        `vault ${vault.name} was last probed at ${text(probe.at, facts.timezone)}, by a clock that was wrong${again}`,
      );
    else if (nowMs - probe.at > PROBE_VALID_MS)
      raise(
        red,
        'probe',
        { vault: vault.name },
        `vault ${vault.name} was last probed at ${text(probe.at, facts.timezone)}: too long ago${again}`,
      );
  }
  checkPrune(facts, red);
  checkCheckpoints(facts, red);
  if (facts.foreignVersions > 0)
    raise(red, 'foreign', {}, `${facts.foreignVersions} version(s) on our keys are not ours: coffre reconcile ${shop.name} names them`);
  checkReconcile(facts, red);
  checkIncidents(facts, red);
  checkBreaches(facts.breaches ?? [], facts, red);
  checkReading(facts, red, notes);
  const drills = facts.drills
    ? checkDrills({ ...facts, jitterMs: facts.jitterMs ?? 0, drills: facts.drills }, ofBackups, notes)
    : UNDRILLED;
  const requests = checkRequests(facts.requests ?? [], facts, red, notes);
  checkOpenRestore(facts, red);
  // the shop's own data: what else is on its machine is no matter of its quota
  const usedBytes = sources.reduce((total, status) => {
    if (status.source === 'server') return total;
    const snapshot = facts.snapshots.find((candidate) => candidate.id === status.newestGood?.id);
    return total + (snapshot?.plainBytes ?? 0);
  }, 0);
  const limitBytes = shop.plan.quotaBytes;
  if (limitBytes !== null && usedBytes > limitBytes) notes.push(`over quota: ${usedBytes} of ${limitBytes} bytes`);
  const measured = lastRestore(facts.runs);
  for (const run of facts.runs) {
    if (run.state === 'running' && run.errorCode === 'E_RUN_HUNG')
      raise(
        red,
        'run',
        run.source === null ? { code: run.errorCode } : { source: run.source, code: run.errorCode },
        `${run.errorMessage}; nothing else is done for the shop until it ends`,
      );
    else if (run.state === 'running')
      notes.push(`${run.kind}${run.source === null ? '' : ` of ${run.source}`} running since ${text(run.startedAt, facts.timezone)}`);
  }
  const estimate = checkRecovery(facts, red, notes);
  return {
    shop: shop.name,
    ok: red.length === 0,
    life: { state: life.state, keptUntil, holds: facts.holds ?? [] },
    pause,
    sources,
    copies,
    lacking,
    incidents: facts.incidents.map(({ id, vault, kind, key, detail, firstSeenAt, lastSeenAt }) => ({
      ...{ id, vault, kind, key, detail },
      ...{ firstSeen: text(firstSeenAt, facts.timezone), lastSeen: text(lastSeenAt, facts.timezone) },
    })),
    reading: facts.reading && { withinMs: facts.reading.withinMs, vaults: facts.reading.levels },
    quota: { usedBytes, limitBytes },
    rto: { targetMs: shop.plan.rto.targetMs, measured, estimate },
    drills,
    requests,
    red: red.map((alarm) => alarm.text),
    alarms: red,
    notes,
  };
}

/** One that nobody works on: the shop may be closed for as long as that lasts. */
function checkOpenRestore({ openRestore, runs, shop, timezone }: StatusFacts, red: Alarm[]): void {
  if (!openRestore || runs.some(({ kind, state }) => kind === 'restore' && state === 'running')) return;
  const on = `as root: coffre restore ${shop.name} --in-place goes on with it, with --rollback it goes back`;
  raise(red, 'closed', {}, `a restore in place is open since ${text(openRestore.since, timezone)}, and its shop perhaps closed; ${on}`);
}

/** When everything of the shop goes, as text; null: nobody knows of an end. */
function noteLife({ timezone, holds = [] }: StatusFacts, life: ShopLife, notes: string[]): string | null {
  const end = lifeEnd(life);
  const keptUntil = end === null ? null : text(end, timezone);
  const why = life.reason === null ? '' : ` (${life.reason})`;
  if (life.state === 'suspended')
    notes.push(
      `suspended since ${text(life.since, timezone)}${why}: no backups are taken, the newest good ones are kept until ${keptUntil}`,
    );
  if (life.state === 'closing') notes.push(`closes at ${keptUntil}${why}`);
  if (life.state === 'erased') notes.push(`erased at ${keptUntil}${why}: what is still locked goes as its locks end`);
  for (const reason of holds) notes.push(`held: ${reason}`);
  return keptUntil;
}

/** What is not taken because of it is late all the same, and red in time. */
function notePause({ pause, shop, timezone }: StatusFacts, notes: string[]): ShopStatus['pause'] {
  if (!pause) return null;
  const { who, reason } = pause;
  const [since, until] = [text(pause.since, timezone), pause.until === null ? null : text(pause.until, timezone)];
  const end = until === null ? `coffre shop resume ${shop.name} ends it` : `until ${until}`;
  notes.push(`paused since ${since} by ${who}${reason === null ? '' : ` (${reason})`}: scheduled backups wait; ${end}`);
  return { since, until, who, reason };
}

function rulesOf({ jitterMs = 0, shop, timezone }: StatusFacts, source: SourceKind): StartRules {
  return backupRules({ limits: { jitterMs }, timezone }, shop, source);
}

/** Kept and good, for nothing is missing in it; but what it says of these tables may be of several moments. */
function noteConsistency(facts: StatusFacts, sources: readonly SourceStatus[], notes: string[]): void {
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

function declaredSources(shop: ShopConfig): SourceKind[] {
  return [
    ...(shop.database ? (['database'] as const) : []),
    ...(shop.files ? (['files'] as const) : []),
    ...(shop.server ? (['server'] as const) : []),
  ];
}

function sourceStatus(facts: StatusFacts, source: SourceKind, red: Alarm[]): SourceStatus {
  const { shop, nowMs } = facts;
  // what was taken before a restore in place is as young as it is unwanted
  const own = facts.snapshots.filter((snapshot) => snapshot.source === source && isBackup(snapshot));
  const good = own.find((snapshot) => snapshot.good) ?? null;
  const run = facts.runs.find((candidate) => candidate.kind === 'backup' && candidate.source === source) ?? null;
  const expressions = schedulesOf(shop, source);
  const rules = rulesOf(facts, source);
  const dueSinceMs = expressions.length === 0 ? nowMs - GRACE_MS - UNSCHEDULED_MS[source] : lastDue(expressions, rules, nowMs - GRACE_MS);
  const retry = `coffre backup ${shop.name} --source ${source}`;
  const others = ` (there are some that are not good: coffre snapshots ${shop.name})`;
  if (!good) raise(red, 'snapshot', { source }, `${source}: no good snapshot${own.length > 0 ? others : ''}; ${retry} takes one`);
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
    lastRun: run && { state: run.state, startedAt: text(run.startedAt, facts.timezone), error: run.errorCode },
    nextRun: next === null ? null : text(next, facts.timezone),
    dueSince: dueSinceMs === null ? null : text(dueSinceMs, facts.timezone),
  };
}

/** Degraded then: a catch-up has mended it since, or is said to be what will. */
function isCaughtUp({ snapshots, lacking }: StatusFacts, run: RunRow): boolean {
  if (run.errorCode !== 'E_DEGRADED') return false;
  const own = snapshots.find((snapshot) => snapshot.runId === run.id);
  return own !== undefined && (own.good || lacking.gaps.some((gap) => gap.snapshot.id === own.id));
}

/** Increments alone must not hide that the full archive, which is to be read and stored anew, has not come for weeks. */
function checkFull(facts: StatusFacts, source: SourceKind, own: readonly SnapshotWithCopies[], red: Alarm[]): void {
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

/** The first step that is not right; what was not tried after it says nothing more. */
function probeReason(probe: Probe): string {
  const reason = probe.steps.find((step) => step.outcome === 'failed') ?? probe.steps.find((step) => step.outcome !== 'ok');
  return reason ? `${reason.name}: ${reason.detail}` : 'no reason kept';
}

/** The earliest end among the real locks of its manifests; the advisory one when there is no other. */
function lockEnd(snapshot: SnapshotWithCopies): number | null {
  const real = snapshot.copies.filter((copy) => copy.lockMode !== null && copy.lockMode !== 'advisory');
  const ends = (real.length > 0 ? real : snapshot.copies).flatMap((copy) => (copy.retainUntil === null ? [] : [copy.retainUntil]));
  return ends.length === 0 ? null : Math.min(...ends);
}

/** Slower than promised is red; not known is a note, as long as nobody can measure without a first restore or drill. */
function checkRecovery({ recovery, runs, shop }: StatusFacts, red: Alarm[], notes: string[]): RecoveryEstimate | null {
  const estimate = recovery?.estimate ?? null;
  const fit = recovery?.fit ?? null;
  if (estimate === null || fit === null) {
    const missing = recovery?.notMeasured?.missing.map(({ source, phase }) => `${source} ${phase}`) ?? [];
    if (lastRestore(runs) === null) notes.push('no restore was ever measured: the recovery time is a guess');
    else if (missing.length > 0)
      notes.push(`the recovery time is not known, never measured: ${missing.join(', ')}; coffre drill ${shop.name} measures it`);
    return null;
  }
  const { expectedMs, lowMs, highMs, vault } = estimate;
  const minutes = (ms: number): string => `${Math.ceil(ms / 60_000)} min`;
  const span = `about ${minutes(expectedMs)} (${minutes(lowMs)} to ${minutes(highMs)})`;
  const target = minutes(shop.plan.rto.targetMs);
  if (fit === 'no')
    raise(
      red,
      'recovery',
      {},
      `a restore would take ${span} from ${vault}, the plan promises ${target}; coffre estimate ${shop.name} says what would make it faster`,
    );
  else if (fit === 'tight') notes.push(`a restore would take ${span} from ${vault}: at its slowest longer than the plan’s ${target}`);
  return { expectedMs: Math.round(expectedMs), lowMs: Math.round(lowMs), highMs: Math.round(highMs), vault, fit };
}

function lastRestore(runs: readonly RunRow[]): { readonly bytes: number; readonly durationMs: number } | null {
  const run = runs.find((candidate) => candidate.kind === 'restore' && candidate.state === 'done' && candidate.detail !== null);
  if (!run?.detail) return null;
  const { bytes, durationMs } = JSON.parse(run.detail) as { bytes: number; durationMs: number };
  return { bytes, durationMs };
}
