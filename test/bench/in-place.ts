// A running shop of 5 GB of files and a 1 GB database, restored where it runs through a 1 Gbit/s throttle: `npm run bench -- in-place`.
// A first restore measures the rates; the second one is asked for, approved and carried out while clients keep asking a real PHP server for
// pages. They must see the whole old shop, the maintenance page or the whole new one, and nothing else. Then, with --kills, the restore of a
// small shop is killed at up to 96 effects, in chains, there and back.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Asker, chainOfKills } from '../restore/in-place-kills.ts';
import { makeInPlaceSetting } from '../restore/in-place-setting.ts';
import { startFaultProxy } from '../servers/fault-proxy.ts';
import { makeBucket } from '../servers/s3.ts';
import { machine, round } from './measuring/figures.ts';
import { readOptions, runBench } from './measuring/options.ts';
import type { Setting } from './measuring/setting.ts';

const GOALS = { estimateWithin: 0.25, hundredGBHours: 1 } as const;
const LINK_BYTES_PER_SECOND = 125e6;
const FILES_BYTES = 5e9;
const IMAGE_BYTES = 100_000;
const ROW_BYTES = 200;
const DATABASE_BYTES = 1e9;
const KILLS_A_CHAIN = 8;
const CHAINS = 12;

const options = readOptions(
  `usage: npm run bench -- in-place [--json] [--scale FRACTION] [--only restore,kills]
  full size takes some twenty minutes and 40 GB of disk; --scale 0.02 is for trying it out`,
  ['restore', 'kills'],
);

interface Restored {
  readonly filesBytes: number;
  readonly databaseBytes: number;
  /** Of the record: from the approval to the opened shop. */
  readonly recordSeconds: number;
  readonly estimateSeconds: number | null;
  readonly recordToEstimate: number | null;
  readonly pages: number;
  readonly shown: readonly string[];
  readonly outcome: string;
  /** 100 GB of the same kind over the same link, from the slowest of what was measured. */
  readonly hundredGBHours: number | null;
}

async function restored(setting: Setting): Promise<Restored> {
  await using stack = new AsyncDisposableStack();
  const bucket = await makeBucket(setting.store);
  stack.defer(() => bucket.release());
  const proxy = await startFaultProxy(Number(new URL(setting.store.endpoint).port));
  stack.defer(() => proxy.stop());
  const images = Math.max(20, Math.round((FILES_BYTES * options.scale) / IMAGE_BYTES));
  const rows = Math.max(2000, Math.round((DATABASE_BYTES * options.scale) / ROW_BYTES));
  const shop = stack.use(await makeInPlaceSetting({ bucket, endpoint: proxy.endpoint, images, imageBytes: IMAGE_BYTES, rows }));
  const { world, root, server } = shop;
  proxy.set({ mode: 'throttle', bytesPerSecond: LINK_BYTES_PER_SECOND });
  // What a shop loses: its images, its orders; and it goes on as another edition.
  const lose = async (): Promise<void> => {
    rmSync(join(root, 'img/p'), { recursive: true });
    await server.sql("DROP TABLE ps_big; UPDATE ps_configuration SET value='two' WHERE name='EDITION'", { database: 'dupont' });
    const settings = "<?php\ndefine('_PS_ROOT_DIR_', dirname(dirname(__FILE__)));\ndefine('_EDITION_', 'two');\n";
    writeFileSync(join(root, 'config/defines.inc.php'), settings);
  };
  await lose();
  await world.ok(['restore', 'dupont', '--in-place', '--at', shop.asOf]);
  await lose();
  const asker = new Asker(shop);
  const asked = await world.ok(['request', 'restore', 'dupont', '--at', shop.asOf, '--approve', '--reason', 'bench']);
  const { id, preview } = asked.json.request;
  const { json } = await world.ok(['request', 'run', id]);
  const { approvedAt, endedAt } = json.request;
  const recordSeconds = (Date.parse(endedAt) - Date.parse(approvedAt)) / 1000;
  const shown = await asker.stop();
  const estimateSeconds = preview.estimate ? preview.estimate.expectedMs / 1000 : null;
  const bytes = images * IMAGE_BYTES + rows * ROW_BYTES;
  return {
    ...{ filesBytes: images * IMAGE_BYTES, databaseBytes: rows * ROW_BYTES, recordSeconds, estimateSeconds },
    recordToEstimate: estimateSeconds === null ? null : recordSeconds / estimateSeconds,
    pages: asker.pages,
    shown,
    outcome: `${json.request.state} ${json.request.outcome}`,
    hundredGBHours: options.scale >= 0.5 ? (recordSeconds * (100e9 / bytes)) / 3600 : null,
  };
}

interface Killed {
  readonly kills: number;
  readonly pages: number;
  readonly effects: readonly string[];
  readonly found: readonly string[];
}

async function killed(): Promise<Killed> {
  await using shop = await makeInPlaceSetting();
  await shop.become('two');
  const { json } = await shop.world.ok(['backup', 'dupont']);
  const idOf = (source: string): string => json.snapshots.find((one: { source: string }) => one.source === source).id;
  const safety = { database: idOf('database'), files: idOf('files') };
  let seed = 20261123;
  const chance = (): number => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed / 2147483648;
  };
  const effects: string[] = [];
  const found: string[] = [];
  let pages = 0;
  for (let chain = 0; chain < CHAINS; chain++) {
    // an undisturbed restore of it has some 500 effects, one that goes on fewer
    const points = Array.from({ length: KILLS_A_CHAIN }, (_, at) => 1 + Math.floor(chance() * (at === 0 ? 480 : 260)));
    const one = await chainOfKills(shop, safety, points, chain % 3 === 2);
    effects.push(...one.kills);
    found.push(...one.found);
    pages += one.pages;
  }
  return { kills: effects.length, pages, effects, found };
}

await runBench(
  'in-place',
  options,
  async (setting) => {
    const one = options.wanted('restore') ? await restored(setting) : null;
    const kills = options.wanted('kills') ? await killed() : null;
    const isSound = (shown: readonly string[]): boolean => shown.every((page) => ['two two', 'maintenance', 'one one'].includes(page));
    if (one && (!isSound(one.shown) || one.shown.at(-1) !== 'one one')) throw new Error(`pages showed ${one.shown.join(', ')}`);
    if (kills && (kills.found.length > 0 || kills.kills < 60)) throw new Error(`${kills.kills} kills: ${kills.found.join('; ')}`);
    const lines = [
      ...(one
        ? [
            `restored     ${round(one.filesBytes / 1e9, 2)} GB of files, ${round(one.databaseBytes / 1e9, 2)} GB of rows: ${one.outcome}`,
            `record       ${round(one.recordSeconds, 2)} s; estimate ${one.estimateSeconds === null ? 'none' : `${round(one.estimateSeconds, 2)} s`}; ratio ${one.recordToEstimate === null ? '-' : round(one.recordToEstimate, 2)} (goal: within ${GOALS.estimateWithin})`,
            `pages        ${one.pages} asked: ${one.shown.join(', then ')}`,
            ...(one.hundredGBHours === null
              ? []
              : [`100 GB       ${round(one.hundredGBHours, 2)} h (goal: under ${GOALS.hundredGBHours})`]),
          ]
        : []),
      ...(kills ? [`kills        ${kills.kills}, ${kills.pages} pages asked meanwhile: none half and open`] : []),
    ];
    return {
      text: lines.join('\n'),
      document: { bench: 'in-place', scale: options.scale, machine: machine(), goals: GOALS, restored: one, kills },
    };
  },
  20 * 1024 ** 3,
);
