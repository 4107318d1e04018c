// How fast a shop's tree is backed up and brought back, beside the tools that one would use otherwise: `npm run bench -- files`.
//
// One tree, one store, one machine; ours and the peers in turn, a different one first in each round; medians. Every step begins when
// the store is idle, nothing waits to be written, and the whole tree is in memory. What counts is the wall time of the whole command.
//   first      coffre backup --full (encrypted, COMPLIANCE lock, read back) · restic backup into an empty repository in the same store ·
//              tar | zstd -3 -T2 | age | rclone rcat · bare PUTs of the bytes that coffre stored
//   unchanged  again, nothing has changed        coffre · restic
//   changed    again, after 300 files changed    coffre · restic
//   restore    all of it, into an empty folder   coffre · restic · rclone cat | age -d | zstd -d | tar x
//   one        one file of it                    the same
//   delta      over a copy of which 1 % is damaged   coffre restore --overwrite · restic restore over it
// Nothing that holds many files is removed before the end, or the next one to make files would pay for it (see PreparedWorld.dir).
// A restored tree that differs from its source ends the benchmark with an error. Goals are reported, they do not change the exit status.
// Then `cost`: the most that is stored in thirty simulated days, beside scripts and restic (files/cost.ts).
// --million: a million small files instead, coffre alone.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { type Bucket, inventory, makeBucket } from '../servers/s3.ts';
import type { World } from '../world/world.ts';
import { compareTrees, readAll, type TimePrecision } from './files/compare.ts';
import { simulateCost } from './files/cost.ts';
import { millionFiles } from './files/million.ts';
import * as peers from './files/peers.ts';
import type { PutOrder, PutResult } from './files/put-rate.ts';
import { type Contender, type Report, STEPS, type Step, type StepName, summarise, tableOf, versions } from './files/report.ts';
import { changeFiles, createTree, damage, type Tree } from './files/tree.ts';
import { type Command, coffre, type Remote, remoteOf } from './measuring/commands.ts';
import { machine } from './measuring/figures.ts';
import { type Measured, Meter } from './measuring/meter.ts';
import { readOptions, runBench } from './measuring/options.ts';
import { prepareWorld } from './measuring/prepared-world.ts';
import type { Setting } from './measuring/setting.ts';
import { inTurn, measureStep } from './measuring/steps.ts';

const CHANGED_FILES = 300;
/** Bare PUTs at once: on a store that shares two cores with its client, more are not faster. */
const PUTS_IN_FLIGHT = 4;
/** What a round stores at full size, all contenders together. */
const ROUND_BYTES = 11e9;
const USAGE = `usage: npm run bench -- files [--json] [--rounds N] [--scale FRACTION] [--only ${[...STEPS, 'cost'].join(',')}] [--skip-peers]
       npm run bench -- files --million [--json] [--scale FRACTION]
  full size with 3 rounds takes about ten minutes and 60 GB of disk; --scale 0.05 is for trying it out`;

const options = readOptions(USAGE, [...STEPS, 'cost'], ['million']);
const { scale, rounds, withPeers, wanted } = options;

const say = (line: string): void => console.error(line);

interface Bench {
  readonly setting: Setting;
  readonly meter: Meter;
  readonly tree: Tree;
  readonly report: Report;
}

/** Everyone's place in one round: each begins with nothing. */
interface Round {
  readonly number: number;
  readonly world: World;
  readonly repository: peers.Repository;
  readonly remote: Remote;
  readonly identityFile: string;
  readonly recipient: string;
  /** Restored copies, by contender. */
  readonly copy: (of: Contender | 'one') => string;
}

const step = (bench: Bench, name: StepName, round: number, command: Command): Promise<Measured> =>
  measureStep(bench.meter, bench.report.steps, name, round, command);

/** Runs what others build on although it was not asked for, unmeasured. */
const needed = (bench: Bench, kind: Step, name: StepName, round: number, command: Command): Promise<Measured> =>
  wanted(kind) ? step(bench, name, round, command) : bench.meter.run(command);

async function firstBackups(bench: Bench, round: Round): Promise<void> {
  const { meter, tree, report, setting } = bench;
  const { world, number } = round;
  await meter.run(readAll(tree.root));
  await inTurn(number, [
    async () => {
      const known = new Set((await inventory(world.bucket)).versions.map((version) => version.key));
      const { stdout } = await needed(
        bench,
        'first',
        'coffre first',
        number,
        coffre(world, 'backup', world.shop, '--source', 'files', '--full'),
      );
      const [snapshot] = JSON.parse(stdout).snapshots;
      if (snapshot.reusedSegments > 0) throw new Error('coffre backup --full reused segments: that was no first backup');
      if (snapshot.lock.verified !== true) throw new Error('coffre stored something whose lock was not read back');
      report.stored.coffre = snapshot.storedBytes;
      const sizes = (await inventory(world.bucket)).versions.filter((version) => !known.has(version.key)).map((it) => it.sizeBytes);
      report.put.objects = sizes.length;
      if (wanted('first') && withPeers) await putRates(bench, round, sizes);
    },
    ...(withPeers
      ? [
          async () => {
            await meter.run(peers.resticInit(round.repository));
            await needed(bench, 'first', 'restic first', number, peers.resticBackup(round.repository, tree.root));
          },
          async () => {
            await needed(bench, 'first', 'pipeline first', number, peers.pipelineBackup(tree.root, round.recipient, round.remote));
          },
        ]
      : []),
  ]);
  setting.signal.throwIfAborted();
}

