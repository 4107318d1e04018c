import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type PlanFacts, type PlanObject, type PlanSnapshot, planPrune, STAGES } from '../../src/retention/plan.ts';
import { PLAIN_RULES } from '../../src/retention/policy.ts';

type Snapshot = PlanSnapshot & { readonly segmentIds: readonly string[] };

const DAY = 86_400_000;
const NOW = 100 * DAY;
const RETENTION_MS = 14 * DAY;

function object(id: number, kind: PlanObject['kind'], changes: Partial<PlanObject> = {}): PlanObject {
  const refId = changes.refId === undefined ? `ref${id}` : changes.refId;
  return {
    ...{ id, vault: 'nas', key: `dupont/${kind}/${refId ?? id}`, versionId: `v${id}`, kind, refId, runId: 'r0', tombstone: false },
    ...{ sizeBytes: 10, retainUntil: null, createdAt: 0 },
    ...changes,
  };
}

function snapshot(id: string, completedAt: number, segmentIds: readonly string[], vaults: readonly string[] = ['nas']): Snapshot {
  const copies = vaults.map((vault) => ({ vault, manifestKey: `dupont/manifest/${id}` }));
  const good = true;
  return {
    id,
    source: 'files',
    completedAt,
    keepUntil: completedAt + RETENTION_MS,
    complete: true,
    good,
    tombstone: false,
    copies,
    segmentIds,
  };
}

function facts(changes: Partial<Omit<PlanFacts, 'snapshots'>> & { readonly snapshots?: readonly Snapshot[] }): PlanFacts {
  const users = new Map<string, string[]>();
  for (const { id, segmentIds } of changes.snapshots ?? []) for (const ref of segmentIds) users.set(ref, [...(users.get(ref) ?? []), id]);
  const none = { snapshots: [], objects: [], users, pins: new Map(), aliveRuns: new Set<string>() };
  return { ...PLAIN_RULES, nowMs: NOW, retentionMs: RETENTION_MS, ...none, ...changes };
}

function golden(input: PlanFacts, optimistic = true): string[] {
  return planPrune(input, optimistic).verdicts.map((v) => `${v.object.kind} ${v.object.refId ?? v.object.id} ${v.fate}: ${v.reason}`);
}

