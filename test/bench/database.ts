// How fast a shop's database is backed up and brought back, beside the tools that one would use otherwise: `npm run bench -- database`.
//
// One MariaDB, one store, one machine; ours and the peers in turn, a different one first in each round; medians. Every step begins when
// the servers are idle and nothing waits to be written. What counts is the wall time of the whole command, its start included.
//   backup   coffre backup --full: read, compressed, encrypted, locked in the S3 vault, read back
//     a      mariadb-dump | zstd -3 | age | rclone rcat, into the same bucket
//     b      mydumper --compress, two threads, to a local folder (same disk; not encrypted, nothing stored away)
//   restore  coffre restore --to-database, into an empty database
//     c      zstd -d | mariadb, from a local dump
//     d      myloader, two threads, from the folder of b
// All of them connect to the server's socket as root and read a consistent snapshot with triggers, routines and events.
// Then, ours alone: a second backup after nothing, after the newest 1 % of rows, and after 1 % everywhere has changed.
// A restored database that differs from its source ends the benchmark with an error. Goals are reported, they do not change the exit status.
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { recipientOf } from '../../src/segment/age.ts';
import { type Mariadb, startMariadb } from '../servers/mariadb.ts';
import { type Bucket, makeBucket } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';
import * as peers from './database/peers.ts';
import { type Report, type Second, type StepName, summarise, tableOf, versions } from './database/report.ts';
import { watched } from './database/settle.ts';
import { type BenchShop, changeRows, createBenchShop } from './database/shop.ts';
import { type Command, coffre, remoteOf } from './measuring/commands.ts';
import { machine } from './measuring/figures.ts';
import { type Measured, Meter } from './measuring/meter.ts';
import { readOptions, runBench } from './measuring/options.ts';
import type { Setting } from './measuring/setting.ts';
import { inTurn, measureStep, type StepResult } from './measuring/steps.ts';

/** What an agency sets for a shop of this size. Everything else as MariaDB ships it: durable commits, doublewrite, no binlog, no query cache. */
const SERVER_SETTINGS = [
  '--innodb-buffer-pool-size=1G',
  '--innodb-log-file-size=512M',
  // the test rig turns it off
  '--innodb-flush-log-at-trx-commit=1',
  '--query-cache-type=0',
];
const SOURCE = 'shop';
const TARGET = 'shop_back';
const USAGE = `usage: npm run bench -- database [--json] [--rounds N] [--scale FRACTION] [--only backup|restore] [--skip-peers]
  full size with 3 rounds takes about ten minutes and 8 GB of disk; --scale 0.1 is for trying it out`;

const options = readOptions(USAGE, ['backup', 'restore']);
const { scale, rounds, withPeers, wanted } = options;

const say = (line: string): void => console.error(line);
interface Bench {
  readonly server: Mariadb;
  readonly bucket: Bucket;
  readonly world: World;
  readonly meter: Meter;
  /** Room for the peers' files, on the disk that the server is on. */
  readonly dir: string;
}

const step = (bench: Bench, results: StepResult<StepName>[], name: StepName, round: number, command: Command): Promise<Measured> =>
  measureStep(bench.meter, results, name, round, command);

const folderBytes = (folder: string): number => readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);

async function backups(bench: Bench, report: Report): Promise<void> {
  const { server, world, bucket, dir } = bench;
  const folder = join(dir, 'mydumper');
  const recipient = await recipientOf(world.recovery);
  const config = join(dir, 'rclone.conf');
  writeFileSync(config, '', { mode: 0o600 });
  // each of them reads everything and so leaves the next one the same pages; the first one should find them as well
  await checksums(server, SOURCE);
  for (let round = 0; round < rounds; round++) {
    const remote = remoteOf(bucket, `peer/dump-${round}.sql.zst.age`, config);
    const ours = async (): Promise<void> => {
      const { stdout } = await step(
        bench,
        report.steps,
        'coffre backup',
        round,
        coffre(world, 'backup', world.shop, '--source', 'database', '--full'),
      );
      const [snapshot] = JSON.parse(stdout).snapshots;
      if (snapshot.reusedSegments > 0) throw new Error('coffre backup --full reused segments: that was not a full backup');
      report.sizes.coffre = snapshot.storedBytes;
      report.sizes.sql = snapshot.plainBytes;
      report.consistency.push(snapshot.consistency);
    };
    const dump = async (): Promise<void> => {
      await step(bench, report.steps, 'a: mariadb-dump, rclone', round, peers.dumpToStore(server, SOURCE, recipient, remote));
      report.sizes.a = (await bucket.client.send(new HeadObjectCommand({ Bucket: bucket.name, Key: remote.key }))).ContentLength ?? 0;
    };
    const parallel = async (): Promise<void> => {
      rmSync(folder, { recursive: true, force: true });
      await step(bench, report.steps, 'b: mydumper', round, peers.mydumper(server, SOURCE, folder));
      report.sizes.b = folderBytes(folder);
    };
    say(`backup, round ${round + 1} of ${rounds}`);
    await inTurn(round, withPeers ? [ours, dump, parallel] : [ours]);
    if (withPeers && round === 0) {
      const identity = join(dir, 'identity');
      writeFileSync(identity, `${world.recovery}\n`, { mode: 0o600 });
      const { stdout } = await bench.meter.run(peers.readFromStore(identity, remote));
      if (!stdout.startsWith('-- Dump completed')) throw new Error('what rclone stored is not a whole dump');
    }
  }
}

