// Child process: opens a catalog and does many read-then-write transactions, or holds a lock or a run until it is killed.
import { openCatalog } from '../../src/catalog/open.ts';
import { startRun } from '../../src/catalog/runs.ts';
import { acquireLock } from '../../src/catalog/state-lock.ts';
import { systemClock } from '../../src/clock.ts';

const [what, stateDir = '', name = '', count = '0'] = process.argv.slice(2);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

if (what === 'lock') {
  const lock = await acquireLock(stateDir, name);
  say(lock ? 'held' : 'refused');
  await systemClock.sleep(60_000);
  lock?.release();
} else if (what === 'run') {
  const catalog = await openCatalog(stateDir);
  await startRun(catalog, systemClock, { id: name, kind: 'backup', shop: 'dupont', source: 'files' });
  say('running');
  await systemClock.sleep(60_000);
  await catalog.close();
} else {
  const catalog = await openCatalog(stateDir);
  for (let i = 0; i < Number(count); i++) {
    await catalog.transaction(async (tx) => {
      const row = await tx
        .selectFrom('slots')
        .select('lastDueAt')
        .where('shop', '=', 'dupont')
        .where('job', '=', 'count')
        .executeTakeFirst();
      await tx
        .insertInto('slots')
        .values({ shop: 'dupont', job: 'count', lastDueAt: (row?.lastDueAt ?? 0) + 1 })
        .onConflict((conflict) => conflict.columns(['shop', 'job']).doUpdateSet((eb) => ({ lastDueAt: eb.ref('excluded.lastDueAt') })))
        .execute();
    });
  }
  await catalog.close();
  say('counted');
}