describe('reasons', () => {
  const old = snapshot('old', NOW - 20 * DAY, ['a', 'b']);
  const newer = snapshot('new', NOW - DAY, ['b', 'c']);

  test('an old and a new snapshot - what only the old one uses goes', () => {
    const objects = [
      object(1, 'segment', { refId: 'a' }),
      object(2, 'segment', { refId: 'b' }),
      object(3, 'segment', { refId: 'c' }),
      object(4, 'index', { refId: 'old' }),
      object(5, 'manifest', { refId: 'old' }),
      object(6, 'manifest', { refId: 'new' }),
    ];
    expect(golden(facts({ snapshots: [old, newer], objects }))).toEqual([
      'segment a goes: nothing kept uses it',
      'segment b stays: used by snapshot new',
      'segment c stays: used by snapshot new',
      'index old goes: its window has ended',
      'manifest old goes: its window has ended',
      'manifest new stays: of a kept snapshot',
    ]);
    expect(golden(facts({ snapshots: [old, newer], objects }), false).slice(0, 4)).toEqual([
      'segment a stays: its manifest dupont/manifest/old is still there',
      'segment b stays: used by snapshot new',
      'segment c stays: used by snapshot new',
      'index old stays: its manifest dupont/manifest/old is still there',
    ]);
  });

  test('checkpoints of the state - the newest of each vault stays for ever, the others for 400 days', () => {
    const state = (id: number, vault: string, ageDays: number): PlanObject =>
      object(id, 'state', { vault, key: `_coffre/state/${9_000 - ageDays}`, refId: `${vault}${ageDays}`, createdAt: NOW - ageDays * DAY });
    const objects = [state(1, 'nas', 900), state(2, 'offsite', 401), state(3, 'offsite', 399), state(4, 'offsite', 1)];
    const locked = { ...state(5, 'offsite', 500), retainUntil: NOW + DAY };
    expect(golden(facts({ objects: [...objects, locked] }))).toEqual([
      'state nas900 stays: the newest checkpoint of the state',
      'state offsite401 goes: a checkpoint of the state, older than any detail that is kept',
      'state offsite399 stays: a checkpoint of the state: it carries ledger and audit of its day',
      'state offsite1 stays: the newest checkpoint of the state',
      'state offsite500 waits: a checkpoint of the state, older than any detail that is kept',
    ]);
  });

  test('a manifest still locked in one of two vaults - it goes in the other, and here its segments wait with it', () => {
    const objects = ['nas', 'offsite'].flatMap((vault, i) => [
      object(i * 2 + 1, 'segment', { refId: 'a', vault }),
      object(i * 2 + 2, 'manifest', { refId: 'old', vault, retainUntil: vault === 'offsite' ? NOW + DAY : NOW }),
    ]);
    const both = { ...old, copies: ['nas', 'offsite'].map((vault) => ({ vault, manifestKey: 'dupont/manifest/old' })) };
    const plan = planPrune(facts({ snapshots: [both, newer], objects }), true);
    expect(plan.verdicts.map((v) => [v.object.vault, v.object.kind, v.fate, v.fate === 'waits' ? v.until : null])).toEqual([
      ['nas', 'segment', 'goes', null],
      ['nas', 'manifest', 'goes', null],
      ['offsite', 'segment', 'waits', NOW + DAY],
      ['offsite', 'manifest', 'waits', NOW + DAY],
    ]);
  });

  test('what nobody may delete, and what nobody needs', () => {
    const recent = { createdAt: NOW - 1000 };
    const objects = [
      object(1, 'foreign', { refId: null }),
      object(2, 'key'),
      object(3, 'state'),
      object(4, 'probe', recent),
      object(5, 'probe'),
      object(6, 'upload', recent),
      object(7, 'upload'),
      object(8, 'upload', { runId: 'alive' }),
      object(9, 'stray', { refId: null }),
      object(10, 'segment', { ...recent, runId: 'other' }),
      object(11, 'segment'),
      object(12, 'segment', { runId: 'alive' }),
      object(13, 'segment', { refId: 'pinned' }),
      object(14, 'manifest', recent),
      object(15, 'manifest', { runId: 'dead' }),
      object(16, 'segment', { runId: 'dead' }),
      object(17, 'segment', { retainUntil: NOW + 1 }),
    ];
    const input = facts({ objects, pins: new Map([['pinned', ['r9']]]), aliveRuns: new Set(['alive']) });
    expect(golden(input)).toEqual([
      'foreign 1 stays: not written by coffre: only its owner may delete it',
      'key ref2 stays: an identity: without it nothing of the shop can be read',
      'state ref3 stays: the newest checkpoint of the state',
      'probe ref4 stays: a probe may be under way',
      'probe ref5 goes: left by a probe',
      'upload ref6 stays: its parts may still be arriving',
      'upload ref7 goes: an upload that nobody will finish',
      'upload ref8 stays: its run is under way',
      'stray 9 goes: a second version that nothing needs',
      'segment ref10 stays: of a run that was cut off: the next one may take it up',
      'segment ref11 stays: its manifest dupont/manifest/ref14 is still there',
      'segment ref12 stays: its run is under way',
      'segment pinned stays: run r9 relies on it',
      'manifest ref14 stays: of a run that was cut off: the next one may take it up',
      'manifest ref15 goes: of a run that was cut off, and nobody took it up',
      'segment ref16 goes: nothing uses it',
      'segment ref17 stays: its manifest dupont/manifest/ref14 is still there',
    ]);
  });
});

/** Vaults in memory that enforce locks, beside the real ones of prune.test.ts: thousands of histories in a second. */
class Vaults {
  readonly held = new Map<number, PlanObject>();
  nowMs = 0;

  delete(object: PlanObject): void {
    const there = this.held.get(object.id);
    if (there && there.retainUntil !== null && there.retainUntil > this.nowMs) throw new Error(`${object.key} is locked`);
    this.held.delete(object.id);
  }
}

