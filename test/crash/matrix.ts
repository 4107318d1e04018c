// The matrix: counts an operation's effects, then kills it before and after each of them, runs it again, and looks at the truths.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import type { Mariadb } from '../servers/mariadb.ts';
import { MEMORY, roomInMemory } from '../servers/room-in-memory.ts';
import type { Bucket } from '../servers/s3.ts';
import { Bench, type ChainOutcome, type FoundViolation, type Kill } from './bench.ts';
import { makeRandom, type Random } from './random.ts';
import { type Operation, SCENARIOS, type Scenario } from './scenarios.ts';
import { runInStore, type StoreOutcome } from './store.ts';

/** Of each so many worlds coffre itself restores one, and verifies another, besides what is read by hand in all of them. */
const ASK_EVERY = 10;
/** Of each so many worlds one sees a second kill, or more of them, while it makes up for the first. */
const CHAIN_EVERY = 3;
const LONGEST_CHAIN = 5;
/** Of each so many kills one is a power cut: part of what was not synced is taken away as well. */
const CUT_EVERY = 3;
/** With no more kills of a scenario than this it is not looked at without any: that would take as long as the kills. */
const UNCHECKED_KILLS = 4;
/** A scenario with more kills than this is shared by lanes. */
const SHARE_KILLS = 100;
/** What the folders of all worlds need is far below this. */
const ROOM_BYTES = 1024 ** 3;

export interface MatrixOptions {
  /** Kills, at least. */
  readonly runs: number;
  readonly seed: number;
  readonly operations: readonly Operation[];
  /** Installations that are worked on at once. */
  readonly lanes: number;
  /** Opens a bucket of a real store for some more kills; left out: folders alone. */
  readonly store?: { readonly kills: number; readonly bucket: () => Promise<Bucket> };
  /** For scenarios with a database; left out: none of them. */
  readonly mariadb?: Mariadb;
  /** Only these kills, in one world. */
  readonly at?: { readonly scenario: string; readonly kills: readonly Kill[] };
  /** Folder for copies of worlds in which something was violated. */
  readonly keep?: string;
  /** Ends it early, with what has been found so far. */
  readonly signal?: AbortSignal;
  readonly onRun?: (kills: number, found: readonly FoundViolation[]) => void;
}

export interface MatrixReport {
  /** Effects counted, over all scenarios; each can be died at before and after. */
  readonly points: number;
  /** Kills. */
  readonly runs: number;
  readonly violations: number;
  readonly seed: number;
  readonly durationMs: number;
  /** Worlds that were killed in and looked at, and what coffre restored of them; what is stored is put together by hand each time. */
  readonly worlds: number;
  readonly restores: number;
  /** Kills that were power cuts. */
  readonly cuts: number;
  readonly scenarios: readonly {
    readonly name: string;
    readonly operation: string;
    readonly points: number;
    readonly kills: number;
    /** How often each effect happens. */
    readonly effects: Readonly<Record<string, number>>;
    /** Effects of different names that were died at. */
    readonly names: number;
  }[];
  readonly found: readonly FoundViolation[];
}

interface Tally {
  readonly scenario: Scenario;
  readonly seed: number;
  /** Of a run without a kill, by name; the lane that comes first counts them. */
  effects: Promise<readonly string[]> | null;
  names: readonly string[];
  kills: number;
  readonly died: Set<string>;
}

/** What a lane does at a time: a scenario, or a part of its kills. */
interface Share {
  readonly tally: Tally;
  readonly kills: number;
  readonly part: number;
  readonly parts: number;
}

