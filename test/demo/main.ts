// `npm run demo`: a shop is backed up under lock, attacked, changed, destroyed and brought back, on real servers, in front of you.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/clock.ts';
import { type Bucket, inventory, makeBucket } from '../servers/s3.ts';
import { createShopDatabase, runSql, type ShopServer } from '../shop/database.ts';
import { createShopFiles } from '../shop/files.ts';
import { mutateDatabase, mutateFiles } from '../shop/mutate.ts';
import { type Coffre, coffreWith } from './coffre.ts';
import { type Keeper, startKeeper } from './keeper.ts';
import { chooseLanes, secondDisk } from './lanes.ts';
import { createNarrator, megabytes, type Narrator } from './narrator.ts';
import { attackLocks, deleteControl, describeTree, differences, dumpDatabase, type LockMode } from './oracles.ts';
import { databaseUrl, initArguments, makeBackupAccount, PREFIX, TIMEZONE, withContract } from './setup.ts';

const SEED = 'maison-dupont';
const SHOP = 'dupont';
const SHOP_FILES = 6000;
const SHOP_FILES_MB = 200;
const DATABASE_MB = 100;
/** Servers, the shop, its dumps for comparison and the copies in two vaults. */
const ROOM_NEEDED_BYTES = 3e9;
const NAS_BYTES = 700e6;

/** The document of --json. null: could not be shown on this machine, and `notShown` says why. */
interface Outcome {
  lockRefused: boolean | null;
  controlDeleted: boolean | null;
  databaseIdentical: boolean | null;
  filesIdentical: boolean | null;
  /** What `billing level` says the store holds for us. */
  levelBytes: number | null;
  /** What an independent listing of the store says. */
  storeBytes: number | null;
  peaks: { readonly month: string; readonly contracts: readonly { readonly peakBytes: number }[] } | null;
  seconds: Record<string, number>;
  notShown: string[];
  /** With --keep: what to play with, and how to stop it. */
  keep?: { readonly config: string; readonly stop: string };
}

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  process.stdout.write(
    'npm run demo [-- --json] [-- --keep]\n  --json  end with one JSON document on standard output\n  --keep  leave the servers up\n',
  );
  process.exit(0);
}

const startedMs = systemClock.monotonicMs();
const out = options.json ? process.stderr : process.stdout;
const narrator = createNarrator({
  write: (text) => void out.write(text),
  color: out.isTTY === true && !process.env.NO_COLOR,
  elapsedMs: () => systemClock.monotonicMs() - startedMs,
});
process.exitCode = await main(narrator);

