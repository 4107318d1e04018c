// Which snapshots of a shop stay, and why. Pure: rows in, reasons out.
import type { SnapshotsTable } from '../catalog/tables.ts';

export interface PolicySnapshot {
  readonly id: string;
  readonly source: SnapshotsTable['source'];
  /** Epoch milliseconds. */
  readonly completedAt: number;
  /** Epoch milliseconds. */
  readonly keepUntil: number;
  readonly complete: boolean;
  /** As isGood says. */
  readonly good: boolean;
  /** Its removal has begun: it cannot be taken back. */
  readonly tombstone: boolean;
  /** A restore of it is under way: it reads manifest and index again at its end. */
  readonly beingRestored?: boolean;
}

export interface Decision {
  readonly snapshot: string;
  readonly keep: boolean;
  readonly reason: string;
  /** Epoch milliseconds; null: until another snapshot takes its place, or at once. */
  readonly until: number | null;
}

/**
 * Decides for one shop, newest first. A snapshot stays until its window has ended, the last millisecond included. The newest good
 * one of each source stays whatever its age; when a source has none, its newest complete one does, or its newest at all:
 * nothing that could still help is thrown away for what was never good.
 */
export function decide(snapshots: readonly PolicySnapshot[], nowMs: number): Decision[] {
  const ordered = [...snapshots].sort((a, b) => b.completedAt - a.completedAt || (a.id < b.id ? 1 : -1));
  const anchors = new Map<string, { readonly id: string; readonly reason: string }>();
  for (const source of new Set(ordered.map((snapshot) => snapshot.source))) {
    const own = ordered.filter((snapshot) => snapshot.source === source && !snapshot.tombstone);
    const good = own.find((snapshot) => snapshot.good);
    const complete = own.find((snapshot) => snapshot.complete);
    const any = own[0];
    if (good) anchors.set(source, { id: good.id, reason: `newest good ${source} snapshot` });
    else if (complete) anchors.set(source, { id: complete.id, reason: `no ${source} snapshot is good: newest complete one` });
    else if (any) anchors.set(source, { id: any.id, reason: `no ${source} snapshot is good or complete: newest one` });
  }
  return ordered.map((snapshot) => {
    const anchor = anchors.get(snapshot.source);
    if (snapshot.tombstone) return { snapshot: snapshot.id, keep: false, reason: 'its removal had begun', until: null };
    if (anchor?.id === snapshot.id) return { snapshot: snapshot.id, keep: true, reason: anchor.reason, until: null };
    if (nowMs <= snapshot.keepUntil) return { snapshot: snapshot.id, keep: true, reason: 'in its window', until: snapshot.keepUntil };
    if (snapshot.beingRestored) return { snapshot: snapshot.id, keep: true, reason: 'a restore reads it', until: null };
    return { snapshot: snapshot.id, keep: false, reason: 'its window has ended', until: snapshot.keepUntil };
  });
}
