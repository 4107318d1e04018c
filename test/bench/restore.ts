// How fast a whole shop comes back, files and database together, beside doing it by hand: `npm run bench -- restore`.
//
// One shop (the tree of the files benchmark, the database of the database benchmark), one store, one server, one machine.
//   coffre     coffre restore SHOP --to-dir DIR --to-database URL: from its own encrypted, locked snapshots
//   byHand     rclone cat | age -d | zstd -d | tar x, then rclone cat | age -d | zstd -d | mariadb, one after the other, from a plain backup of the
//              same data: tar | zstd -3 -T2 | age, and mariadb-dump --single-transaction | zstd -3 -T2 | age, one object each, in the same store
//   alone      coffre's two halves by themselves (--only alone): what it gains by doing both at once
// In turn, another one first in each round; each begins when server and store are idle; what counts is the wall time of the whole command. What
// comes back is compared with its source in the first round: a wrong copy would be a fast one. After each of coffre's restores but the last the
// product's own estimate is asked, and compared with what the next one takes. Goals are reported, they do not change the exit status.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { inventory, makeBucket } from '../servers/s3.ts';
import type { World } from '../world/world.ts';
import * as database from './database/peers.ts';
import { watched } from './database/settle.ts';
import { createBenchShop } from './database/shop.ts';
import { compareTrees } from './files/compare.ts';
import * as files from './files/peers.ts';
import { createTree, type Tree } from './files/tree.ts';
import { type Command, coffre, pipeline, type Remote, remoteOf } from './measuring/commands.ts';
import { type Median, machine, mb, mediansOf, mib, round as rounded, versionOf } from './measuring/figures.ts';
import { Meter } from './measuring/meter.ts';
import { readOptions, runBench } from './measuring/options.ts';
import { prepareWorld } from './measuring/prepared-world.ts';
import type { Setting } from './measuring/setting.ts';
import { inTurn, measureStep, type StepResult } from './measuring/steps.ts';

/** As in the database benchmark: what an agency sets for a shop of this size. */
const SERVER_SETTINGS = [
  '--innodb-buffer-pool-size=1G',
  '--innodb-log-file-size=512M',
  '--innodb-flush-log-at-trx-commit=1',
  '--query-cache-type=0',
];
const SOURCE = 'shop';
const GOAL = 0.5;
const ESTIMATE_GOAL = 0.25;
const MEMORY_GOAL_MIB = 512;
/** What the store holds at full size, ours and the peer's. */
const STORE_BYTES = 12e9;
const USAGE = `usage: npm run bench -- restore [--json] [--rounds N] [--scale FRACTION] [--only whole,alone] [--skip-peers]
  full size with 3 rounds takes about ten minutes and 30 GB of disk; --scale 0.05 is for trying it out`;

const options = readOptions(USAGE, ['whole', 'alone']);
const { scale, rounds, withPeers, wanted } = options;
const say = (line: string): void => console.error(line);

type StepName = 'coffre' | 'byHand' | 'coffre files alone' | 'coffre database alone';

interface Bench {
  readonly meter: Meter;
  readonly server: Mariadb;
  readonly world: World;
  readonly tree: Tree;
  readonly dir: string;
  readonly identityFile: string;
  readonly remotes: { readonly files: Remote; readonly database: Remote };
  readonly steps: StepResult<StepName>[];
  readonly estimates: { readonly expectedMs: number; readonly lowMs: number; readonly highMs: number; measuredMs: number }[];
}

/** The bucket of the peer, filled by a careful administrator without us. */
async function backUpByHand(bench: Bench, recipient: string): Promise<void> {
  const { meter, tree, server, remotes } = bench;
  await meter.run(files.pipelineBackup(tree.root, recipient, remotes.files));
  await meter.run(database.dumpToStore(server, SOURCE, recipient, remotes.database));
}

function byHand({ server, identityFile, remotes }: Bench, directory: string, into: string): Command {
  const script = `rclone cat "$FILES" | age -d -i "$IDENTITY" | zstd -dcq | tar -C "$DIRECTORY" -xpf -
rclone cat "$DUMP" | age -d -i "$IDENTITY" | zstd -dcq | mariadb --no-defaults --socket="$SOCKET" --user=root --default-character-set=utf8mb4 "$DATABASE"`;
  return pipeline(script, {
    ...remotes.files.env,
    ...{ FILES: remotes.files.env.REMOTE as string, DUMP: remotes.database.env.REMOTE as string },
    ...{ IDENTITY: identityFile, DIRECTORY: directory, SOCKET: server.socketPath, DATABASE: into },
  });
}