export async function runMatrix(options: MatrixOptions): Promise<MatrixReport> {
  const { at, onRun, signal } = options;
  const startedMs = systemClock.monotonicMs();
  const random = makeRandom(options.seed);
  const chosen = SCENARIOS.filter((scenario) =>
    at === undefined ? options.operations.includes(scenario.operation) : scenario.name === at.scenario,
  ).filter(({ rows }) => rows === undefined || options.mariadb !== undefined);
  const dir = mkdtempSync(join(roomInMemory(MEMORY, ROOM_BYTES) ?? tmpdir(), 'coffre-crash-'));
  const found: FoundViolation[] = [];
  const tallies = chosen.map(
    (scenario): Tally => ({ scenario, seed: random(2 ** 31), effects: null, names: [], kills: 0, died: new Set() }),
  );
  const total = { kills: 0, worlds: 0, restores: 0, cuts: 0 };
  let inStore: StoreOutcome | null = null;
  const add = (tally: Tally, { kills, cuts, died, found: now }: ChainOutcome): void => {
    tally.kills += kills;
    for (const name of died) tally.died.add(name);
    total.worlds++;
    total.cuts += cuts;
    total.kills += kills;
    found.push(...now);
    onRun?.(total.kills, now);
  };
  try {
    const shares = at === undefined ? shareOut(tallies, options.runs) : tallies.map((tally) => ({ tally, kills: 1, part: 0, parts: 1 }));
    const lane = async (name: string): Promise<void> => {
      await using bench = new Bench(join(dir, name), { mariadb: options.mariadb ?? null, keep: options.keep ?? null });
      for (;;) {
        const share = shares.shift();
        if (share === undefined || signal?.aborted) return;
        const { tally } = share;
        await bench.prepare(tally.scenario);
        tally.effects ??= bench.count(share.kills > UNCHECKED_KILLS);
        tally.names = await tally.effects;
        if (at !== undefined) {
          add(tally, await bench.run({ kills: at.kills, cuts: [], random, asks: 'restore' }));
          total.restores++;
          continue;
        }
        const own = makeRandom(tally.seed + share.part);
        const first = chooseKills(tally.names, makeRandom(tally.seed)).filter((_, i) => i % share.parts === share.part);
        for (let world = 0, killed = 0; killed < share.kills && world < 2 * share.kills + 10; world++) {
          const kills = [first[world % first.length] as Kill];
          if (own(CHAIN_EVERY) === 0) for (let more = own(LONGEST_CHAIN - 1) + 1; more > 0; more--) kills.push(anyKill(tally.names, own));
          const cuts = kills.map(() => own(CUT_EVERY) === 0);
          if (signal?.aborted) return;
          const turn = total.worlds % ASK_EVERY;
          const asks = turn === 0 ? 'restore' : turn === ASK_EVERY / 2 ? 'verify' : null;
          const outcome = await bench.run({ kills, cuts, random: own, asks }).catch((error: Error): ChainOutcome => {
            const killed = kills.map(({ number, side }) => `${side} ${number}`);
            const truth = 'a world can be looked at';
            const violation = { scenario: tally.scenario.name, killed, when: 'killed' as const, truth, detail: String(error.stack) };
            return { kills: 0, cuts: 0, died: [], found: [violation] };
          });
          killed += outcome.kills;
          if (asks === 'restore') total.restores++;
          add(tally, outcome);
        }
      }
    };
    const storeLane = async (): Promise<void> => {
      if (!options.store) return;
      const bucket = await options.store.bucket();
      try {
        inStore = await runInStore(bucket, options.store.kills, makeRandom(random(2 ** 31)), signal ?? null, (now) =>
          onRun?.(++total.kills, now),
        );
        found.push(...inStore.found);
      } finally {
        await bucket.release();
      }
    };
    const stored = storeLane();
    const lanes = Array.from({ length: Math.min(options.lanes, shares.length) }, (_, i) => lane(`lane${i}`));
    // all of them are waited for: what one of them works in is not taken from under it
    const ended = await Promise.allSettled([...lanes, stored]);
    for (const one of ended) if (one.status === 'rejected') throw one.reason;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  const scenarios = [
    ...tallies.map(({ scenario: { name, operation }, names, kills, died }) => ({
      ...{ name, operation: operation as string, names, kills, died },
    })),
    ...all(inStore).map((it) => ({ ...it, operation: 'backup, prune' })),
  ];
  return {
    points: sum(scenarios.map(({ names }) => names.length)),
    runs: sum(scenarios.map(({ kills }) => kills)),
    violations: found.length,
    seed: options.seed,
    durationMs: Math.round(systemClock.monotonicMs() - startedMs),
    worlds: total.worlds,
    restores: total.restores + sum(all(inStore).map((it) => it.restores)),
    cuts: total.cuts,
    scenarios: scenarios.map(({ name, operation, names, kills, died }) => ({
      ...{ name, operation, points: names.length, kills, names: died.size },
      effects: tally(names),
    })),
    found,
  };
}

/** The same number of kills for each scenario, the first part of all of them before the second of any. */
function shareOut(tallies: readonly Tally[], runs: number): Share[] {
  const shares = tallies.flatMap((tally, i) => {
    const kills = Math.floor(runs / tallies.length) + (i < runs % tallies.length ? 1 : 0);
    const parts = Math.max(1, Math.ceil(kills / SHARE_KILLS));
    return Array.from({ length: kills === 0 ? 0 : parts }, (_, part) => ({
      ...{ tally, part, parts },
      kills: Math.floor(kills / parts) + (part < kills % parts ? 1 : 0),
    }));
  });
  return shares.sort((a, b) => a.part - b.part);
}

/** Each effect of another name once on each side, then all the others. */
function chooseKills(names: readonly string[], random: Random): Kill[] {
  const groups = new Map<string, number[]>();
  for (const [i, name] of names.entries()) groups.set(name, [...(groups.get(name) ?? []), i + 1]);
  const first = [...groups.values()].flatMap((numbers) =>
    (['before', 'after'] as const).map((side) => ({ number: numbers[random(numbers.length)] as number, side })),
  );
  const taken = new Set(first.map(({ number, side }) => `${number} ${side}`));
  const rest = names
    .flatMap((_, i) => (['before', 'after'] as const).map((side) => ({ number: i + 1, side })))
    .filter(({ number, side }) => !taken.has(`${number} ${side}`));
  return [...shuffle(first, random), ...shuffle(rest, random)];
}

function anyKill(names: readonly string[], random: Random): Kill {
  return { number: random(names.length) + 1, side: random(2) === 0 ? 'before' : 'after' };
}

function shuffle<T>(items: T[], random: Random): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random(i + 1);
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
  return items;
}

function all(outcome: StoreOutcome | null): StoreOutcome[] {
  return outcome === null ? [] : [outcome];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
