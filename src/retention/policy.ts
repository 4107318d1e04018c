// Which snapshots of a shop stay, and why. Pure: rows in, reasons out.
import { ACTIVE, type ShopLife } from '../catalog/shop-life.ts';
import type { SnapshotsTable } from '../catalog/tables/snapshots.ts';
import { SUSPENDED_KEEP_MS } from './margins.ts';

export interface PolicySnapshot {
  readonly id: string;
  readonly source: SnapshotsTable['source'];
  /** Epoch milliseconds. */
  readonly completedAt: number;
  /** Epoch milliseconds: what was promised when it was taken. */
  readonly keepUntil: number;
  readonly complete: boolean;
  /** As isGood says. */
  readonly good: boolean;
  /** Complete, and in every vault that its plan required, whatever was found wrong there since. */
  readonly isEverywhere?: boolean;
  /** That, and nothing is wrong with its copies but locks that did not hold: all of it can be restored. */
  readonly isWhole?: boolean;
  /** What was there before a restore in place. Left out: a backup. */
  readonly safety?: boolean;
  /** Its removal has begun: it cannot be taken back. */
  readonly tombstone: boolean;
  /** A restore of it is under way: it reads manifest and index again at its end. */
  readonly beingRestored?: boolean;
}

/** Reasons of the holds in force. */
export interface Holds {
  /** Of the whole shop; null: none. */
  readonly shop: string | null;
  /** By snapshot id. */
  readonly snapshots: ReadonlyMap<string, string>;
}

export interface PolicyRules {
  /** The plan's window as it is now: one that became longer keeps longer what is still there. 0: only what was promised counts. */
  readonly retentionMs: number;
  readonly life: Pick<ShopLife, 'state' | 'since' | 'endsAt'>;
  readonly holds: Holds;
}

export const NO_HOLDS: Holds = { shop: null, snapshots: new Map() };
/** A shop that is active and held by nobody. */
export const PLAIN_RULES: PolicyRules = { retentionMs: 0, life: ACTIVE, holds: NO_HOLDS };

/** What decided; `waits` is prune's: decided to go, and no vault can begin. */
export type Why = 'begun' | 'held' | 'ended' | 'anchor' | 'window' | 'restored' | 'over' | 'waits';

export interface Decision {
  readonly snapshot: string;
  readonly keep: boolean;
  readonly why: Why;
  readonly reason: string;
  /** Epoch milliseconds; null: until another snapshot takes its place, or somebody says otherwise, or at once. */
  readonly until: number | null;
}

/**
 * When everything of the shop goes, in epoch milliseconds: an erased shop at once, a closing one at its end, a suspended one after
 * the time that its newest good backups are kept. null: never.
 */
export function lifeEnd({ state, since, endsAt }: PolicyRules['life']): number | null {
  if (state === 'erased') return since;
  if (state === 'closing') return endsAt;
  return state === 'suspended' ? since + SUSPENDED_KEEP_MS : null;
}

/** Whether that time has come. The last millisecond still belongs to the shop; an erasure does not wait, whatever a clock says. */
export function hasEnded(life: PolicyRules['life'], nowMs: number): boolean {
  const end = lifeEnd(life);
  return life.state === 'erased' || (end !== null && nowMs > end);
}

/** Whether the shop is to be backed up now. */
export function isBackedUp(life: PolicyRules['life'], nowMs: number): boolean {
  return life.state === 'active' || (life.state === 'closing' && !hasEnded(life, nowMs));
}

/** End of a snapshot's window: what was promised, or what the plan says now if that is later, but not beyond the shop's own end. */
export function windowEnd(snapshot: Pick<PolicySnapshot, 'completedAt' | 'keepUntil'>, rules: PolicyRules): number {
  const end = Math.max(snapshot.keepUntil, snapshot.completedAt + rules.retentionMs);
  return Math.min(end, lifeEnd(rules.life) ?? end);
}

/**
 * Decides for one shop, newest first. A hold keeps whatever it names. A snapshot stays until its window has ended, the last millisecond
 * included. The newest good one of each source stays whatever its age; when a source has none, the newest of which nothing but
 * locks is wrong does, or its newest complete one, or its newest at all: nothing that could still help is thrown away for what is not
 * good. What was taken for safety before a restore in place takes no backup's place; while no backup is good it stays beside the best
 * of them. Once the shop itself has ended nothing of this counts but holds, and restores that are under way.
 */
export function decide(snapshots: readonly PolicySnapshot[], nowMs: number, rules: PolicyRules = PLAIN_RULES): Decision[] {
  const ordered = [...snapshots].sort((a, b) => b.completedAt - a.completedAt || (a.id < b.id ? 1 : -1));
  const anchors = findAnchors(ordered);
  const end = lifeEnd(rules.life);
  const ended = hasEnded(rules.life, nowMs);
  return ordered.map((snapshot): Decision => {
    const say = (keep: boolean, why: Why, reason: string, until: number | null): Decision => ({
      snapshot: snapshot.id,
      keep,
      why,
      reason,
      until,
    });
    if (snapshot.tombstone) return say(false, 'begun', 'its removal had begun', null);
    const hold = rules.holds.snapshots.get(snapshot.id) ?? rules.holds.shop;
    if (hold !== null) return say(true, 'held', `held: ${hold}`, null);
    if (ended) {
      if (snapshot.beingRestored) return say(true, 'restored', 'a restore reads it', null);
      return say(false, 'ended', endReason(rules.life.state), end);
    }
    const anchor = anchors.get(snapshot.id);
    if (anchor !== undefined) return say(true, 'anchor', anchor, end);
    const windowEndMs = windowEnd(snapshot, rules);
    if (nowMs <= windowEndMs) return say(true, 'window', 'in its window', windowEndMs);
    if (snapshot.beingRestored) return say(true, 'restored', 'a restore reads it', null);
    return say(false, 'over', 'its window has ended', windowEndMs);
  });
}

/** By id, why. */
function findAnchors(ordered: readonly PolicySnapshot[]): ReadonlyMap<string, string> {
  const anchors = new Map<string, string>();
  for (const source of new Set(ordered.map((snapshot) => snapshot.source))) {
    const own = ordered.filter((snapshot) => snapshot.source === source && !snapshot.tombstone);
    const [backup, reason] = bestOf(own.filter(({ safety }) => !safety));
    if (backup) anchors.set(backup.id, reason(source));
    if (backup?.good) continue;
    // the only whole state may be the one that somebody wanted to be rid of
    const [any, reasonOfAny] = bestOf(own);
    if (any?.safety) anchors.set(any.id, `${reasonOfAny(source)}, taken before a restore`);
  }
  return anchors;
}

function bestOf(ordered: readonly PolicySnapshot[]): [PolicySnapshot | undefined, (source: string) => string] {
  const good = ordered.find((snapshot) => snapshot.good);
  if (good) return [good, (source) => `newest good ${source} snapshot`];
  const whole = ordered.find((snapshot) => snapshot.isWhole);
  if (whole) return [whole, (source) => `no ${source} snapshot is good: newest one that can be restored`];
  const complete = ordered.find((snapshot) => snapshot.complete);
  if (complete) return [complete, (source) => `no ${source} snapshot is good: newest complete one`];
  return [ordered[0], (source) => `no ${source} snapshot is good or complete: newest one`];
}

function endReason(state: ShopLife['state']): string {
  if (state === 'erased') return 'the shop was erased';
  return state === 'closing' ? 'the shop has closed' : 'the shop has been suspended for too long';
}