const urlOf = ({ server }: Bench, name: string): string => `mysql://root@localhost/${name}?socketPath=${server.socketPath}`;

async function oneRound(bench: Bench, number: number): Promise<void> {
  const { world, server, meter, dir, steps, tree, estimates } = bench;
  const into = async (step: StepName, make: (directory: string, name: string) => Command): Promise<number> => {
    const label = `${step.replaceAll(' ', '_')}_${number}`;
    const directory = join(dir, label);
    mkdirSync(directory);
    await server.sql(`CREATE DATABASE ${label} CHARACTER SET utf8mb4`);
    const { seconds } = await measureStep(meter, steps, step, number, make(directory, label));
    if (number === 0 && step !== 'coffre database alone')
      await meter.run(compareTrees(tree.root, directory, step === 'byHand' ? 'seconds' : 'exact'));
    if (number === 0 && step !== 'coffre files alone') await sameText(bench, step, label);
    await server.sql(`DROP DATABASE ${label}`);
    return seconds;
  };
  const whole = async (): Promise<void> => {
    const seconds = await into('coffre', (directory, name) =>
      coffre(world, 'restore', world.shop, '--to-dir', directory, '--to-database', urlOf(bench, name)),
    );
    const open = estimates.at(-1);
    if (open) open.measuredMs = seconds * 1000;
    if (number === rounds - 1) return;
    const { stdout } = await meter.run(coffre(world, 'estimate', world.shop));
    const { estimate } = JSON.parse(stdout);
    // of a restore into place, what was measured: what no restore into a folder has is not in it
    if (estimate) estimates.push({ ...estimate, measuredMs: 0 });
  };
  const hand = async (): Promise<void> => void (await into('byHand', (directory, name) => byHand(bench, directory, name)));
  if (wanted('whole')) await inTurn(number, withPeers ? [whole, hand] : [whole]);
  if (!wanted('alone')) return;
  await into('coffre files alone', (directory) => coffre(world, 'restore', world.shop, '--source', 'files', '--to-dir', directory));
  await into('coffre database alone', (_, name) =>
    coffre(world, 'restore', world.shop, '--source', 'database', '--to-database', urlOf(bench, name)),
  );
}

async function sameText({ meter, server }: Bench, who: string, name: string): Promise<void> {
  const hash = async (of: string): Promise<string> => (await meter.run(database.hashOfDump(server, of))).stdout.trim();
  if ((await hash(name)) !== (await hash(SOURCE))) throw new Error(`${who}: the restored database dumps to another text than its source`);
}

