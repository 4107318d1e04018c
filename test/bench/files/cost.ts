// What thirty days of a shop cost: the most that is ever stored, with a window of 14 days, one file in a hundred changing each day.
//
// A weekly full on Sunday, an increment on every other day, then what is past its window goes. Everyone sees the same days:
//   fresh, reread   coffre with each of the two kinds of weekly full, into a filesystem vault (its locks follow the simulated clock,
//                   which a store's would not), encrypted
//   rereadLong      reread with limits.reuseMaxAge 60d: longer than the simulation
//   scripts         tar -g (what changed since the day before) | zstd -3; archives go when no day of the window needs them
//   restic          backup --time, forget --keep-within 14d --prune
// The level is what the folder of each holds, by `find`; it is highest after a day's backup, before what is too old goes.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Temporal } from 'temporal-polyfill';
import { systemClock } from '../../../src/clock.ts';
import { makeBucket } from '../../servers/s3.ts';
import { makeWorld, type World } from '../../world/world.ts';
import { pipeline } from '../measuring/commands.ts';
import { mb, round } from '../measuring/figures.ts';
import type { Meter } from '../measuring/meter.ts';
import type { Setting } from '../measuring/setting.ts';
import { repositoryIn, resticBackup, resticForget, resticInit } from './peers.ts';
import { ClockAhead, SimulatedShop } from './simulated-shop.ts';
import { changeFiles, createTree } from './tree.ts';

const DAYS = 30;
const WINDOW_DAYS = 14;
const WEEK = 7;
const ZONE = 'Europe/Paris';
/** Of the benchmark's tree: 190 MB. */
const TREE_SHARE = 0.1;

/** At most this share of the peer's peak. */
const GOALS = { fresh_scripts: 1.0, reread_restic: 1.1, rereadLong_restic: 1.1 } as const;

export type Keeper = 'fresh' | 'reread' | 'rereadLong' | 'scripts' | 'restic';

export interface Cost {
  readonly days: number;
  readonly windowDays: number;
  readonly treeBytes: number;
  readonly changedFilesADay: number;
  /** Highest level of each. */
  readonly peakBytes: Readonly<Record<Keeper, number>>;
  /** Level after each day's backup. */
  readonly levels: Readonly<Record<Keeper, readonly number[]>>;
  readonly ratios: Readonly<Record<keyof typeof GOALS, number>>;
  readonly goals: typeof GOALS;
}

/** Someone who keeps backups in a folder. */
interface Party {
  readonly folder: string;
  backup(day: number, at: Temporal.ZonedDateTime): Promise<void>;
  /** What is past its window goes. */
  clean(day: number): Promise<void>;
}

export async function simulateCost(setting: Setting, meter: Meter, scale: number): Promise<Cost> {
  const dir = join(setting.dir, 'cost');
  mkdirSync(dir);
  const tree = createTree(join(dir, 'shop'), TREE_SHARE * scale);
  const changedFilesADay = Math.max(10, Math.round((tree.code.length + tree.images.length) / 100));
  await using stack = new AsyncDisposableStack();
  const clock = new ClockAhead();
  const parties: Record<Keeper, Party> = {
    fresh: await coffreParty(setting, clock, tree.root, 'fresh', stack),
    reread: await coffreParty(setting, clock, tree.root, 'reread', stack),
    rereadLong: await coffreParty(setting, clock, tree.root, 'reread', stack, { reuseMaxAge: '60d' }),
    scripts: scriptsParty(meter, join(dir, 'scripts'), tree.root),
    restic: await resticParty(meter, join(dir, 'restic'), tree.root),
  };
  const keepers = Object.keys(parties) as Keeper[];
  const levels: Record<Keeper, number[]> = { fresh: [], reread: [], rereadLong: [], scripts: [], restic: [] };
  const first = firstSunday();
  for (let day = 0; day < DAYS; day++) {
    if (day > 0) changeFiles(tree, changedFilesADay, day);
    const full = day % WEEK === 0;
    // the plan's own schedule: Sunday at three, else at four; prune at half past six
    const at = first.add({ days: day }).withPlainTime({ hour: full ? 3 : 4 });
    clock.goTo(at.toInstant());
    for (const keeper of keepers) {
      await parties[keeper].backup(day, at);
      levels[keeper].push(await bytesIn(meter, parties[keeper].folder));
    }
    clock.goTo(at.withPlainTime({ hour: 6, minute: 30 }).toInstant());
    for (const keeper of keepers) await parties[keeper].clean(day);
    const line = keepers.map((keeper) => `${keeper} ${mb(levels[keeper].at(-1))}`).join(', ');
    console.error(`  day ${String(day + 1).padStart(2)}: ${line}`);
  }
  rmSync(dir, { recursive: true });
  const peak = (keeper: Keeper): number => Math.max(...levels[keeper]);
  const peakBytes = Object.fromEntries(keepers.map((keeper) => [keeper, peak(keeper)])) as Record<Keeper, number>;
  return {
    days: DAYS,
    windowDays: WINDOW_DAYS,
    treeBytes: tree.bytes,
    changedFilesADay,
    peakBytes,
    levels,
    ratios: {
      fresh_scripts: round(peakBytes.fresh / peakBytes.scripts, 3),
      reread_restic: round(peakBytes.reread / peakBytes.restic, 3),
      rereadLong_restic: round(peakBytes.rereadLong / peakBytes.restic, 3),
    },
    goals: GOALS,
  };
}