async function main(tell: Narrator): Promise<number> {
  const home = mkdtempSync(path.join(tmpdir(), 'coffre-demo-'));
  const disk = secondDisk(NAS_BYTES);
  const nas = disk === null ? path.join(home, 'nas') : mkdtempSync(path.join(disk, 'coffre-demo-nas-'));
  let keeper: Keeper | null = null;
  let left = false;
  try {
    const { bavail, bsize } = statfsSync(home);
    if (bavail * bsize < ROOM_NEEDED_BYTES)
      throw new Error(`${tmpdir()} needs ${megabytes(ROOM_NEEDED_BYTES)} of room for the demo; set TMPDIR`);
    tell.plain('coffre, the demo: a shop is backed up under lock, attacked, changed, destroyed and brought back.');
    tell.plain('Everything is real (database server, object store, bin/coffre) and thrown away at the end.');

    const lanes = await chooseLanes(process.env);
    tell.chapter('Servers');
    const serversMs = systemClock.monotonicMs();
    keeper = await startKeeper({ ...lanes, folders: [home, nas] });
    const outcome = await story(tell, keeper, { home, nas, secondDisk: disk !== null }, serversMs);

    outcome.seconds.total = secondsSince(startedMs);
    const wrong = verdict(outcome);
    tell.chapter('In short');
    for (const reason of outcome.notShown) tell.missing(reason);
    if (wrong.length > 0) for (const what of wrong) tell.proof(false, what);
    else tell.proof(true, `everything that was shown is as it must be, in ${outcome.seconds.total} s`);
    if (options.keep) {
      const config = path.join(home, 'coffre.yaml');
      const stop = `kill ${keeper.pid}`;
      outcome.keep = { config, stop };
      tell.say('The servers stay up (a day at most). To play with:');
      tell.say(`  bin/coffre --config ${config} status`);
      if (keeper.database) tell.say(`  mariadb --socket=${keeper.database.socketPath} --user=${keeper.database.rootUser} ${SHOP}`);
      if (keeper.store) tell.say(`  store: ${keeper.store.endpoint}, its key is in ${path.join(home, 'offsite.json')}`);
      tell.say(`To stop them and remove everything: ${stop}`);
    }
    if (options.json) process.stdout.write(`${JSON.stringify(outcome)}\n`);
    if (options.keep) {
      keeper.leave();
      left = true;
    }
    return wrong.length === 0 ? 0 : 1;
  } catch (error) {
    tell.proof(false, error instanceof Error ? error.message : String(error));
    return 1;
  } finally {
    if (!left) {
      await keeper?.stop();
      for (const folder of [home, nas]) rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** The demo itself, readable top to bottom. Throws when a command fails that must not. */
async function story(
  tell: Narrator,
  keeper: Keeper,
  place: { readonly home: string; readonly nas: string; readonly secondDisk: boolean },
  serversMs: number,
): Promise<Outcome> {
  const outcome: Outcome = {
    lockRefused: null,
    controlDeleted: null,
    databaseIdentical: null,
    filesIdentical: null,
    levelBytes: null,
    storeBytes: null,
    peaks: null,
    seconds: {},
    notShown: [],
  };
  const { seconds, notShown } = outcome;
  const { home, nas } = place;
  const configFile = path.join(home, 'coffre.yaml');
  const root = path.join(home, 'www');
  const coffre: Coffre = coffreWith(configFile);
  const { store, database } = keeper;

  // what runs, and what cannot
  const bucket: Bucket | null = store && (await makeBucket(store));
  // an object store that is not ours to throw away gets locks that its owner can lift again, and short ones
  const borrowed = store?.kind === 'external';
  const mode: LockMode = borrowed ? 'GOVERNANCE' : 'COMPLIANCE';
  if (store && bucket) {
    const kind = { ceph: 'a throw-away Ceph', minio: 'MinIO in a container', external: 'the store you gave' }[store.kind];
    tell.say(`object store: ${kind} at ${store.endpoint}, bucket ${bucket.name} with Object Lock`);
    if (borrowed) tell.say('(not ours to throw away: locks in mode GOVERNANCE, lifted and removed at the end)');
  } else {
    notShown.push(`no object store could be started (${keeper.storeProblem}): no lock was shown that stops everybody, and no bill`);
  }
  const server: ShopServer | null = database;
  if (database) tell.say(`database:     MariaDB ${database.version}, ${database.socketPath}`);
  else notShown.push(`no MariaDB could be started (${keeper.databaseProblem}): no database was backed up`);
  tell.say(
    `second disk:  ${place.secondDisk ? `memory plays it, ${nas}` : 'none here; the folder on the shop’s own disk does not count as a copy'}`,
  );
  seconds.servers = secondsSince(serversMs);

  await timed(seconds, 'shop', async () => {
    tell.chapter('A shop, made from a seed');
    const shopOptions = { name: SHOP, seed: SEED, databaseMB: DATABASE_MB };
    const making = server && createShopDatabase(server, shopOptions);
    const files = createShopFiles(root, { seed: SEED, files: SHOP_FILES, megabytes: SHOP_FILES_MB });
    const made = await making;
    if (made) {
      tell.say(
        `database ${SHOP}: ${made.tables} tables, ${made.rows.toLocaleString('en')} rows, triggers, views, a procedure, an event, a sequence`,
      );
    }
    const large = files.largeFile ? statSync(path.join(root, files.largeFile)).size : 0;
    tell.say(
      `files ${root}: ${files.files} files, ${megabytes(files.bytes)}, one of ${megabytes(large)}; names that are not UTF-8, links, holes`,
    );
    if (server) await makeBackupAccount(server, SHOP, home);
  });

  await timed(seconds, 'init', async () => {
    tell.chapter('A new installation');
    mkdirSync(nas, { recursive: true });
    const args = initArguments({ shop: SHOP, home, root, nas, bucket, server, mode, retention: borrowed ? '1h' : '14d' });
    // ends with doctor's verdict, which the next chapter looks at
    await coffre.text(args, [0, 1]);
    writeFileSync(configFile, withContract(readFileSync(configFile, 'utf8'), { vault: bucket ? 'offsite' : 'nas', borrowed }));
    tell.say(`coffre init wrote ${configFile}, a key for the shop, a signing key and the recovery kit for the paper safe`);
  });

  await timed(seconds, 'doctor', async () => {
    tell.chapter('Is everything right?');
    // red lines are shown and named, not hidden: one machine cannot always be three places
    const { stdout, status } = await coffre.text(['doctor'], [0, 1]);
    tell.command('coffre doctor', stdout);
    if (status !== 0 && place.secondDisk && bucket) throw new Error('doctor finds something red that should be green here');
  });

  await timed(seconds, 'backup', async () => {
    tell.chapter('The first backup');
    tell.command(`coffre backup ${SHOP}`, (await coffre.text(['backup', SHOP])).stdout);
  });

  await timed(seconds, 'locks', async () => {
    tell.chapter('Can it be deleted?');
    if (!bucket) return void tell.missing('there is no object store here; a folder stops coffre, and nobody else');
    tell.say('A client that is none of coffre’s, with a credential that may delete versions, tries on every version:');
    const tries = await attackLocks(bucket.client, bucket.name, `${PREFIX}/${SHOP}/`, mode, systemClock.now().add({ seconds: 30 }));
    outcome.lockRefused = tries.versions > 0 && tries.refused === tries.versions && tries.notShortened === tries.versions;
    tell.proof(
      outcome.lockRefused,
      `${tries.refused} of ${tries.versions} deletions refused (${tries.answer}), ${tries.notShortened} shortenings refused`,
    );
    if (tries.weak) tell.say(`first to give way: ${tries.weak}`);
    tell.say(`earliest end of a lock, as the store tells it: ${tries.lockedUntil}`);
    outcome.controlDeleted = await deleteControl(bucket.client, bucket.name);
    tell.proof(outcome.controlDeleted, 'the same credential deletes an unlocked object: it is the lock that refuses');
  });

  await timed(seconds, 'change', async () => {
    tell.chapter('A day in the shop’s life');
    if (server) {
      const day = await mutateDatabase(server, { name: SHOP, seed: SEED, databaseMB: DATABASE_MB }, 1);
      tell.say(`${day.orders} new orders, ${day.products} products changed, ${day.deletedCarts} carts deleted, a module installed`);
    }
    const day = mutateFiles(root, SEED, 1);
    tell.say(`${day.changed} files changed, ${day.added} added, ${day.deleted} deleted, one renamed`);
  });

  await timed(seconds, 'backupAgain', async () => {
    tell.chapter('The second backup');
    tell.command(`coffre backup ${SHOP}`, (await coffre.text(['backup', SHOP])).stdout);
  });

  const [dumpBefore, dumpAfter, treeBefore, treeAfter] = ['before.sql', 'after.sql', 'before.tree', 'after.tree'].map((name) =>
    path.join(home, name),
  ) as [string, string, string, string];
  await timed(seconds, 'destroy', async () => {
    tell.chapter('The disaster');
    await Promise.all([server && dumpDatabase(server, SHOP, dumpBefore), describeTree(root, treeBefore)]);
    tell.say('mariadb-dump, find and sha256sum write down what the shop is, for later');
    if (server) await runSql(server, `DROP DATABASE ${SHOP}; CREATE DATABASE ${SHOP} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;`);
    rmSync(root, { recursive: true });
    tell.say(`${server ? `DROP DATABASE ${SHOP}; ` : ''}rm -rf ${root}`);
  });

  await timed(seconds, 'restore', async () => {
    tell.chapter('Back');
    const to = ['--to-dir', root, ...(server ? ['--to-database', databaseUrl(server, SHOP)] : [])];
    const from = bucket ? ['--from', 'offsite'] : [];
    tell.command(['coffre restore', SHOP, ...from, ...to].join(' '), (await coffre.text(['restore', SHOP, ...from, ...to])).stdout);
  });

  await timed(seconds, 'compare', async () => {
    tell.chapter('Is it the same?');
    await Promise.all([server && dumpDatabase(server, SHOP, dumpAfter), describeTree(root, treeAfter)]);
    if (server) {
      const differing = differences(dumpBefore, dumpAfter, '\n');
      outcome.databaseIdentical = differing.length === 0;
      tell.proof(
        outcome.databaseIdentical,
        `mariadb-dump of the shop before and of the copy: ${megabytes(statSync(dumpAfter).size)} of ${differing.length === 0 ? 'the same text' : 'different text'}`,
      );
      for (const line of differing) tell.say(`  ${line}`);
    }
    const differing = differences(treeBefore, treeAfter, '\0');
    outcome.filesIdentical = differing.length === 0;
    tell.proof(outcome.filesIdentical, 'find and sha256sum: same names, bytes, modes, owners, times to the nanosecond, links');
    for (const line of differing) tell.say(`  ${line}`);
  });

  await timed(seconds, 'bill', async () => {
    tell.chapter('Where the shop stands, and what it costs');
    const { stdout } = await coffre.text(['status'], [0, 1]);
    tell.command('coffre status', stdout);
    const month = systemClock.now().toZonedDateTimeISO(TIMEZONE).toPlainDate().toPlainYearMonth().toString();
    tell.command(`coffre billing peaks --month ${month}`, (await coffre.text(['billing', 'peaks', '--month', month])).stdout);
    outcome.peaks = await coffre.json(['billing', 'peaks', '--month', month]);
    if (!bucket) return;
    outcome.levelBytes = (await coffre.json(['billing', 'level', '--vault', 'offsite'])).levelBytes;
    outcome.storeBytes = (await inventory(bucket)).totalBytes;
    tell.proof(
      outcome.levelBytes === outcome.storeBytes,
      `the ledger says ${outcome.levelBytes} bytes; listing every version in the store says ${outcome.storeBytes}`,
    );
  });

  await bucket?.release();
  return outcome;
}

/** What is not as it must be; what could not be shown is not judged. */
function verdict(outcome: Outcome): readonly string[] {
  const { lockRefused, controlDeleted, databaseIdentical, filesIdentical, levelBytes, storeBytes, peaks } = outcome;
  const peak = peaks?.contracts[0]?.peakBytes ?? 0;
  return [
    lockRefused === false && 'a locked version could be deleted or its lock shortened',
    controlDeleted === false && 'the unlocked control object could not be deleted: the refusals prove nothing',
    databaseIdentical === false && 'the restored database differs',
    filesIdentical !== true && 'the restored files differ',
    levelBytes !== storeBytes && 'the ledger and the store disagree',
    levelBytes !== null && peak < levelBytes && 'the month’s peak is below the level of now',
  ].filter((text) => text !== false);
}

/** Seconds with one decimal. */
function secondsSince(sinceMs: number): number {
  return Math.round((systemClock.monotonicMs() - sinceMs) / 100) / 10;
}

/** Runs one chapter and writes down how long it took. */
async function timed(seconds: Record<string, number>, name: string, chapter: () => Promise<void>): Promise<void> {
  const beganMs = systemClock.monotonicMs();
  await chapter();
  seconds[name] = secondsSince(beganMs);
}
