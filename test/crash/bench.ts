// One lane's installation, put back to what a scenario begins with as often as needed, and what is done to it: a chain of kills, each
// looked at, then the operation again to its end, looked at, and everything once more when all windows are over.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../../src/clock.ts';
import type { Mariadb } from '../servers/mariadb.ts';
import { Children, type Ended } from './children.ts';
import type { Outcome } from './composition.ts';
import type { Doom, Side } from './effects.ts';
import { clearTrees, coffreAt, DAY_MS, makePlace, type Place, restoreTemplate, SHOPS, saveTemplate, treePaths } from './place.ts';
import { cutPower } from './power-cut.ts';
import type { Random } from './random.ts';
import { firstDays, type Scenario } from './scenarios.ts';
import { checkTruths, type Moment, type Violation } from './truths.ts';

const run = promisify(execFile);
/** All windows and all locks that a run gave are over by then. */
const END_DAY = 70;

export interface FoundViolation extends Violation {
  readonly scenario: string;
  readonly killed: readonly string[];
  /** after the kill, when it had been made up for, or at the end of all windows. */
  readonly when: 'killed' | 'settled' | 'over';
}

export interface Kill {
  readonly number: number;
  readonly side: Side;
}

/** What is done to one world. */
export interface Chain {
  /** The first in the operation, each other one in the run that makes up for the one before. */
  readonly kills: readonly Kill[];
  /** Whether a power cut goes with the kill; what it takes is chance's. */
  readonly cuts: readonly boolean[];
  readonly random: Random;
  /** What coffre itself is asked in the end, besides what is looked at by hand each time. */
  readonly asks: 'restore' | 'verify' | null;
}

export interface ChainOutcome {
  readonly kills: number;
  readonly cuts: number;
  readonly died: readonly string[];
  readonly found: readonly FoundViolation[];
}

export interface BenchOptions {
  readonly mariadb: Mariadb | null;
  /** Folder for copies of worlds in which something was violated; null: none are made. */
  readonly keep: string | null;
}

export class Bench implements AsyncDisposable {
  readonly #children: Children;
  readonly #dir: string;
  readonly #mariadb: Mariadb | null;
  readonly #keep: string | null;
  #place: Place | null = null;
  #trees: ReadonlySet<string> = new Set();
  #scenario: Scenario | null = null;
  #damaged: ReadonlySet<string> = new Set();

