// The demo itself, chapter by chapter: what is done, the figure, the proof.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { type Bucket, inventory, makeBucket } from '../servers/s3.ts';
import type { Store } from '../servers/store.ts';
import { createShopDatabase, runSql, type ShopDatabaseOptions, type ShopServer } from '../shop/database.ts';
import { createShopFiles } from '../shop/files.ts';
import { mutateDatabase, mutateFiles } from '../shop/mutate.ts';
import { coffreWith } from './coffre.ts';
import type { Keeper } from './keeper.ts';
import { megabytes, type Narrator } from './narrator.ts';
import { attackLocks, deleteControl, describeTree, differences, dumpDatabase, type LockMode } from './oracles.ts';
import { newOutcome, type Outcome } from './outcome.ts';
import { databaseUrl, initArguments, makeBackupAccount, PREFIX, TIMEZONE, withContract } from './setup.ts';

const SHOP = 'dupont';
const SEED = 'maison-dupont';
const DATABASE: ShopDatabaseOptions = { name: SHOP, seed: SEED, databaseMB: 70 };
const FILES = { seed: SEED, files: 6000, megabytes: 180 };

export interface Place {
  /** Everything of the demo lies below it, but the second disk. */
  readonly home: string;
  /** Folder of the filesystem vault. */
  readonly nas: string;
  /** It lies on another disk than the shop. */
  readonly secondDisk: boolean;
  /** The servers are left up: what a borrowed store holds stays there too. */
  readonly keep: boolean;
  /** Somebody looks at a terminal: progress bars are drawn. */
  readonly watched: boolean;
}

