import { join } from 'node:path';
import { sql } from 'kysely';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openCatalog } from '../../src/catalog/open.ts';
import { systemClock } from '../../src/clock.ts';
import type { Config } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { vaultPlace } from '../../src/config/vault-place.ts';
import { RunHub } from '../../src/schedule/feed.ts';
import { readStatus } from '../../src/schedule/read-status.ts';
import { StatusBoard } from '../../src/schedule/status-board.ts';
import { Survey } from '../../src/schedule/survey.ts';
import { until } from '../servers/rig.ts';
import { tempDir } from '../temp-dir.ts';
import { fillCatalog, shopName } from './large-catalog.ts';

async function setting(shops: number) {
  const dir = await tempDir();
  const configOf = (count: number): Config =>
    parseConfig(
      [
        `stateDir: ${dir}/state`,
        'encryption: none',
        `vaults: { nas: { type: filesystem, path: ${dir}/nas } }`,
        'plans: { plan: { retention: 14d } }',
        'shops:',
        ...Array.from({ length: count }, (_, i) => `  ${shopName(i)}: { plan: plan, vaults: [nas], files: { root: /srv/shops/${i} } }`),
      ].join('\n'),
      join(dir, 'coffre.yaml'),
      {},
    );
  const current = { config: configOf(shops) };
  const catalog = await openCatalog(current.config.stateDir);
  const places = { nas: vaultPlace([...current.config.vaults.values()][0] as never), offsite: 'elsewhere' };
  await fillCatalog(catalog, { shops, segments: shops * 10, days: 2, nowMs: systemClock.nowMs(), places });
  const feed = new RunHub(systemClock);
  const board = new StatusBoard({ config: () => current.config, catalog, clock: systemClock });
  const survey = new Survey({ config: () => current.config, catalog, clock: systemClock, feed, board });
  const stop = new AbortController();
  onTestFinished(async () => {
    stop.abort();
    await running;
    await catalog.close();
  });
  const running = survey.run(stop.signal);
  await until('all shops were looked at', 30_000, () => survey.isComplete);
  const ended = (shop: string) =>
    feed.publish({
      ...{ run: 'r', kind: 'backup', shop, source: 'files', who: 'coffre', type: 'ended', state: 'done' },
      ...{ step: null, progress: null, error: null },
    });
  return { catalog, configOf, current, ended, survey };
}

describe('survey', () => {
  it('every shop - as coffre status says it', async () => {
    const { catalog, current, survey } = await setting(3);
    expect(survey.shops().map(({ shop }) => shop)).toEqual([shopName(0), shopName(1), shopName(2)]);
    for (const { at, shop, status } of survey.shops()) {
      const declared = current.config.shops.get(shop);
      expect(status).toEqual(declared && (await readStatus(current.config, catalog, declared, at)));
    }
  });

  it('a run ends - its shop is looked at again at once, one of the daemon itself: all are', async () => {
    const { ended, survey } = await setting(3);
    const [before] = survey.shops();
    ended(shopName(0));
    await until('it is looked at again', 30_000, () => survey.shops()[0] !== before);
    const all = survey.shops();
    ended('_coffre');
    await until('all are looked at again', 30_000, () => survey.shops().every((one, at) => one !== all[at]));
  });

  it('a shop is declared, and another one no more - found, and forgotten', async () => {
    const { configOf, current, survey } = await setting(2);
    current.config = configOf(3);
    expect(survey.isComplete).toBe(false);
    await until('the new one was looked at', 30_000, () => survey.isComplete);
    current.config = configOf(1);
    expect(survey.shops().map(({ shop }) => shop)).toEqual([shopName(0)]);
  });

  it('the catalog cannot be read - unknown with its reason, and known again by itself', async () => {
    const { catalog, ended, survey } = await setting(2);
    await sql`alter table snapshots rename to lost`.execute(catalog.db);
    ended('_coffre');
    await until('both are unknown', 30_000, () => survey.shops().every(({ status }) => status === null));
    expect(survey.shops()[0]?.error?.message).toContain('snapshots');
    await sql`alter table lost rename to snapshots`.execute(catalog.db);
    ended('_coffre');
    await until('both are known', 30_000, () => survey.shops().every(({ status }) => status !== null));
  });
});