  /** `dir` is made, and removed in the end. */
  constructor(dir: string, { mariadb, keep }: BenchOptions) {
    this.#mariadb = mariadb;
    this.#keep = keep;
    mkdirSync(dir);
    this.#dir = dir;
    this.#children = new Children(dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#children[Symbol.asyncDispose]();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Everything up to the scenario's operation. */
  async prepare(scenario: Scenario): Promise<void> {
    if (this.#scenario === scenario) return;
    const place = await this.#beginning();
    clearTrees(place, this.#trees);
    await restoreTemplate(place, scenario.from);
    await scenario.build(place, this.#children, this.#mariadb);
    this.#damaged = (await scenario.damage?.(place)) ?? new Set();
    await saveTemplate(place);
    this.#scenario = scenario;
  }

  /** What several scenarios begin with is made once. */
  async #beginning(): Promise<Place> {
    if (this.#place !== null) return this.#place;
    const place = await makePlace(this.#dir);
    await saveTemplate(place, 'empty');
    await firstDays(place);
    await saveTemplate(place, 'days');
    this.#trees = new Set(treePaths(place));
    this.#place = place;
    return place;
  }

  #now(): { readonly place: Place; readonly scenario: Scenario } {
    if (this.#place === null || this.#scenario === null) throw new Error('crash matrix: nothing was prepared');
    return { place: this.#place, scenario: this.#scenario };
  }

  /**
   * The operation without a kill, but watched: the names of its effects. `checks`: what it leads to must be right too, or nothing that
   * follows means anything.
   */
  async count(checks: boolean): Promise<readonly string[]> {
    const { place, scenario } = this.#now();
    await restoreTemplate(place);
    const ended = await this.#children.run(this.#job(scenario.argv(place), null));
    if (ended.died) throw new Error(`crash matrix: ${scenario.name}: a run that was not killed died`);
    const found = checks ? await this.#makeUp([], null) : [];
    if (found.length > 0)
      throw new Error(`crash matrix: ${scenario.name}: wrong without any kill: ${JSON.stringify(found.slice(0, 5), null, 2)}`);
    return ended.names;
  }

  async run({ kills, cuts, random, asks }: Chain): Promise<ChainOutcome> {
    const { place, scenario } = this.#now();
    await restoreTemplate(place);
    const died: string[] = [];
    const names: string[] = [];
    const found: FoundViolation[] = [];
    let cut = 0;
    for (const [i, kill] of kills.entries()) {
      const argv = i === 0 ? scenario.argv(place) : (scenario.again(place)[0]?.argv ?? scenario.argv(place));
      const ended: Ended = await this.#children.run(this.#job(argv, { ...kill, match: null }));
      if (ended.died) {
        died.push(`${ended.side} ${ended.number}: ${ended.name}`);
        names.push(`${ended.side}: ${ended.name}`);
        if (cuts[i]) {
          cut++;
          died.push(...cutPower(ended.last, random).map((lost) => `a power cut took: ${lost.replace(place.root, '')}`));
        }
      }
      found.push(...(await this.#look(died, 'killed')));
      // the operation came to its end before that number: there is nothing more to make up for
      if (!ended.died) break;
    }
    found.push(...(await this.#makeUp(died, asks)));
    return { kills: names.length, cuts: cut, died: names, found };
  }

  /** Runs again what was killed, to its end; then, when everything is over, a prune. */
  async #makeUp(killed: readonly string[], asks: Chain['asks']): Promise<FoundViolation[]> {
    const { place, scenario } = this.#now();
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
      const detail = `coffre ${argv[0]} ended with ${outcome.status}: ${JSON.stringify(why).slice(0, 1500)}`;
      violated(when, 'what was killed comes to its end', detail);
    };
    const hour = scenario.day + 1 / 24;
    for (const { argv, isRight } of scenario.again(place)) await runAt(hour, argv, 'settled', isRight);
    found.push(...(await this.#look(killed, 'settled')));
    const lives = SHOPS.filter((one) => !scenario.erased?.includes(one));
    if (asks === 'verify') for (const shop of lives) await runAt(hour, ['verify', shop, '--read-data'], 'settled');
    if (asks === 'restore') {
      const back = `${place.root}.back`;
      const shop = lives.find((one) => !scenario.rows?.has(one)) as string;
      await runAt(hour, ['restore', shop, '--to-dir', back], 'settled');
      const different = await run('diff', ['-r', place.tree(shop), back]).then(
        () => null,
        (error: { stdout?: string }) => String(error.stdout || error),
      );
      if (different !== null) violated('settled', 'the newest snapshot restores', different.slice(0, 500));
      rmSync(back, { recursive: true, force: true });
    }
    await runAt(END_DAY, ['prune'], 'over');
    await runAt(END_DAY, ['billing', 'ledger', '--check'], 'over');
    found.push(...(await this.#look(killed, 'over')));
    return found;
  }

  async #look(killed: readonly string[], when: FoundViolation['when']): Promise<FoundViolation[]> {
    const { place, scenario } = this.#now();
    const day = when === 'over' ? END_DAY : scenario.day;
    const erased = scenario.erased ?? (when === 'over' ? scenario.ends : undefined);
    const moment: Moment = {
      nowMs: systemClock.nowMs() + day * DAY_MS,
      settled: when !== 'killed',
      over: when === 'over',
      ...(erased ? { erased } : {}),
      ...(scenario.rows ? { rows: scenario.rows } : {}),
      ...(when === 'killed' && scenario.isFirst ? { isFirst: true } : {}),
      ...(when === 'killed' ? { damaged: this.#damaged } : {}),
    };
    const found = (await checkTruths(place, moment)).map((violation) => ({ scenario: scenario.name, killed, when, ...violation }));
    if (found.length > 0 && this.#keep !== null) await this.#keepWorld(this.#keep, found);
    return found;
  }

  async #keepWorld(folder: string, found: readonly FoundViolation[]): Promise<void> {
    mkdirSync(folder, { recursive: true });
    const kept = mkdtempSync(join(folder, 'world-'));
    await run('cp', ['-a', this.#now().place.root, join(kept, 'root')]);
    writeFileSync(join(kept, 'found.json'), JSON.stringify(found, null, 2));
  }

  #job(argv: readonly string[], doom: Doom | null) {
    const { place, scenario } = this.#now();
    return { argv: ['--config', place.configFile, ...argv], shiftMs: Math.round(scenario.day * DAY_MS), root: place.root, doom };
  }
}