async function main(setting: Setting) {
  const { store, dir, signal, stops } = setting;
  const server = await startMariadb({ args: SERVER_SETTINGS });
  stops.push(() => server.stop());
  signal.addEventListener('abort', () => void server.stop(), { once: true });
  const meter = new Meter(watched(server), store.cephDir, signal);
  await using stack = new AsyncDisposableStack();
  const prepared = await prepareWorld(setting, meter, 'world', stack);
  say(`making the shop, scale ${scale}`);
  const tree = createTree(join(dir, 'shop'), scale);
  const shop = await createBenchShop(server, SOURCE, scale);
  const fileCount = tree.code.length + tree.images.length;
  say(`  ${fileCount} files, ${mb(tree.bytes)}; ${shop.tables} tables, ${shop.rows} rows, ${mb(shop.innodbBytes)} of InnoDB`);
  prepared.configure({ files: { root: tree.root }, database: { socketPath: server.socketPath, user: 'root', name: SOURCE } });
  const peerBucket = await makeBucket(store, { objectLock: false });
  stops.push(() => peerBucket.release());
  const rclone = prepared.secret('rclone.conf', '');
  const bench: Bench = {
    ...{ meter, server, tree, world: prepared.world, dir: prepared.dir, identityFile: prepared.identityFile, steps: [], estimates: [] },
    remotes: {
      files: remoteOf(peerBucket, 'files.tar.zst.age', rclone),
      database: remoteOf(peerBucket, 'database.sql.zst.age', rclone),
    },
  };
  say('backing it up');
  await meter.run(coffre(bench.world, 'backup', bench.world.shop));
  if (withPeers) await backUpByHand(bench, prepared.recipient);
  const stored = {
    coffre: (await inventory(bench.world.bucket)).versions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    byHand: (await inventory(peerBucket)).versions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
  for (let number = 0; number < rounds; number++) {
    say(`round ${number + 1} of ${rounds}`);
    await oneRound(bench, number);
  }
  return {
    ...{ scale, rounds, stored, machine: machine(), serverSettings: SERVER_SETTINGS },
    shop: { files: fileCount, fileBytes: tree.bytes, ...shop },
    versions: {
      node: process.version,
      mariadb: (await server.sql('SELECT VERSION()')).trim(),
      rclone: await versionOf('rclone', 'version'),
      store: store.kind === 'ceph' ? await versionOf('radosgw') : store.kind,
    },
    steps: bench.steps,
    estimates: bench.estimates,
  };
}

function summarise({ steps, estimates }: Awaited<ReturnType<typeof main>>) {
  const medians: Partial<Record<StepName, Median>> = mediansOf(steps);
  const { coffre: ours, byHand: theirs } = medians;
  const ratios = ours && theirs ? { byHand: rounded(ours.seconds / theirs.seconds, 3) } : {};
  const peakRssMiB = Math.ceil(Math.max(0, ...steps.filter(({ step }) => step !== 'byHand').map((one) => one.peakBytes)) / 2 ** 20);
  // how far the prediction was off, of what it took
  const off = estimates.map(({ expectedMs, measuredMs }) => rounded(Math.abs(expectedMs - measuredMs) / measuredMs, 3));
  const estimateOff = off.length > 0 ? Math.max(...off) : null;
  return {
    bench: 'restore' as const,
    ratios,
    goals: { byHand: `<= ${GOAL}`, estimateOff: `<= ${ESTIMATE_GOAL}`, peakRssMiB: `<= ${MEMORY_GOAL_MIB}` },
    met: {
      ...(ratios.byHand === undefined ? {} : { byHand: ratios.byHand <= GOAL }),
      ...(estimateOff === null ? {} : { estimateOff: estimateOff <= ESTIMATE_GOAL }),
      peakRssMiB: peakRssMiB <= MEMORY_GOAL_MIB,
    },
    ...{ medians, estimateOff, peakRssMiB },
  };
}

function tableOf(report: Awaited<ReturnType<typeof main>>, summary: ReturnType<typeof summarise>): string {
  const { shop, stored } = report;
  const lines = [
    '',
    `scale ${scale}, median of ${rounds}: ${shop.files} files, ${mb(shop.fileBytes)}; ${shop.tables} tables, ${shop.rows} rows, ${mb(shop.innodbBytes)} of InnoDB`,
    `${report.machine.at}, ${report.machine.cores} x ${report.machine.processor}, ${mib(report.machine.memoryBytes)}`,
    `stored: coffre ${mb(stored.coffre)}, by hand ${mb(stored.byHand)}`,
    '',
    `${'step'.padEnd(24)}${'seconds'.padStart(9)}${'client'.padStart(9)}${'server'.padStart(9)}${'store'.padStart(9)}  cpu s${'memory'.padStart(12)}`,
  ];
  for (const [step, one] of Object.entries(summary.medians)) {
    const figures = [one.seconds, one.clientCpuSeconds, one.serverCpuSeconds, one.storeCpuSeconds].map((value) =>
      value.toFixed(2).padStart(9),
    );
    lines.push(`${step.padEnd(24)}${figures.join('')}       ${mib(one.peakBytes).padStart(12)}`);
  }
  lines.push('');
  const { met, goals } = summary;
  const verdict = (name: keyof typeof met): string => `goal ${goals[name].padEnd(8)} ${met[name] ? 'met' : 'NOT MET'}`;
  if (summary.ratios.byHand !== undefined) lines.push(`byHand        ${summary.ratios.byHand.toFixed(2)}   ${verdict('byHand')}`);
  for (const { expectedMs, lowMs, highMs, measuredMs } of report.estimates) {
    const seconds = (ms: number): string => (ms / 1000).toFixed(1);
    lines.push(`estimated ${seconds(expectedMs)} s (${seconds(lowMs)} to ${seconds(highMs)}), took ${seconds(measuredMs)} s`);
  }
  if (summary.estimateOff !== null) lines.push(`estimateOff   ${summary.estimateOff.toFixed(2)}   ${verdict('estimateOff')}`);
  lines.push(`peakRssMiB    ${summary.peakRssMiB}    ${verdict('peakRssMiB')}`);
  return lines.join('\n');
}

await runBench(
  'restore',
  options,
  async (setting) => {
    const report = await main(setting);
    const summary = summarise(report);
    return { text: tableOf(report, summary), document: { ...summary, ...report } };
  },
  20e9 * Math.max(0.2, scale) + STORE_BYTES * scale,
);
