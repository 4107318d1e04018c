// The matrix: counts an operation's effects, then kills it before and after each of them, runs it again, and looks at the truths.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../../src/clock.ts';
import type { Bucket } from '../servers/s3.ts';
import { Children, type Ended } from './children.ts';
import type { Outcome } from './composition.ts';
import type { Doom, Side } from './effects.ts';
import { coffreAt, DAY_MS, makePlace, type Place, restoreTemplate, saveTemplate } from './place.ts';
import { cutPower } from './power-cut.ts';
import { makeRandom, type Random } from './random.ts';
import { type Operation, SCENARIOS, type Scenario } from './scenarios.ts';
import { runInStore, type StoreOutcome } from './store.ts';
import { checkTruths, type Moment, type Violation } from './truths.ts';

const run = promisify(execFile);
/** All windows and all locks that a run gave are over by then. */
const END_DAY = 70;
/** Of each so many runs one restores the newest snapshot and compares it, byte by byte. */
const RESTORE_EVERY = 5;
/** Of each so many runs one is killed a second time, while it makes up for the first. */
const TWICE_EVERY = 4;
/** Of each so many kills one is a power cut: part of what was not synced is taken away as well. */
const CUT_EVERY = 3;

export interface MatrixOptions {
  readonly runs: number;
  readonly seed: number;
  readonly operations: readonly Operation[];
  /** Installations that are worked on at once. */
  readonly lanes: number;
  /** Opens a bucket of a real store for some of the kills; left out: folders alone. */
  readonly store?: { readonly kills: number; readonly bucket: () => Promise<Bucket> };
  /** Only this one kill. */
  readonly at?: { readonly scenario: string; readonly number: number; readonly side: Side };
  readonly onRun?: (kills: number, found: readonly FoundViolation[]) => void;
}

export interface FoundViolation extends Violation {
  readonly scenario: string;
  readonly killed: readonly string[];
  /** after the kill, when it had been made up for, or at the end of all windows. */
  readonly when: 'killed' | 'settled' | 'over';
}

