// A whole shop restored where it runs, with real PHP before it: forward, failed, back; files alone, its database alone.
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { SafetySnapshots } from '../../src/restore/in-place.ts';
import { Asker, chainOfKills, requestFor, runUnit } from './in-place-kills.ts';
import { type InPlaceSetting, makeInPlaceSetting, OWNER } from './in-place-setting.ts';

describe.skipIf(process.geteuid?.() !== 0)('a shop on this machine', () => {
  let setting: InPlaceSetting;
  let safety: SafetySnapshots;
  /** A database without any product: no shop. */
  let sold: string;
  /** A database that lacks a table of every PrestaShop. */
  let lacking: string;

  beforeAll(async () => {
    setting = await makeInPlaceSetting();
    await setting.become('two');
    const { json } = await setting.world.ok(['backup', 'dupont']);
    const idOf = (source: string): string => json.snapshots.find((one: { source: string }) => one.source === source).id;
    safety = { database: idOf('database'), files: idOf('files') };
    await setting.server.sql('DELETE FROM dupont.ps_product');
    const backUp = async (): Promise<string> => (await setting.world.ok(['backup', 'dupont', '--source', 'database'])).json.snapshots[0].id;
    sold = await backUp();
    await setting.server.sql('DROP TABLE dupont.ps_order_state');
    lacking = await backUp();
  }, 120_000);
  afterAll(async () => {
    await setting?.[Symbol.asyncDispose]();
  }, 60_000);
  beforeEach(async () => {
    await setting.become('two');
    expect(await setting.page()).toBe('two two');
  }, 60_000);

  test('by the command - a safety snapshot, the shop as it was, open, and nothing of the restore left', async () => {
    const { world, root, database } = setting;
    const asker = new Asker(setting);
    const { json } = await world.ok(['restore', 'dupont', '--in-place', '--at', setting.asOf]);
    expect(await asker.stop()).toEqual(['two two', 'maintenance', 'one one']);
    expect(json).toMatchObject({ shop: 'dupont', verified: true, inPlace: { outcome: 'restored', warnings: [] } });
    expect(json.restored.map((one: { snapshot: string }) => one.snapshot)).toContain(database);
    expect(json.inPlace.steps.map(({ step }: { step: string }) => step)).toEqual(['maintenance', 'load', 'swap', 'finish', 'check']);
    expect(json.inPlace.safety).toEqual({ database: expect.any(String), files: expect.any(String) });
    expect(await setting.leftovers()).toEqual([]);
    expect(existsSync(join(root, 'only-two.php'))).toBe(false);
    expect(statSync(join(root, 'index.php')).uid).toBe(OWNER);
    // what was to be replaced is not the newest state that anybody means
    const safe = Object.values(json.inPlace.safety as Record<string, string>);
    const next = JSON.stringify((await world.coffre(['restore', 'dupont', '--in-place', '--dry-run'])).json);
    expect(next).toContain(lacking);
    for (const id of safe) expect(next).not.toContain(id);
    const listed = (await world.ok(['snapshots', 'dupont'])).json.snapshots as { id: string; purpose: string | null }[];
    expect(listed.filter(({ purpose }) => purpose === 'safety').map(({ id }) => id)).toEqual(expect.arrayContaining(safe));
    // what it would be back from is known, and how
    const back = await world.coffre(['restore', 'dupont', '--in-place', '--rollback']);
    expect(back.json.error).toMatchObject({ code: 'E_NOT_FOUND', hint: expect.stringContaining(json.inPlace.safety.database) });
  }, 180_000);

  test('a dry run - says what is missing after what would be done, and touches nothing', async () => {
    const { root, world } = setting;
    const before = statSync(root).mtimeMs;
    const { json, status } = await world.coffre(['restore', 'dupont', '--in-place', '--dry-run', '--snapshot', lacking]);
    expect(status).not.toBe(0);
    expect(json).toMatchObject({ dryRun: true, would: expect.any(Array), error: { code: 'E_SHOP_TABLES' } });
    expect(json.error.message).toContain('ps_order_state');
    for (const chosen of [
      ['--source', 'database', '--table', 'ps_nope'],
      ['--at', '2126-01-01'],
    ]) {
      const refused = await world.coffre(['restore', 'dupont', '--in-place', '--dry-run', ...chosen]);
      expect(refused.json.error, chosen.join(' ')).toMatchObject({ code: 'E_USAGE' });
    }
    expect(statSync(root).mtimeMs).toBe(before);
  }, 120_000);

  test('told to stop by the command - says whether the shop is open, and it is so; the status says the same at once', async () => {
    const { world } = setting;
    const command = world.start(['--json', 'restore', 'dupont', '--in-place', '--skip-safety', '--at', setting.asOf]);
    let said = '';
    command.stdout?.on('data', (chunk) => (said += chunk));
    command.stderr?.on('data', (chunk) => (said += chunk));
    const ended = once(command, 'close');
    const untilMs = performance.now() + 60_000;
    while ((await setting.page()) !== 'maintenance' && performance.now() < untilMs) await systemClock.sleep(20);
    command.kill('SIGINT');
    await ended;
    const page = await setting.page();
    const alarms = (await world.coffre(['status', 'dupont'])).json.shops[0].alarms.map(({ kind }: { kind: string }) => kind);
    if (said.includes('E_INTERRUPTED')) {
      expect(said).toContain('dupont is open');
      expect(page).toBe('two two');
      expect(alarms).not.toContain('closed');
    } else {
      expect(said).toContain('E_SHOP_CLOSED');
      expect(said).toContain('--rollback');
      expect(page).toBe('maintenance');
      expect(alarms).toContain('closed');
      await world.ok(['restore', 'dupont', '--in-place', '--rollback']);
    }
  }, 240_000);

  test('killed and stopped around the closing of what is loaded beside, taken up by other orders - the switch is the snapshot’s at the end', async () => {
    const { server } = setting;
    const all = requestFor(setting, safety);
    const part = { ...all, files: null };
    // told to stop just before what is loaded is closed: open again, and what is loaded stays
    const told = await runUnit(setting, all, 'sql UPDATE `dupont_coffre_ne', 'SIGINT');
    expect(told.answer).toMatchObject({ event: 'failed', code: 'E_INTERRUPTED' });
    expect(told.effects).toContain('sql UPDATE `dupont_coffre_ne');
    expect(await setting.page()).toBe('two two');
    expect(await setting.maintenance()).toBe('1||1');
    expect(await server.sql("SHOW DATABASES LIKE 'dupont\\_coffre\\_new'")).not.toBe('');
    expect((await runUnit(setting, part, 'sql RENAME')).killedAt).not.toBeNull();
    expect(await setting.page()).toBe('maintenance');
    const { answer } = await runUnit(setting, part, 0);
    expect(answer).toMatchObject({ event: 'done', result: { outcome: 'restored', open: true } });
    expect(await setting.page()).toBe('two one');
    expect(await setting.maintenance()).toBe('1||1');
    // files that the first order had fetched stay for it
    expect((await setting.leftovers()).filter((name) => !name.startsWith('./'))).toEqual([]);
  }, 240_000);

  test('what fails before the swap - the shop is open as it was; the same order goes on', async () => {
    const { server, root } = setting;
    await server.sql("REVOKE ALL PRIVILEGES ON `dupont\\_coffre\\_new`.* FROM 'dupont_user'@'%'");
    const refused = await runUnit(setting, requestFor(setting, safety), 0);
    expect(refused.answer).toMatchObject({ event: 'failed', code: 'E_DB_PRIVILEGE', hint: expect.stringContaining('GRANT') });
    expect(await setting.page()).toBe('two two');
    expect(existsSync(join(root, '.coffre-in-place'))).toBe(false);
    await server.sql("GRANT ALL PRIVILEGES ON `dupont\\_coffre\\_new`.* TO 'dupont_user'@'%'");
    const { answer } = await runUnit(setting, requestFor(setting, safety), 0);
    expect(answer).toMatchObject({ event: 'done' });
    expect(await setting.page()).toBe('one one');
    expect(await setting.leftovers()).toEqual([]);
  }, 120_000);

  test('a restored shop that is not whole - closed, and says how to go on; another order waits; rolled back it is as it was', async () => {
    const { root, server } = setting;
    const settings = join(root, 'app/config/parameters.php');
    const before = readFileSync(settings, 'utf8');
    await server.sql('INSERT INTO ps_product (price) SELECT 1 FROM seq_1_to_100', { database: 'dupont' });
    const request = { ...requestFor(setting, safety), database: { snapshot: sold, tables: null } };
    const { answer } = await runUnit(setting, request, 0);
    expect(answer).toMatchObject({ event: 'failed', code: 'E_SHOP_CLOSED', hint: expect.stringContaining('--rollback') });
    expect(await setting.page()).toBe('maintenance');
    expect(existsSync(join(root, 'only-one.php'))).toBe(true);
    const other = await runUnit(setting, { ...request, files: null }, 0);
    expect(other.answer).toMatchObject({ event: 'failed', code: 'E_BUSY' });
    const back = await runUnit(setting, { ...request, action: 'rollback' }, 0);
    expect(back.answer).toMatchObject({ event: 'done', result: { outcome: 'rolled back' } });
    expect(await setting.page()).toBe('two two');
    expect(await server.sql('SELECT COUNT(*) FROM dupont.ps_product')).toBe('105\n');
    expect(existsSync(join(root, 'only-one.php'))).toBe(false);
    expect(readFileSync(settings, 'utf8')).toBe(before);
    expect(await setting.leftovers()).toEqual([]);
  }, 240_000);

  test('the database alone - closed and opened by the same guard; the files stay as they are', async () => {
    const { answer } = await runUnit(setting, { ...requestFor(setting, null), files: null }, 0);
    expect(answer).toMatchObject({ event: 'done', result: { outcome: 'restored', safety: null, restored: [{ source: 'database' }] } });
    expect(await setting.page()).toBe('two one');
    expect(await setting.leftovers()).toEqual([]);
  }, 240_000);

  test('closed after its restore - nothing is backed up meanwhile and the status says so, until it was gone back from', async () => {
    const { server, world } = setting;
    await server.sql('INSERT INTO ps_product (price) SELECT 1 FROM seq_1_to_100', { database: 'dupont' });
    const failed = await world.coffre(['restore', 'dupont', '--in-place', '--snapshot', sold, '--source', 'database', '--skip-safety']);
    expect(failed.json.error).toMatchObject({ code: 'E_SHOP_CLOSED' });
    expect((await world.coffre(['backup', 'dupont', '--source', 'database'])).json.error).toMatchObject({
      code: 'E_SHOP_STATE',
      hint: expect.stringContaining('--rollback'),
    });
    const alarms = async (): Promise<string[]> =>
      (await world.coffre(['status', 'dupont'])).json.shops[0].alarms.map(({ kind }: { kind: string }) => kind);
    expect(await alarms()).toContain('closed');
    await world.ok(['restore', 'dupont', '--in-place', '--rollback']);
    expect(await setting.page()).toBe('two two');
    expect(await alarms()).not.toContain('closed');
    await world.ok(['backup', 'dupont', '--source', 'database']);
  }, 240_000);

  test('killed at many steps - as before, in maintenance, or complete; the same order ends it', async () => {
    const forth = await chainOfKills(setting, safety, [25, 140, 205, 110]);
    expect(forth.found).toEqual([]);
    expect(forth.kills).toHaveLength(4);
    const back = await chainOfKills(setting, safety, [215, 45], true);
    expect(back.found).toEqual([]);
    expect(back.kills).toHaveLength(2);
  }, 240_000);
});