/** Tells it to the end. Throws when a command fails that must not, or a server that ran stops answering. */
export async function tellStory(tell: Narrator, keeper: Keeper, place: Place): Promise<Outcome> {
  const outcome = newOutcome();
  const { home, nas } = place;
  const root = path.join(home, 'www');
  const configFile = path.join(home, 'coffre.yaml');
  const coffre = coffreWith(configFile, place.watched);
  const chapter = async (name: string, title: string, work: () => Promise<void>): Promise<void> => {
    const beganMs = systemClock.monotonicMs();
    tell.chapter(title);
    await work();
    outcome.seconds[name] = secondsSince(beganMs);
  };
  /** A command as somebody would type it, with what it prints. */
  const show = async (args: readonly string[], accept?: readonly number[]): Promise<number> => {
    tell.command(`coffre ${args.join(' ')}`);
    const { status, stdout } = await coffre.text(args, accept);
    tell.output(stdout);
    return status;
  };

  let server: ShopServer | null = null;
  await chapter('shop', 'A shop, made from a seed', async () => {
    // the store takes longest to start: the shop is made meanwhile
    const database = await keeper.database;
    server = database.server;
    if (database.server) tell.say(`database server: MariaDB ${database.server.version}, ${database.server.socketPath}`);
    else outcome.notShown.push(`no MariaDB could be started (${database.problem}): no database was backed up`);
    const making = server && createShopDatabase(server, DATABASE);
    const files = createShopFiles(root, FILES);
    const made = await making;
    if (made) {
      tell.say(
        `database ${SHOP}: ${made.tables} tables, ${made.rows.toLocaleString('en')} rows; triggers, views, a procedure, an event, a sequence`,
      );
    }
    const large = files.largeFile ? statSync(path.join(root, files.largeFile)).size : 0;
    tell.say(`files ${root}: ${files.files.toLocaleString('en')}, ${megabytes(files.bytes)}, the largest ${megabytes(large)};`);
    tell.say('  among them names that are not UTF-8 or hold a newline, links, hard links, a file full of holes');
    if (server) await makeBackupAccount(server, SHOP, home);
  });

  let store: Store | null = null;
  let bucket: Bucket | null = null;
  try {
    await chapter('servers', 'Where its backups will lie', async () => {
      const started = await keeper.store;
      store = started.server;
      if (started.server) {
        bucket = await makeBucket(started.server);
        tell.say(`offsite: ${STORES[started.server.kind]} at ${started.server.endpoint}, bucket ${bucket.name} with Object Lock`);
        if (started.server.kind === 'external') tell.say('  (not ours to throw away: GOVERNANCE locks of hours, lifted at the end)');
      } else {
        outcome.notShown.push(
          `no object store could be started (${started.problem}): no lock that stops everybody, and no bill to the byte`,
        );
      }
      tell.say(
        place.secondDisk
          ? `nas: ${nas}, in memory, which plays the second disk`
          : `nas: ${nas}, on the shop’s own disk: not counted as a copy`,
      );
    });
    await backUpAndBringBack();
    return outcome;
  } finally {
    // in a store of ours everything goes with the store; elsewhere we clean up, unless it is to be played with
    if (!place.keep) await (bucket as Bucket | null)?.release();
  }

  async function backUpAndBringBack(): Promise<void> {
    const [db, s3] = [server as ShopServer | null, bucket as Bucket | null];
    const borrowed = (store as Store | null)?.kind === 'external';
    const mode: LockMode = borrowed ? 'GOVERNANCE' : 'COMPLIANCE';

    await chapter('doctor', 'A new installation: coffre init, then coffre doctor', async () => {
      mkdirSync(nas, { recursive: true });
      const retention = borrowed ? '1h' : '14d';
      // init ends with doctor's verdict, which is looked at below
      await coffre.text(initArguments({ shop: SHOP, home, root, nas, bucket: s3, server: db, mode, retention }), [0, 1]);
      writeFileSync(configFile, withContract(readFileSync(configFile, 'utf8'), { vault: s3 ? 'offsite' : 'nas', borrowed }));
      tell.say(`init wrote ${configFile}, the shop’s key, the signing key, and the recovery kit for the paper safe`);
      const status = await show(['doctor'], [0, 1]);
      if (status !== 0) tell.say('The red lines are right, and say what to do: this machine is not three places.');
    });

    await chapter('backup', 'The first backup', async () => void (await show(['backup', SHOP])));

    await chapter('locks', 'Can it be deleted?', async () => {
      if (!s3) return tell.missing('a folder stops coffre, and nobody else; for more an object store is needed');
      tell.say('A plain S3 client, with the bucket owner’s credential, tries on every version of every object:');
      const soon = systemClock.now().add({ seconds: 30 });
      const tries = await attackLocks(s3.client, s3.name, `${PREFIX}/${SHOP}/`, mode, soon);
      outcome.lockRefused = tries.versions > 0 && tries.refused === tries.versions && tries.notShortened === tries.versions;
      tell.proof(
        tries.refused === tries.versions,
        `deleting: ${tries.refused} of ${tries.versions} refused (${tries.answer}), all still there`,
      );
      tell.proof(tries.notShortened === tries.versions, `shortening the lock: ${tries.notShortened} of ${tries.versions} refused`);
      if (tries.weak) tell.say(`first to give way: ${tries.weak}`);
      tell.say(`earliest end of a lock, as the store tells it: ${tries.lockedUntil}`);
      outcome.controlDeleted = await deleteControl(s3.client, s3.name);
      tell.proof(outcome.controlDeleted, 'an object without a lock: deleted by the same client, so it is the lock that refuses');
    });

    await chapter('change', 'A day in the shop’s life', async () => {
      if (db) {
        const day = await mutateDatabase(db, DATABASE, 1);
        tell.say(
          `${day.orders} new orders, ${day.products} products changed, ${day.deletedCarts} carts deleted, a module’s tables made and altered`,
        );
      }
      const day = mutateFiles(root, SEED, 1);
      tell.say(`${day.changed} files changed, ${day.added} added, ${day.deleted} deleted, one renamed`);
    });

    await chapter('backupAgain', 'The second backup', async () => void (await show(['backup', SHOP])));

    const note = (name: string): string => path.join(home, name);
    await chapter('destroy', 'The disaster', async () => {
      tell.say(`${db ? 'mariadb-dump, ' : ''}find and sha256sum write down what the shop is now, for later.`);
      await Promise.all([db && dumpDatabase(db, SHOP, note('before.sql')), describeTree(root, note('before.tree'))]);
      if (db) {
        await runSql(db, `DROP DATABASE ${SHOP}; CREATE DATABASE ${SHOP} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;`);
        tell.say(`DROP DATABASE ${SHOP}`);
      }
      rmSync(root, { recursive: true });
      tell.say(`rm -rf ${root}`);
    });

    await chapter('restore', 'Back', async () => {
      const from = s3 ? ['--from', 'offsite'] : [];
      const to = ['--to-dir', root, ...(db ? ['--to-database', databaseUrl(db, SHOP)] : [])];
      await show(['restore', SHOP, ...from, ...to]);
    });

    await chapter('compare', 'Is it the same?', async () => {
      await Promise.all([db && dumpDatabase(db, SHOP, note('after.sql')), describeTree(root, note('after.tree'))]);
      if (db) {
        const differing = differences(note('before.sql'), note('after.sql'), '\n');
        outcome.databaseIdentical = differing.length === 0;
        const size = megabytes(statSync(note('after.sql')).size);
        tell.proof(outcome.databaseIdentical, `mariadb-dump of the shop and of the copy: ${size} of the same text`);
        for (const line of differing) tell.say(`  ${line}`);
      }
      const differing = differences(note('before.tree'), note('after.tree'), '\0');
      outcome.filesIdentical = differing.length === 0;
      tell.proof(outcome.filesIdentical, 'find and sha256sum: the same names, bytes, modes, owners, times to the nanosecond, links, holes');
      for (const line of differing) tell.say(`  ${line}`);
    });

    await chapter('bill', 'Where the shop stands, and what it costs', async () => {
      await show(['status'], [0, 1]);
      const month = systemClock.now().toZonedDateTimeISO(TIMEZONE).toPlainDate().toPlainYearMonth().toString();
      await show(['billing', 'peaks', '--month', month]);
      outcome.peaks = await coffre.json(['billing', 'peaks', '--month', month]);
      if (!s3) return;
      outcome.levelBytes = (await coffre.json(['billing', 'level', '--vault', 'offsite'])).levelBytes;
      outcome.storeBytes = (await inventory(s3)).totalBytes;
      tell.proof(
        outcome.levelBytes === outcome.storeBytes,
        `the ledger says ${outcome.levelBytes} bytes, a listing of every version in the store says ${outcome.storeBytes}`,
      );
    });
  }
}

const STORES: Readonly<Record<Store['kind'], string>> = {
  ceph: 'a throw-away Ceph',
  minio: 'MinIO in a container',
  external: 'the store you gave',
};

/** Seconds with one decimal. */
export function secondsSince(sinceMs: number): number {
  return Math.round((systemClock.monotonicMs() - sinceMs) / 100) / 10;
}