/** Bare PUTs of objects of these sizes: without lock headers into a bucket without locks, and with them. */
async function putRates(bench: Bench, round: Round, sizes: readonly number[]): Promise<void> {
  const { store } = bench.setting;
  for (const locked of [false, true]) {
    const bucket = await makeBucket(store, { objectLock: locked });
    const order: PutOrder = {
      endpoint: store.endpoint,
      region: store.region,
      accessKey: store.accessKey,
      secretKey: store.secretKey,
      bucket: bucket.name,
      prefix: 'put',
      sizes,
      inFlight: PUTS_IN_FLIGHT,
      retainUntil: locked ? systemClock.now().add({ hours: 24 }).toString({ smallestUnit: 'second' }) : null,
    };
    const { meter, report } = bench;
    await meter.settle();
    const script = new URL('./files/put-rate.ts', import.meta.url).pathname;
    const measured = await meter.run({ program: process.execPath, args: [script], env: { COFFRE_PUT_ORDER: JSON.stringify(order) } });
    const { seconds, bytes } = JSON.parse(measured.stdout) as PutResult;
    // its own clock: what counts is the sending, not the start of a program
    report.steps.push({
      step: locked ? 'put locked' : 'put',
      round: round.number,
      seconds,
      cpuSeconds: measured.cpuSeconds,
      peakBytes: measured.peakBytes,
      atPeak: measured.atPeak,
    });
    say(`  ${locked ? 'put locked' : 'put'}: ${(bytes / 1e6 / seconds).toFixed(0)} MB/s, ${seconds.toFixed(2)} s, ${sizes.length} objects`);
    await bucket.release();
  }
}

/** A further backup of both that know what they have: nothing changed, or some files. */
async function furtherBackups(bench: Bench, round: Round, kind: 'unchanged' | 'changed'): Promise<void> {
  const { tree, report, meter } = bench;
  const { world, number } = round;
  if (kind === 'changed') changeFiles(tree, Math.max(10, Math.round(CHANGED_FILES * scale)), number);
  await meter.run(readAll(tree.root));
  await inTurn(number, [
    async () => {
      const { stdout } = await needed(bench, kind, `coffre ${kind}`, number, coffre(world, 'backup', world.shop, '--source', 'files'));
      const [{ newBytes, segments, reusedSegments }] = JSON.parse(stdout).snapshots;
      report.increments.push({ step: kind, newBytes, segments, reusedSegments });
    },
    ...(withPeers
      ? [async () => void (await needed(bench, kind, `restic ${kind}`, number, peers.resticBackup(round.repository, tree.root)))]
      : []),
  ]);
}

async function restores(bench: Bench, round: Round): Promise<void> {
  const { tree } = bench;
  const { world, number, repository, copy, identityFile, remote } = round;
  const into = async (who: Contender, make: (directory: string) => Command, precision: TimePrecision): Promise<void> => {
    const directory = copy(who);
    mkdirSync(directory);
    await needed(bench, 'restore', `${who} restore`, number, make(directory));
    // what the pipeline stored is the tree before it changed: only its first round is as its source is
    if (who === 'coffre' || number === 0) await same(bench, who, tree.root, directory, precision);
  };
  await inTurn(number, [
    () => into('coffre', (directory) => coffre(world, 'restore', world.shop, '--source', 'files', '--to-dir', directory), 'exact'),
    ...(withPeers
      ? [
          () => into('restic', (directory) => peers.resticRestore(repository, directory), 'exact'),
          () => into('pipeline', (directory) => peers.pipelineRestore(directory, identityFile, remote), 'seconds'),
        ]
      : []),
  ]);
}

async function same(bench: Bench, who: Contender, root: string, copy: string, precision: TimePrecision): Promise<void> {
  await bench.meter.run(compareTrees(root, copy, precision)).catch((error: Error) => {
    throw new Error(`${who}: the restored tree is not what was backed up\n${error.message}`);
  });
}