async function restores(bench: Bench, report: Report): Promise<void> {
  const { server, world, dir, meter } = bench;
  const folder = join(dir, 'mydumper');
  const file = join(dir, 'dump.sql.zst');
  if (!wanted('backup')) {
    await meter.run(coffre(world, 'backup', world.shop, '--source', 'database', '--full'));
    if (withPeers) await meter.run(peers.mydumper(server, SOURCE, folder));
  }
  if (withPeers) await meter.run(peers.dumpToFile(server, SOURCE, file));
  const expected = { rows: await checksums(server, SOURCE), text: await textHash(bench, SOURCE) };
  for (let round = 0; round < rounds; round++) {
    const into = async (name: StepName, command: Command): Promise<void> => {
      await server.sql(`DROP DATABASE IF EXISTS ${TARGET}; CREATE DATABASE ${TARGET} CHARACTER SET utf8mb4;`);
      await step(bench, report.steps, name, round, command);
      if (round > 0) return;
      // a wrong copy would be a fast one
      compare(name, expected.rows, await checksums(server, TARGET));
      if (name === 'coffre restore' && (await textHash(bench, TARGET)) !== expected.text) {
        throw new Error('the restored database dumps to another text than its source');
      }
    };
    const ours = (): Promise<void> => into('coffre restore', peers.restoreInto(world, server, TARGET));
    const dump = (): Promise<void> => into('c: zstd -d, mariadb', peers.loadFromFile(server, TARGET, file));
    const parallel = (): Promise<void> => into('d: myloader', peers.myloader(server, TARGET, folder));
    say(`restore, round ${round + 1} of ${rounds}`);
    await inTurn(round, withPeers ? [ours, dump, parallel] : [ours]);
  }
  await server.sql(`DROP DATABASE ${TARGET}`);
}

/** Backups after the first: what one more day costs. */
async function secondBackups(bench: Bench, report: Report): Promise<void> {
  const { server, world } = bench;
  say('second backups');
  const again = async (after: Second['after'], change: () => Promise<number>): Promise<void> => {
    const changedRows = await change();
    const { stdout, seconds } = await step(
      bench,
      report.steps,
      `coffre, ${after}`,
      0,
      coffre(world, 'backup', world.shop, '--source', 'database'),
    );
    const [snapshot] = JSON.parse(stdout).snapshots;
    const { newBytes, segments, reusedSegments } = snapshot;
    report.second.push({ after, changedRows, seconds, newBytes, segments, reusedSegments });
  };
  await again('nothing changed', async () => 0);
  await again('newest 1 % changed', () => changeRows(server, SOURCE, 'recent'));
  await again('every 100th changed', () => changeRows(server, SOURCE, 'scattered'));
}

/**
 * Name and checksum of every table, the server's own. Not of those with a generated column: theirs differs between equal tables
 * (MariaDB 10.11, two copies by mariadb-dump). The text of the whole dump covers them.
 */
async function checksums(server: Mariadb, database: string): Promise<ReadonlyMap<string, string>> {
  const listed = await server.sql(
    `SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND table_name NOT IN
       (SELECT table_name FROM information_schema.columns WHERE table_schema = DATABASE() AND is_generated = 'ALWAYS') ORDER BY 1`,
    { database },
  );
  const names = listed.trim().split('\n');
  const rows = await server.sql(`CHECKSUM TABLE ${names.map((name) => `\`${name}\``).join(',')}`, { database });
  const lines = rows.trim().split('\n');
  return new Map(lines.map((line) => line.slice(line.indexOf('.') + 1).split('\t') as [string, string]));
}

function compare(name: string, expected: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): void {
  const wrong = [...new Set([...expected.keys(), ...found.keys()])].filter((table) => expected.get(table) !== found.get(table));
  if (expected.size === 0 || wrong.length > 0) throw new Error(`${name}: not what was backed up: ${wrong.slice(0, 10).join(', ')}`);
}

async function textHash(bench: Bench, database: string): Promise<string> {
  return (await bench.meter.run(peers.hashOfDump(bench.server, database))).stdout.trim();
}

async function main({ store, dir, signal, stops }: Setting): Promise<Report> {
  const server = await startMariadb({ args: SERVER_SETTINGS });
  stops.push(() => server.stop());
  signal.throwIfAborted();
  // without its server every client ends, so an interruption does not wait for one
  signal.addEventListener('abort', () => void server.stop(), { once: true });
  const bucket = await makeBucket(store);
  stops.push(() => bucket.release());
  const connection = { socketPath: server.socketPath, user: 'root' };
  await using world = await makeWorld({ bucket, database: { ...connection, name: 'tiny' } });
  const bench: Bench = { server, bucket, world, dir: join(dir, 'peers'), meter: new Meter(watched(server), store.cephDir, signal) };
  mkdirSync(bench.dir);

  // vaults are proven and keys known, as for any daemon that has run before
  await server.createDatabase('tiny');
  await server.sql('CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1);', { database: 'tiny' });
  await bench.meter.run(coffre(world, 'backup', world.shop, '--source', 'database'));
  world.writeConfig({ database: { ...connection, name: SOURCE } });
  say(`making the shop, scale ${scale}`);
  const shop: BenchShop = await createBenchShop(server, SOURCE, scale);
  say(`  ${shop.tables} tables, ${shop.rows} rows, ${(shop.innodbBytes / 1e6).toFixed(0)} MB of InnoDB`);

  const report: Report = {
    scale,
    rounds,
    shop,
    serverSettings: SERVER_SETTINGS,
    machine: machine(),
    versions: await versions(server, store.kind),
    steps: [],
    sizes: {},
    consistency: [],
    second: [],
  };
  if (wanted('backup')) await backups(bench, report);
  if (wanted('restore')) await restores(bench, report);
  if (wanted('backup')) await secondBackups(bench, report);
  return report;
}

await runBench('database', options, async (setting) => {
  const report = await main(setting);
  const summary = summarise(report);
  return { text: tableOf(report, summary), document: { ...summary, ...report } };
});
