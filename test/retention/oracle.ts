// What must be true of a simulated shop, said once more and apart from the code that decides: by true time, from what was taken and ordered.
import type { SimShop, SimSnapshot } from './simulation.ts';

const DAY_MS = 86_400_000;
/** Clocks may differ by limits.clockSkew, stores round locks. */
const TOLERANCE_MS = 10_000;
const SUSPENDED_MS = 30 * DAY_MS;

export class Oracle {
  readonly #shop: SimShop;
  /** Snapshots that were required whenever somebody looked. */
  #alive: SimSnapshot[] = [];
  readonly #taken = new Map<string, SimSnapshot>();

  constructor(shop: SimShop) {
    this.#shop = shop;
  }

  took(snapshot: SimSnapshot | null): void {
    if (!snapshot) return;
    this.#alive.push(snapshot);
    this.#taken.set(snapshot.id, snapshot);
  }

  get required(): readonly SimSnapshot[] {
    return this.#alive;
  }

  /** When the shop as a whole ends; infinite when nobody knows. */
  #end(): number {
    const { life } = this.#shop;
    if (life.state === 'erased') return life.since;
    if (life.state === 'closing') return life.endsAt as number;
    return life.state === 'suspended' ? life.since + SUSPENDED_MS : Number.POSITIVE_INFINITY;
  }

  #isHeld(snapshot: SimSnapshot): boolean {
    return this.#shop.shopHold !== null || this.#shop.held.has(snapshot.id);
  }

  #newest(source: string, fits: (snapshot: SimSnapshot) => boolean): SimSnapshot | undefined {
    const own = this.#alive.filter((it) => it.source === source && fits(it));
    return own.sort((a, b) => b.trueCompletedAt - a.trueCompletedAt)[0];
  }

  /** N x 24 h from completion, with the longer of the window it was taken under and the plan's own now. */
  #windowEnd(snapshot: SimSnapshot): number {
    return snapshot.trueCompletedAt + Math.max(snapshot.windowMs, this.#shop.plan.retentionMs);
  }

  #isRequired(snapshot: SimSnapshot, nowMs: number): boolean {
    if (this.#isHeld(snapshot)) return true;
    if (nowMs > this.#end() - TOLERANCE_MS) return false;
    if (this.#newest(snapshot.source, (it) => it.good)?.id === snapshot.id) return true;
    return nowMs < this.#windowEnd(snapshot) - TOLERANCE_MS;
  }

  /** Everything that must restore does: its objects are there, under locks that last. `pruned`: locks were just kept ahead everywhere. */
  check(nowMs: number, pruned: boolean): void {
    // what is still there when somebody holds it is required again
    for (const snapshot of this.#shop.snapshots) {
      if (!snapshot.tombstone && this.#isHeld(snapshot) && !this.#alive.some((it) => it.id === snapshot.id)) this.#alive.push(snapshot);
    }
    this.#alive = this.#alive.filter((snapshot) => this.#isRequired(snapshot, nowMs));
    // what each object must still do, for whichever snapshot needs it longest
    const needs = new Map<string, { least: number; snapshot: string }>();
    const known = new Map(this.#shop.snapshots.map((it) => [it.id, it]));
    for (const snapshot of this.#alive) {
      if (known.get(snapshot.id)?.tombstone !== false) throw new Error(`${snapshot.id} was given up at ${text(nowMs)}`);
      const least = this.#leastLock(snapshot, nowMs, pruned);
      for (const { vault } of snapshot.copies) {
        const need = (ref: string): void => {
          const name = `${vault} ${ref}`;
          if ((needs.get(name)?.least ?? -1) < least) needs.set(name, { least, snapshot: snapshot.id });
        };
        for (const id of snapshot.segmentIds) need(`segment ${id}`);
        need(`index ${snapshot.id}`);
        need(`manifest ${snapshot.id}`);
      }
    }
    for (const { vault, kind, refId, key, versionId } of this.#shop.rows.values()) {
      const name = `${vault} ${kind} ${refId}`;
      const need = needs.get(name);
      if (!need) continue;
      needs.delete(name);
      const lockMs = this.#shop.stores.find((it) => it.vault.name === vault)?.vault.lockEndOf(key, versionId) ?? null;
      if (lockMs === null) throw new Error(`${need.snapshot} lost ${name} at ${text(nowMs)}`);
      if (lockMs < need.least) throw new Error(`${need.snapshot}: the lock of ${name} ends ${text(lockMs)}, needed ${text(need.least)}`);
    }
    for (const [name, { snapshot }] of needs) throw new Error(`${snapshot} lost ${name} at ${text(nowMs)}`);
    this.#checkManifests(nowMs);
  }

  /** Whatever manifest a vault holds, kept or going: what it names is there, or a rebuilt catalog would show what does not restore. */
  #checkManifests(nowMs: number): void {
    const there = new Set<string>();
    for (const { vault, refId } of this.#shop.rows.values()) there.add(`${vault} ${refId}`);
    for (const { vault, kind, refId } of this.#shop.rows.values()) {
      if (kind !== 'manifest') continue;
      for (const id of this.#taken.get(refId as string)?.segmentIds ?? []) {
        if (!there.has(`${vault} ${id}`)) throw new Error(`${vault} shows ${refId} without ${id} at ${text(nowMs)}`);
      }
    }
  }

  /** Until when a lock must last at least, as of now. */
  #leastLock(snapshot: SimSnapshot, nowMs: number, pruned: boolean): number {
    const promised = Math.min(snapshot.trueCompletedAt + snapshot.windowMs, this.#end()) - TOLERANCE_MS;
    if (!pruned) return promised;
    const ahead = nowMs + Math.min(DAY_MS, this.#shop.plan.retentionMs / 2 - TOLERANCE_MS);
    if (this.#isHeld(snapshot)) return Math.max(promised, ahead);
    const isAnchor = this.#newest(snapshot.source, (it) => it.good)?.id === snapshot.id;
    const window = Math.min(this.#windowEnd(snapshot), this.#end()) - TOLERANCE_MS;
    return Math.max(promised, window, isAnchor ? Math.min(ahead, this.#end() - TOLERANCE_MS) : 0);
  }

  /**
   * After a prune that nothing disturbed: whatever is still there is needed, locked, under a locked manifest, or so young that the next
   * run may take it up.
   */
  checkReleased(nowMs: number): void {
    const needed = new Set<string>();
    const keep = (snapshot: SimSnapshot | undefined): void => {
      if (snapshot) for (const ref of [...snapshot.segmentIds, snapshot.id]) needed.add(ref);
    };
    for (const snapshot of this.#alive) keep(snapshot);
    const ended = nowMs > this.#end() + TOLERANCE_MS;
    if (!ended) {
      // the window's last moments, by either clock
      for (const snapshot of this.#shop.snapshots) if (nowMs < this.#windowEnd(snapshot) + TOLERANCE_MS) keep(snapshot);
      // where none is good, what may still help is kept
      for (const source of ['database', 'files']) {
        const own = this.#shop.snapshots
          .filter((it) => it.source === source && !it.tombstone)
          .sort((a, b) => b.completedAt - a.completedAt);
        if (!own.some((it) => it.good)) keep(own.find((it) => it.complete) ?? own[0]);
      }
    }
    const rows = [...this.#shop.rows.values()];
    const lockedManifests = rows.filter((row) => row.kind === 'manifest' && (row.retainUntil ?? 0) > nowMs - TOLERANCE_MS);
    const youngMs = ended ? 0 : Math.min(DAY_MS, this.#shop.plan.retentionMs) + TOLERANCE_MS;
    for (const row of rows) {
      if (needed.has(row.refId as string) || (row.retainUntil ?? 0) > nowMs - TOLERANCE_MS) continue;
      if (
        row.kind === 'key' &&
        (!ended || this.#shop.life.state === 'suspended' || rows.some((it) => it.kind !== 'key' && it.vault === row.vault))
      )
        continue;
      if (nowMs - row.createdAt < youngMs) continue;
      const names = (manifest: (typeof rows)[number]): boolean =>
        manifest.vault === row.vault &&
        (manifest.refId === row.refId ||
          manifest.runId === row.runId ||
          Boolean(this.#taken.get(manifest.refId as string)?.segmentIds.includes(row.refId as string)));
      if (lockedManifests.some(names)) continue;
      throw new Error(`${row.key} in ${row.vault} could have gone: ${text(nowMs)}, its lock ended ${text(row.retainUntil ?? 0)}`);
    }
  }
}

function text(ms: number): string {
  return Number.isFinite(ms)
    ? new Intl.DateTimeFormat('sv', { dateStyle: 'short', timeStyle: 'medium', timeZone: 'UTC' }).format(ms)
    : String(ms);
}
