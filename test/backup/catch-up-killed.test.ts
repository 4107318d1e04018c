import { readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { backupSource } from '../../src/backup/run.ts';
import { startFaultProxy } from '../servers/fault-proxy.ts';
import { inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';
import { database, MB, never, setting } from './setting.ts';

const TABLES = 8;

/** Runs a command until the nth log line of an event, then sends it `signal`; how it ended. */
async function until(world: World, args: readonly string[], event: string, nth: number, signal: NodeJS.Signals): Promise<string> {
  const child = world.start(['--log-level', 'debug', ...args]);
  const ended = new Promise<string>((resolve) => child.once('exit', (status, by) => resolve(by ?? String(status))));
  child.stdout?.resume();
  let seen = 0;
  for await (const line of createInterface({ input: child.stderr as NodeJS.ReadableStream })) {
    if (line.includes(`"event":"${event}"`) && ++seen === nth) child.kill(signal);
  }
  return await ended;
}

async function level(world: World, vault: string): Promise<number> {
  const { shops } = (await world.ok(['billing', 'level'])).json as { shops: { vault: string; levelBytes: number }[] };
  return shops.filter((row) => row.vault === vault).reduce((sum, row) => sum + row.levelBytes, 0);
}

/** Objects and their bytes in a folder, as anybody would count them. */
function inFolder(folder: string): { keys: string[]; bytes: number } {
  const keys = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (name) => !name.startsWith('.') && statSync(join(folder, name)).isFile(),
  );
  return { keys, bytes: keys.reduce((sum, key) => sum + statSync(join(folder, key)).size, 0) };
}

it('killed at segments, at the manifest and at the row, into a store and into a folder - each takes up the one before, nothing is there twice', {
  timeout: 300_000,
}, async () => {
  await using world = await makeWorld({ vaults: ['nas', 'offsite'], database });
  const proxy = await startFaultProxy(Number(new URL(world.bucket.store.endpoint).port));
  world.writeConfig({ vaults: ['nas', 'offsite'], database, endpoint: proxy.endpoint });
  const backup = async (round: string): Promise<string> => {
    const pieces = Array.from({ length: TABLES }, (_, n) => ({ name: `${round} ${n}`, bytes: MB, estimatedBytes: MB }));
    const { deps, shop, close } = await setting(world, pieces);
    try {
      const { id, missing } = await backupSource(deps, { shop, source: 'database', full: false, signal: never });
      expect(missing).toHaveLength(1);
      return id;
    } finally {
      await close();
    }
  };
  const catchUp = ['catch-up', 'dupont'];
  const killedAt = (event: string, nth: number): Promise<string> => until(world, catchUp, event, nth, 'SIGKILL');
  try {
    proxy.set({ mode: 'reset' });
    const first = await backup('first');
    proxy.set({ mode: 'pass' });
    for (const [event, nth] of [
      ['segment.copied', 1],
      ['segment.copied', 2],
      ['manifest.stored', 1],
    ] as const) {
      expect(await killedAt(event, nth)).toBe('SIGKILL');
    }
    const [done] = (await world.ok(catchUp)).json.results;
    expect(done).toMatchObject({ left: [], copied: [{ snapshot: first, vault: 'offsite', objects: 0, adopted: TABLES + 2 }] });
    const store = await inventory(world.bucket, 'prod/dupont/');
    // segments, index, manifest and identity
    expect(store.versions).toHaveLength(TABLES + 3);
    expect(store.uploads).toEqual([]);

    renameSync(world.nasPath, `${world.nasPath}.away`);
    const second = await backup('second');
    renameSync(`${world.nasPath}.away`, world.nasPath);
    for (const [event, nth] of [
      ['segment.copied', 2],
      ['manifest.stored', 1],
    ] as const) {
      expect(await killedAt(event, nth)).toBe('SIGKILL');
    }
    const [folder] = (await world.ok(catchUp)).json.results;
    expect(folder).toMatchObject({ left: [], copied: [{ snapshot: second, vault: 'nas', objects: 0, adopted: TABLES + 2 }] });

    proxy.set({ mode: 'reset' });
    const third = await backup('third');
    proxy.set({ mode: 'pass' });
    // by itself, as soon as the daemon starts; stopped politely
    expect(await until(world, ['daemon'], 'copy.made', 1, 'SIGTERM')).toBe('0');
    const { lacking } = (await world.coffre(['status'])).json.shops[0];
    expect(lacking).toEqual([]);
    const { snapshots } = (await world.ok(['snapshots'])).json;
    expect(snapshots.map((it: { id: string; vaults: unknown[] }) => `${it.id} ${it.vaults.length}`)).toEqual(
      [third, second, first].map((id) => `${id} 2`),
    );

    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
    expect(await level(world, 'offsite')).toBe((await inventory(world.bucket)).totalBytes);
    expect(await level(world, 'nas')).toBe(inFolder(world.nasPath).bytes);
  } finally {
    await proxy.stop();
  }
});
