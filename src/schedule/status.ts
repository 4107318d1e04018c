// How a shop stands: what was due and whether it is there, where its copies are, what is red and why. Pure over what was read.
import { ownDataBytes } from '../billing/quota.ts';
import type { BreachCase } from '../catalog/breaches.ts';
import type { OpenRestoreRow } from '../catalog/open-restores.ts';
import type { Pause } from '../catalog/pauses.ts';
import type { ReadingLevel } from '../catalog/reading.ts';
import { ACTIVE, type ShopLife } from '../catalog/shop-life.ts';
import { isBackedUp, lifeEnd } from '../retention/policy.ts';
import { type Alarm, raise } from './alarm.ts';
import { checkBreaches } from './status-breach.ts';
import { type Copies, type CopyFacts, countCopies, type Lacking, whatLacks } from './status-copies.ts';
import { checkDrills, type DrillStatus, type DrillsRead, UNDRILLED } from './status-drill.ts';
import { checkProbes, type ProbeFacts } from './status-probe.ts';
import { checkRecovery, lastRestore, type RecoveryEstimate, type RecoveryFacts } from './status-recovery.ts';
import { checkRequests, type RequestFact, type RequestStatus } from './status-requests.ts';
import { declaredSources, noteConsistency, type SourceFacts, type SourceStatus, sourceStatus } from './status-source.ts';
import { text } from './status-text.ts';
import { checkCheckpoints, checkIncidents, checkPrune, checkReading, checkReconcile, type UpkeepFacts } from './status-upkeep.ts';

export interface StatusFacts extends CopyFacts, UpkeepFacts, SourceFacts, ProbeFacts, RecoveryFacts {
  /** Versions on our keys that are not ours and that no reconciliation has looked at yet. */
  readonly foreignVersions: number;
  /** Left out: none is open, and the last one did not fail. */
  readonly requests?: readonly RequestFact[];
  readonly openRestore?: OpenRestoreRow | null;
  /** Cases of tampering or loss that concern the shop, and wait. */
  readonly breaches?: readonly BreachCase[];
  /** Left out or null: its scheduled backups do not wait. */
  readonly pause?: Pause | null;
  /** Left out: active, and held by nobody. */
  readonly life?: ShopLife;
  /** Left out: nobody looked. */
  readonly drills?: DrillsRead;
  /** Reasons of the holds in force. */
  readonly holds?: readonly string[];
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
  checkProbes(facts, red);
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
  const usedBytes = ownDataBytes(facts.snapshots, declaredSources(shop));
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