describe('any history, pruned with deletions that fail and prunes that are cut off', () => {
  const VAULTS = ['nas', 'offsite'];
  const snapshots = fc.array(
    fc.record({
      source: fc.constantFrom('files' as const, 'database' as const),
      gapDays: fc.integer({ min: 1, max: 9 }),
      fresh: fc.integer({ min: 1, max: 3 }),
      reuse: fc.boolean(),
      into: fc.constantFrom(['nas'], ['offsite'], VAULTS),
      complete: fc.boolean(),
      /** Days by which locks outlast the window. */
      lockDays: fc.integer({ min: 0, max: 6 }),
    }),
    { minLength: 1, maxLength: 8 },
  );

  test('no kept snapshot loses anything, no manifest outlives a segment of its, nothing locked is tried, and all that may go goes', () => {
    fc.assert(
      fc.property(snapshots, fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 60 }), (history, luck) => {
        const store = new Vaults();
        let list: Snapshot[] = [];
        let nextId = 1;
        let segment = 0;
        const needs = new Map<string, readonly string[]>();
        history.forEach((taken, i) => {
          store.nowMs += taken.gapDays * DAY;
          const id = `s${i}`;
          const before = list.filter((s) => s.source === taken.source).at(-1);
          const reused = taken.reuse && before ? before.segmentIds.slice(0, 2) : [];
          const fresh = Array.from({ length: taken.fresh }, () => `g${segment++}`);
          const until = store.nowMs + RETENTION_MS + taken.lockDays * DAY;
          // as a run does: what is reused is in the vault already, or the vault does not get the snapshot
          const into = taken.into.filter((vault) =>
            reused.every((ref) => [...store.held.values()].some((o) => o.vault === vault && o.refId === ref)),
          );
          for (const vault of into) {
            for (const refId of fresh) {
              const made = object(nextId++, 'segment', { vault, refId, runId: id, retainUntil: until, createdAt: store.nowMs });
              store.held.set(made.id, made);
            }
            for (const o of store.held.values()) {
              if (o.vault === vault && reused.includes(o.refId ?? ''))
                store.held.set(o.id, { ...o, retainUntil: Math.max(o.retainUntil ?? 0, until) });
            }
            for (const kind of ['index', 'manifest'] as const) {
              const made = object(nextId++, kind, { vault, refId: id, runId: id, retainUntil: until, createdAt: store.nowMs });
              store.held.set(made.id, made);
            }
          }
          needs.set(id, [...reused, ...fresh]);
          if (into.length === 0) return;
          list.push({
            ...snapshot(id, store.nowMs, [...reused, ...fresh], into),
            source: taken.source,
            complete: taken.complete,
            good: taken.complete && into.length === VAULTS.length,
          });
        });

        let dice = 0;
        const lucky = (): boolean => luck[dice++ % luck.length] !== 0;
        const prune = (mayFail: boolean): void => {
          for (const stage of STAGES) {
            const plan = planPrune(facts({ nowMs: store.nowMs, snapshots: list, objects: [...store.held.values()] }), false);
            list = list.map((s) => (plan.going.has(s.id) ? { ...s, tombstone: true, good: false } : s));
            for (const verdict of plan.verdicts) {
              if (verdict.fate !== 'goes' || verdict.stage !== stage) continue;
              store.held.set(verdict.object.id, { ...verdict.object, tombstone: true });
              if (!mayFail || lucky()) store.delete(verdict.object);
              check();
            }
            if (mayFail && !lucky()) return;
          }
          list = list.filter((s) => !s.tombstone || [...store.held.values()].some((o) => o.refId === s.id));
        };
        const check = (): void => {
          const there = new Set([...store.held.values()].map((o) => `${o.vault} ${o.refId}`));
          const need = (what: string, who: string): void => {
            if (!there.has(what)) throw new Error(`${who} needs ${what}`);
          };
          for (const o of store.held.values()) {
            if (o.kind === 'manifest') for (const ref of needs.get(o.refId ?? '') ?? []) need(`${o.vault} ${ref}`, `manifest ${o.refId}`);
          }
          for (const s of list) {
            if (s.tombstone) continue;
            for (const copy of s.copies) for (const ref of [...s.segmentIds, s.id]) need(`${copy.vault} ${ref}`, `snapshot ${s.id}`);
          }
        };

        check();
        for (let day = 0; day < 30; day++) {
          store.nowMs += DAY;
          const dry = planPrune(facts({ nowMs: store.nowMs, snapshots: list, objects: [...store.held.values()] }), true);
          prune(true);
          check();
          // what the dry run would keep is kept
          for (const v of dry.verdicts) if (v.fate === 'stays') expect(store.held.has(v.object.id)).toBe(true);
        }
        prune(false);
        prune(false);
        const used = new Set(list.flatMap((s) => [s.id, ...s.segmentIds]));
        for (const o of store.held.values()) expect(used, `${o.kind} ${o.refId} is left for ever`).toContain(o.refId);
        expect(list.length).toBeLessThanOrEqual(2);
      }),
      { numRuns: 300 },
    );
  });
});
