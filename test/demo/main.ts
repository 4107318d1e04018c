// `npm run demo`: a shop is backed up under lock, attacked, changed, destroyed and brought back, on real servers, in front of you.
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/clock.ts';
import { type Keeper, startKeeper } from './keeper.ts';
import { chooseLanes, secondDisk } from './lanes.ts';
import { createNarrator, megabytes, type Narrator } from './narrator.ts';
import { wrongValues } from './outcome.ts';
import { secondsSince, tellStory } from './story.ts';

/** The shop, its dumps for comparison and the copies in two vaults. */
const ROOM_NEEDED_BYTES = 2.5e9;
/** The filesystem vault's share of it. */
const NAS_BYTES = 700e6;

const HELP = `npm run demo [-- --json] [-- --keep]
  --json  end with one JSON document on standard output (the story goes to standard error)
  --keep  leave the servers up, and say how to play with them and how to stop them
Exit status 1 when something is not as it must be.
COFFRE_TEST_S3_ENDPOINT (with _KEY, _SECRET) uses a store that is there; COFFRE_TEST_S3=minio uses MinIO in Docker.
`;

process.exitCode = await main();

async function main(): Promise<number> {
  let options: { readonly json?: boolean; readonly keep?: boolean; readonly help?: boolean };
  try {
    const flag = { type: 'boolean' } as const;
    options = parseArgs({ options: { json: flag, keep: flag, help: flag } }).values;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${HELP}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const startedMs = systemClock.monotonicMs();
  const out = options.json ? process.stderr : process.stdout;
  const tell = createNarrator({
    write: (text) => void out.write(text),
    color: out.isTTY === true && !process.env.NO_COLOR,
    elapsedMs: () => systemClock.monotonicMs() - startedMs,
  });

  const home = mkdtempSync(path.join(tmpdir(), 'coffre-demo-'));
  const disk = secondDisk(NAS_BYTES);
  const nas = disk === null ? path.join(home, 'nas') : mkdtempSync(path.join(disk, 'coffre-demo-nas-'));
  let keeper: Keeper | null = null;
  let left = false;
  try {
    const { bavail, bsize } = statfsSync(home);
    if (bavail * bsize < ROOM_NEEDED_BYTES) {
      throw new Error(`the demo needs ${megabytes(ROOM_NEEDED_BYTES)} of room in ${tmpdir()}: free some, or set TMPDIR`);
    }
    tell.plain('coffre, the demo: a shop is backed up under lock, attacked, changed, destroyed and brought back.');
    tell.plain('Everything is real (database server, object store, bin/coffre) and thrown away at the end.');
    keeper = startKeeper({ lanes: await chooseLanes(process.env), folders: [home, nas] });
    const outcome = await tellStory(tell, keeper, {
      home,
      nas,
      secondDisk: disk !== null,
      keep: options.keep === true,
      watched: process.stderr.isTTY === true,
    });
    outcome.seconds.total = secondsSince(startedMs);

    tell.chapter('In short');
    for (const reason of outcome.notShown) tell.missing(reason);
    const wrong = wrongValues(outcome);
    for (const what of wrong) tell.proof(false, what);
    if (wrong.length === 0) tell.proof(true, `everything that was shown is as it must be, in ${outcome.seconds.total} s`);
    if (options.keep) outcome.keep = await sayHowToPlay(tell, keeper, home);
    if (options.json) process.stdout.write(`${JSON.stringify(outcome)}\n`);
    if (options.keep) {
      await keeper.leave();
      left = true;
    }
    return wrong.length === 0 ? 0 : 1;
  } catch (error) {
    tell.proof(false, error instanceof Error ? error.message : String(error));
    if (options.json) process.stdout.write(`${JSON.stringify({ error: error instanceof Error ? error.message : String(error) })}\n`);
    return 1;
  } finally {
    if (!left) {
      await keeper?.stop();
      for (const folder of [home, nas]) rmSync(folder, { recursive: true, force: true });
    }
  }
}

async function sayHowToPlay(tell: Narrator, keeper: Keeper, home: string): Promise<{ readonly config: string; readonly stop: string }> {
  const config = path.join(home, 'coffre.yaml');
  const stop = `kill ${keeper.pid}`;
  const [store, database] = await Promise.all([keeper.store, keeper.database]);
  tell.plain('');
  tell.say('The servers stay up, a day at most. To play with:');
  tell.say(`  bin/coffre --config ${config} status`);
  tell.say(`  bin/coffre --config ${config} verify dupont --read-data`);
  if (database.server) tell.say(`  mariadb --socket=${database.server.socketPath} --user=${database.server.rootUser} dupont`);
  if (store.server) tell.say(`  the store: ${store.server.endpoint}, its credential is in ${path.join(home, 'offsite.json')}`);
  tell.say(`To stop them and remove everything: ${stop}`);
  return { config, stop };
}