async function oneFile(bench: Bench, round: Round): Promise<void> {
  const { tree, meter } = bench;
  const { world, number, repository, identityFile, remote } = round;
  const path = tree.images[Math.floor(tree.images.length / 2)] as string;
  const into = async (who: Contender, make: (directory: string) => Command): Promise<void> => {
    const directory = round.copy('one');
    mkdirSync(directory);
    await step(bench, `${who} one`, number, make(directory));
    await meter.run({ program: 'cmp', args: [join(tree.root, path), join(directory, path)] });
    rmSync(directory, { recursive: true });
  };
  await inTurn(number, [
    () => into('coffre', (directory) => coffre(world, 'restore', world.shop, '--source', 'files', '--to-dir', directory, '--path', path)),
    ...(withPeers
      ? [
          () => into('restic', (directory) => peers.resticRestore(repository, directory, path)),
          () => into('pipeline', (directory) => peers.pipelineRestore(directory, identityFile, remote, path)),
        ]
      : []),
  ]);
}

async function deltas(bench: Bench, round: Round): Promise<void> {
  const { tree, report } = bench;
  const { world, number, repository, copy } = round;
  const over = async (who: Contender, command: Command): Promise<void> => {
    report.damaged = damage(tree, copy(who));
    await step(bench, `${who} delta`, number, command);
    await same(bench, who, tree.root, copy(who), 'exact');
  };
  await inTurn(number, [
    () => over('coffre', coffre(world, 'restore', world.shop, '--source', 'files', '--to-dir', copy('coffre'), '--overwrite')),
    ...(withPeers ? [() => over('restic', peers.resticRestore(repository, copy('restic')))] : []),
  ]);
}

async function prepareRound(bench: Bench, number: number, peerBucket: Bucket, stack: AsyncDisposableStack): Promise<Round> {
  const { setting, tree, meter } = bench;
  const { store } = setting;
  const { world, dir, secret, recipient, identityFile, configure } = await prepareWorld(setting, meter, `round-${number}`, stack);
  configure({ files: { root: tree.root } });
  return {
    number,
    world,
    repository: peers.repositoryIn({
      repository: `s3:${store.endpoint}/${peerBucket.name}/restic-${number}`,
      passwordFile: secret('restic-password', 'bench\n'),
      cacheDir: join(dir, 'restic-cache'),
      login: store,
    }),
    remote: remoteOf(peerBucket, `pipeline-${number}.tar.zst.age`, secret('rclone.conf', '')),
    identityFile,
    recipient,
    copy: (of) => join(dir, `back-${of}`),
  };
}

async function oneRound(bench: Bench, number: number, peerBucket: Bucket): Promise<void> {
  await using stack = new AsyncDisposableStack();
  say(`round ${number + 1} of ${rounds}`);
  const round = await prepareRound(bench, number, peerBucket, stack);
  const { stored } = bench.report;
  await firstBackups(bench, round);
  if (withPeers) {
    const { versions: objects } = await inventory(peerBucket);
    const bytesOf = (prefix: string): number => objects.reduce((sum, it) => sum + (it.key.startsWith(prefix) ? it.sizeBytes : 0), 0);
    stored.restic = bytesOf(`restic-${number}/`);
    stored.pipeline = bytesOf(`pipeline-${number}.`);
  }
  if (wanted('unchanged')) await furtherBackups(bench, round, 'unchanged');
  // before it changes: the pipeline has stored nothing since
  if (wanted('restore') || wanted('delta')) await restores(bench, round);
  if (wanted('one')) await oneFile(bench, round);
  if (wanted('delta')) await deltas(bench, round);
  if (wanted('changed')) await furtherBackups(bench, round, 'changed');
}

async function main(setting: Setting): Promise<Report> {
  const { store } = setting;
  const meter = new Meter(null, store.cephDir, setting.signal);
  const report: Report = {
    scale,
    rounds,
    machine: machine(),
    versions: await versions(store.kind),
    steps: [],
    stored: {},
    put: { inFlight: PUTS_IN_FLIGHT },
    increments: [],
  };
  if (STEPS.some(wanted)) await allRounds(setting, meter, report);
  if (wanted('cost')) {
    say('thirty simulated days');
    report.cost = await simulateCost(setting, meter, scale);
  }
  return report;
}

async function allRounds(setting: Setting, meter: Meter, report: Report): Promise<void> {
  say(`making the tree, scale ${scale}`);
  const tree = createTree(join(setting.dir, 'shop'), scale);
  const files = tree.code.length + tree.images.length;
  say(`  ${files} files, ${(tree.bytes / 1e6).toFixed(0)} MB`);
  report.tree = { files, bytes: tree.bytes };
  // without locks and versions: the peers ask for neither
  const peerBucket = await makeBucket(setting.store, { objectLock: false });
  setting.stops.push(() => peerBucket.release());
  const bench: Bench = { setting, meter, tree, report };
  for (let number = 0; number < rounds; number++) await oneRound(bench, number, peerBucket);
}

await runBench(
  'files',
  options,
  async (setting) => {
    if (options.given('million')) return await millionFiles(setting, scale);
    const report = await main(setting);
    const summary = summarise(report);
    return { text: tableOf(report, summary), document: { ...summary, ...report } };
  },
  20e9 + rounds * ROUND_BYTES * scale,
);
