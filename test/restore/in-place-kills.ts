// Kills a restore in place again and again, at effects that chance or the caller chooses, while clients ask for pages; and says what they saw.
import { spawn } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import type { InPlaceRequest, SafetySnapshots } from '../../src/restore/in-place.ts';
import type { RestoreEvent } from '../../src/restore/unit-protocol.ts';
import { newId } from '../../src/segment/id.ts';
import { type InPlaceSetting, OWNER } from './in-place-setting.ts';

const MAIN = new URL('../../src/restore-main.ts', import.meta.url).pathname;
const PRELOAD = new URL('kill-at.ts', import.meta.url).href;
const SETS = ['inh-caps', 'ambient-caps', 'bounding-set'].map((set) => `--${set}=-all,+dac_read_search`);
const BECOME = [`--reuid=${OWNER}`, `--regid=${OWNER}`, '--clear-groups', '--securebits=+no_setuid_fixup', ...SETS, '--no-new-privs', '--'];

export interface UnitRun {
  /** The effect it was killed at; null: it came to its end. */
  readonly killedAt: string | null;
  readonly effects: readonly string[];
  /** What it answered last. */
  readonly answer: RestoreEvent | null;
}

/**
 * The unit's process as the tree's owner, killed (or told to stop) at the effect of that number, or at the first whose name begins so; 0: not at
 * all.
 */
export async function runUnit(
  { world }: InPlaceSetting,
  request: InPlaceRequest,
  killAt: number | string,
  signalled: 'SIGKILL' | 'SIGINT' = 'SIGKILL',
): Promise<UnitRun> {
  const said = join(world.dir, 'effects');
  writeFileSync(said, '');
  chmodSync(said, 0o666);
  const command = [MAIN, '--config', world.configFile, 'restore-unit', `0-${process.pid}-0`, '--as-owner', JSON.stringify(request)];
  const unit = spawn('setpriv', [...BECOME, process.execPath, ...command], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      ...process.env,
      NODE_OPTIONS: `--import=${PRELOAD}`,
      COFFRE_TEST_KILL: String(killAt),
      COFFRE_TEST_KILL_BY: signalled,
      COFFRE_TEST_KILL_FILE: said,
    },
  });
  let out = '';
  let err = '';
  unit.stdout.on('data', (chunk) => (out += chunk));
  unit.stderr.on('data', (chunk) => (err += chunk));
  const [, signal] = await new Promise<[number | null, string | null]>((resolve) => unit.once('close', (...how) => resolve(how)));
  const effects = readFileSync(said, 'utf8').split('\n').slice(0, -1);
  const lines = out.split('\n').filter((line) => line !== '');
  const last = lines.at(-1);
  if (signal === null && last === undefined) throw new Error(`the unit said nothing: ${err}`);
  return {
    killedAt: signal === 'SIGKILL' ? `${effects.length} ${effects.at(-1)}` : null,
    effects,
    answer: signal === null ? (JSON.parse(last as string) as RestoreEvent) : null,
  };
}

/** The order of these tests: edition one, files and database, with these snapshots to go back to. */
export function requestFor(
  { database, files }: InPlaceSetting,
  safety: SafetySnapshots | null,
  action: 'restore' | 'rollback' = 'restore',
): InPlaceRequest {
  return {
    ...{ kind: 'in-place', action, request: newId(systemClock), shop: 'dupont', from: null },
    ...{ checksum: false, keepSetuid: false, secrets: 'keep', domain: null, maintenance: 'at-once', safety },
    database: { snapshot: database, tables: null },
    files: { snapshot: files, paths: [], remove: true },
  };
}

/** Asks for pages until `stop`; each change of what is shown is kept. */
export class Asker {
  readonly shown: string[] = [];
  pages = 0;
  #going = true;
  readonly #done: Promise<void>;

  constructor(setting: Pick<InPlaceSetting, 'page'>) {
    this.#done = (async () => {
      while (this.#going) {
        const page = await setting.page();
        this.pages += 1;
        if (this.shown.at(-1) !== page) this.shown.push(page);
        await systemClock.sleep(20);
      }
    })();
  }

  async stop(): Promise<readonly string[]> {
    this.#going = false;
    await this.#done;
    return this.shown;
  }
}

export interface Kills {
  readonly kills: readonly string[];
  /** Pages asked for. */
  readonly pages: number;
  /** What was wrong, in words; empty: nothing. */
  readonly found: readonly string[];
}

/** What clients may see while a shop of edition `from` becomes one of edition `to`. */
function isSound(shown: readonly string[], from: string, to: string): boolean {
  const text = shown.join(', ');
  // `from` comes back when a restore was killed before it closed the shop, or had just begun to
  return new RegExp(`^(${from} ${from})?(, )?(maintenance)?(, )?(${to} ${to})?$`).test(text) && shown.length > 0;
}

/** It had been found right, and was being opened: it only goes on. */
const isTooLate = ({ answer }: UnitRun): boolean => answer?.event === 'failed' && answer.code === 'E_BUSY';

/**
 * Restores edition one over edition two, killed at the effects `points` one after the other (numbers from 1, of each run), then to its end; a run
 * that ends before its point ends the chain. `back`: the last half of the points, and the end, are of the rollback.
 */
export async function chainOfKills(
  setting: InPlaceSetting,
  safety: SafetySnapshots,
  points: readonly number[],
  back = false,
): Promise<Kills> {
  await setting.become('two');
  const found: string[] = [];
  const kills: string[] = [];
  const asker = new Asker(setting);
  let turn = back ? Math.ceil(points.length / 2) : points.length;
  let ended = false;
  let goesBack = false;
  for (const [at, point] of points.entries()) {
    goesBack = at >= turn;
    const run = await runUnit(setting, requestFor(setting, safety, goesBack ? 'rollback' : 'restore'), point);
    if (goesBack && isTooLate(run)) {
      turn = points.length;
      continue;
    }
    if (run.killedAt === null) {
      if (run.answer?.event !== 'done') found.push(`after ${kills.join('; ')}: ${JSON.stringify(run.answer)}`);
      ended = true;
      break;
    }
    kills.push(run.killedAt);
    const page = await setting.page();
    if (!['two two', 'maintenance', 'one one'].includes(page)) found.push(`killed at ${run.killedAt}: ${page}`);
  }
  if (!ended) {
    goesBack = back && turn < points.length;
    let last = await runUnit(setting, requestFor(setting, safety, goesBack ? 'rollback' : 'restore'), 0);
    if (goesBack && isTooLate(last)) {
      goesBack = false;
      last = await runUnit(setting, requestFor(setting, safety), 0);
    }
    const { answer } = last;
    // nothing was open any more: the kill came at the very end
    const over = answer?.event === 'failed' && answer.code === 'E_NOT_FOUND' && goesBack;
    if (answer?.event !== 'done' && !over) found.push(`the end, after ${kills.join('; ')}: ${JSON.stringify(answer)}`);
  }
  const page = await setting.page();
  const wanted = goesBack ? 'two two' : 'one one';
  if (page !== wanted && !(back && page === 'one one')) found.push(`at the end, after ${kills.join('; ')}: ${page}`);
  const left = await setting.leftovers();
  if (left.length > 0) found.push(`left behind, after ${kills.join('; ')}: ${left.join(', ')}`);
  const shown = await asker.stop();
  if (!isSound(shown, 'two', goesBack ? 'two' : 'one')) found.push(`shown meanwhile, after ${kills.join('; ')}: ${shown.join(', ')}`);
  return { kills, pages: asker.pages, found };
}