export function describeCost(cost: Cost): string {
  const line = (name: keyof Cost['ratios']): string =>
    `${name.padEnd(22)} ${cost.ratios[name].toFixed(2)}   goal <= ${cost.goals[name].toFixed(1)}  ${cost.ratios[name] <= cost.goals[name] ? 'met' : 'NOT MET'}`;
  const peaks = Object.entries(cost.peakBytes).map(([keeper, bytes]) => `${keeper} ${mb(bytes)}`);
  return [
    '',
    `cost of ${cost.days} simulated days, ${mb(cost.treeBytes)}, ${cost.changedFilesADay} files changed a day, window ${cost.windowDays} days: highest level`,
    `  ${peaks.join(', ')}`,
    line('fresh_scripts'),
    line('reread_restic'),
    line('rereadLong_restic'),
  ].join('\n');
}

async function bytesIn(meter: Meter, folder: string): Promise<number> {
  const { stdout } = await meter.run(
    pipeline('find "$FOLDER" -type f -printf "%s\\n" | awk \'{ sum += $1 } END { print sum + 0 }\'', { FOLDER: folder }),
  );
  return Number(stdout);
}

/** The next Sunday, when the simulation begins: never in the past, where no clock goes. */
function firstSunday(): Temporal.ZonedDateTime {
  const today = systemClock.now().toZonedDateTimeISO(ZONE);
  return today.add({ days: 7 - (today.dayOfWeek % 7) }).startOfDay();
}

async function coffreParty(
  setting: Setting,
  clock: ClockAhead,
  root: string,
  full: 'fresh' | 'reread',
  stack: AsyncDisposableStack,
  limits?: Readonly<Record<string, string>>,
): Promise<Party> {
  // a world has a bucket; nothing is put into this one
  const bucket = await makeBucket(setting.store);
  stack.defer(() => bucket.release());
  const world: World = stack.use(
    await makeWorld({ bucket, vaults: ['nas'], retention: `${WINDOW_DAYS}d`, full, ...(limits ? { limits } : {}), files: { root } }),
  );
  const shop = await SimulatedShop.open(world, clock, setting.signal);
  stack.defer(() => shop.close());
  return {
    folder: world.nasPath,
    backup: (day) => shop.backup(day % WEEK === 0),
    clean: () => shop.prune(),
  };
}

function scriptsParty(meter: Meter, folder: string, root: string): Party {
  mkdirSync(folder);
  const state = `${folder}.snar`;
  const nameOf = (day: number): string => join(folder, `day-${String(day).padStart(2, '0')}.tar.zst`);
  return {
    folder,
    async backup(day) {
      // without the list of what was there, everything is new
      if (day % WEEK === 0) rmSync(state, { force: true });
      await meter.run(
        pipeline('tar -C "$ROOT" -g "$STATE" -cf - . | zstd -3 -q -o "$FILE"', { ROOT: root, STATE: state, FILE: nameOf(day) }),
      );
    },
    async clean(day) {
      // a full and the increments on it stay until the last of them is past the window: else they could not be unpacked
      for (let first = 0; first + WEEK - 1 <= day - WINDOW_DAYS; first += WEEK) {
        for (let one = first; one < first + WEEK; one++) rmSync(nameOf(one), { force: true });
      }
    },
  };
}

async function resticParty(meter: Meter, folder: string, root: string): Promise<Party> {
  const passwordFile = `${folder}.password`;
  writeFileSync(passwordFile, 'bench\n', { mode: 0o600 });
  const repository = repositoryIn({ repository: folder, passwordFile, cacheDir: `${folder}.cache` });
  await meter.run(resticInit(repository));
  return {
    folder,
    async backup(_day, at) {
      await meter.run(resticBackup(repository, root, `${at.toPlainDate()} ${at.toPlainTime().toString({ smallestUnit: 'second' })}`));
    },
    async clean() {
      await meter.run(resticForget(repository, `${WINDOW_DAYS}d`));
    },
  };
}