export interface MatrixReport {
  /** Effects counted, over all scenarios; each can be died at before and after. */
  readonly points: number;
  /** Kills. */
  readonly runs: number;
  readonly violations: number;
  readonly seed: number;
  readonly durationMs: number;
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

interface Kill {
  readonly number: number;
  readonly side: Side;
}

/** Everything one lane needs for one scenario. */
interface Bench {
  readonly place: Place;
  readonly scenario: Scenario;
}

export async function runMatrix(options: MatrixOptions): Promise<MatrixReport> {
  const startedMs = systemClock.monotonicMs();
  const random = makeRandom(options.seed);
  const chosen = SCENARIOS.filter((scenario) =>
    options.at === undefined ? options.operations.includes(scenario.operation) : scenario.name === options.at.scenario,
  );
  const dir = mkdtempSync(join(tmpdir(), 'coffre-crash-'));
  const found: FoundViolation[] = [];
  const tallies = chosen.map((scenario) => ({ scenario, names: [] as readonly string[], kills: 0, died: new Set<string>() }));
  let done = 0;
  let restores = 0;
  let cuts = 0;
  let inStore: StoreOutcome | null = null;
  try {
    // A lane takes a scenario at a time; the kills of all of them are spread evenly.
    const share = chosen.map((_, i) => Math.floor(options.runs / chosen.length) + (i < options.runs % chosen.length ? 1 : 0));
    const seeds = chosen.map(() => random(2 ** 31));
    let next = 0;
    const lane = async (name: string): Promise<void> => {
      await using children = new Children(dir);
      for (;;) {
        const at = next++;
        const tally = tallies[at];
        if (tally === undefined) return;
        const { scenario } = tally;
        const own = makeRandom(seeds[at] as number);
        const bench = await build(join(dir, `${name}-${at}`), scenario, children);
        const counted = await count(bench, children);
        tally.names = counted.names;
        const kills = options.at === undefined ? chooseKills(counted.names, share[at] as number, own) : [options.at];
        for (const [i, kill] of kills.entries()) {
          const twice = options.at === undefined && i % TWICE_EVERY === 0 ? own(counted.names.length) + 1 : null;
          const compares = options.at !== undefined || i % RESTORE_EVERY === 0;
          const cut = i % CUT_EVERY === 1 ? own : null;
          const outcome = await killOnce(bench, children, kill, { twice, compares, cut });
          cuts += outcome.kills > 0 && cut !== null ? 1 : 0;
          tally.kills += outcome.kills;
          for (const died of outcome.died) tally.died.add(died);
          restores += outcome.restored ? 1 : 0;
          found.push(...outcome.found);
          done += outcome.kills;
          options.onRun?.(done, outcome.found);
        }
        rmSync(join(dir, `${name}-${at}`), { recursive: true, force: true });
      }
    };
    const storeLane = async (): Promise<void> => {
      if (!options.store) return;
      const bucket = await options.store.bucket();
      try {
        inStore = await runInStore(bucket, options.store.kills, makeRandom(random(2 ** 31)), (now) => options.onRun?.(++done, now));
        found.push(...inStore.found);
      } finally {
        await bucket.release();
      }
    };
    const stored = storeLane();
    const lanes = Array.from({ length: Math.min(options.lanes, chosen.length) }, (_, i) => lane(`lane${i}`));
    // all of them are waited for: what one of them works in is not taken from under it
    const ended = await Promise.allSettled([...lanes, stored]);
    for (const one of ended) if (one.status === 'rejected') throw one.reason;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  const scenarios = [
    ...tallies.map(({ scenario, names, kills, died }) => ({
      name: scenario.name,
      operation: scenario.operation as string,
      names,
      kills,
      died,
    })),
    ...all(inStore).map((it) => ({ ...it, operation: 'backup, prune' })),
  ];
  restores += sum(all(inStore).map((it) => it.restores));
  return {
    points: sum(scenarios.map(({ names }) => names.length)),
    runs: sum(scenarios.map(({ kills }) => kills)),
    violations: found.length,
    seed: options.seed,
    durationMs: Math.round(systemClock.monotonicMs() - startedMs),
    restores,
    cuts,
    scenarios: scenarios.map(({ name, operation, names, kills, died }) => ({
      ...{ name, operation, points: names.length, kills, names: died.size },
      effects: tally(names),
    })),
    found,
  };
}

async function build(dir: string, scenario: Scenario, children: Children): Promise<Bench> {
  mkdirSync(dir);
  const place = await makePlace(dir);
  await scenario.build(place, children);
  await saveTemplate(place);
  return { place, scenario };
}

/** The operation without a kill, but watched; what it leads to must be right too, or nothing that follows means anything. */
async function count(bench: Bench, children: Children): Promise<{ readonly names: readonly string[] }> {
  const { place, scenario } = bench;
  await restoreTemplate(place);
  const ended = await children.run(jobOf(bench, scenario.argv(place), null));
  if (ended.died) throw new Error(`crash matrix: ${scenario.name}: a run that was not killed died`);
  const found = await makeUp(bench, ['counted'], true);
  if (found.length > 0)
    throw new Error(`crash matrix: ${scenario.name}: wrong without any kill: ${JSON.stringify(found.slice(0, 5), null, 2)}`);
  return { names: ended.names };
}

interface KillOutcome {
  readonly kills: number;
  readonly died: readonly string[];
  readonly restored: boolean;
  readonly found: readonly FoundViolation[];
}

async function killOnce(
  bench: Bench,
  children: Children,
  { number, side }: Kill,
  { twice, compares, cut }: { readonly twice: number | null; readonly compares: boolean; readonly cut: Random | null },
): Promise<KillOutcome> {
  const { place, scenario } = bench;
  await restoreTemplate(place);
  const died: string[] = [];
  const dieAt = async (argv: readonly string[], doom: Doom): Promise<Ended> => {
    const ended = await children.run(jobOf(bench, argv, doom));
    if (ended.died) died.push(`${ended.side} ${ended.number}: ${ended.name}`);
    return ended;
  };
  const first = await dieAt(scenario.argv(place), { number, match: null, side });
  if (first.died && cut !== null)
    died.push(...cutPower(first.last, cut).map((lost) => `a power cut took: ${lost.replace(place.root, '')}`));
  const found = [...(await look(bench, died, 'killed'))];
  if (twice !== null) {
    const [again] = scenario.again(place);
    if (again) await dieAt(again.argv, { number: twice, match: null, side: side === 'before' ? 'after' : 'before' });
    found.push(...(await look(bench, died, 'killed')));
  }
  found.push(...(await makeUp(bench, died, compares)));
  return {
    kills: died.length,
    died: died.map((one) => one.replace(/ \d+:/, ':')),
    restored: compares && scenario.erased === undefined,
    found,
  };
}

/** Runs again what was killed, to its end; then, when everything is over, a prune. */
async function makeUp(bench: Bench, killed: readonly string[], compares: boolean): Promise<FoundViolation[]> {
  const { place, scenario } = bench;
  const found: FoundViolation[] = [];
  const violated = (when: FoundViolation['when'], truth: string, detail: string): void =>
    void found.push({ scenario: scenario.name, killed, when, truth, detail });
  const runAt = async (
    day: number,
    argv: readonly string[],
    when: FoundViolation['when'],
    isRight = (it: Outcome): boolean => it.status === 0,
  ) => {
    const outcome = await coffreAt(place, day, argv);
    if (isRight(outcome)) return;
    const why = outcome.json?.error ?? outcome.json ?? outcome.stderr;
    violated(
      when,
      'what was killed comes to its end',
      `coffre ${argv[0]} ended with ${outcome.status}: ${JSON.stringify(why).slice(0, 1500)}`,
    );
  };
  const hour = scenario.day + 1 / 24;
  for (const { argv, isRight } of scenario.again(place)) await runAt(hour, argv, 'settled', isRight);
  found.push(...(await look(bench, killed, 'settled')));
  if (compares && scenario.erased === undefined) {
    const back = `${place.root}.back`;
    await runAt(hour, ['restore', 'dupont', '--to-dir', back], 'settled');
    const different = await run('diff', ['-r', place.tree('dupont'), back]).then(
      () => null,
      (error: { stdout?: string }) => String(error.stdout ?? error),
    );
    if (different !== null && scenario.operation !== 'prune') violated('settled', 'the newest snapshot restores', different.slice(0, 500));
    rmSync(back, { recursive: true, force: true });
    await runAt(hour, ['verify', '--read-data'], 'settled');
  }
  await runAt(END_DAY, ['prune'], 'over');
  await runAt(END_DAY, ['billing', 'ledger', '--check'], 'over');
  found.push(...(await look(bench, killed, 'over')));
  return found;
}

async function look({ place, scenario }: Bench, killed: readonly string[], when: FoundViolation['when']): Promise<FoundViolation[]> {
  const day = when === 'over' ? END_DAY : scenario.day;
  const moment: Moment = {
    nowMs: systemClock.nowMs() + day * DAY_MS,
    settled: when !== 'killed',
    over: when === 'over',
    ...(scenario.erased ? { erased: scenario.erased } : {}),
    ...(when === 'killed' && scenario.isFirst ? { isFirst: true } : {}),
    ...(when === 'killed' && scenario.damaged ? { damaged: scenario.damaged(place) } : {}),
  };
  return (await checkTruths(place, moment)).map((violation) => ({ scenario: scenario.name, killed, when, ...violation }));
}

function jobOf({ place, scenario }: Bench, argv: readonly string[], doom: Doom | null) {
  return { argv: ['--config', place.configFile, ...argv], shiftMs: Math.round(scenario.day * DAY_MS), root: place.root, doom };
}

/** Each effect of another name once on each side, as far as the number goes; then any. */
function chooseKills(names: readonly string[], wanted: number, random: Random): Kill[] {
  const groups = new Map<string, number[]>();
  for (const [i, name] of names.entries()) groups.set(name, [...(groups.get(name) ?? []), i + 1]);
  const first = [...groups.values()].flatMap((numbers) =>
    (['before', 'after'] as const).map((side) => ({ number: numbers[random(numbers.length)] as number, side })),
  );
  shuffle(first, random);
  const taken = new Set(first.map(({ number, side }) => `${number} ${side}`));
  const rest = names
    .flatMap((_, i) => (['before', 'after'] as const).map((side) => ({ number: i + 1, side })))
    .filter(({ number, side }) => !taken.has(`${number} ${side}`));
  const kills: Kill[] = [];
  while (kills.length < wanted) {
    const round = kills.length === 0 ? [...first, ...shuffle(rest, random)] : shuffle([...first, ...rest], random);
    kills.push(...round.slice(0, wanted - kills.length));
  }
  return kills;
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
