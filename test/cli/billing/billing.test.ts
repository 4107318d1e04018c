import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { folderBytes } from '../../billing/benches.ts';
import { startFaultProxy } from '../../servers/fault-proxy.ts';
import { until } from '../../servers/rig.ts';
import { inventory } from '../../servers/s3.ts';
import { makeWorld, type World } from '../../world/world.ts';

interface Row {
  readonly id: number;
  readonly at: string;
  readonly vault: string;
  readonly shop: string;
  readonly bytes: number;
}

async function storeBytes(world: World): Promise<Record<string, number>> {
  const [offsite, nas] = [(await inventory(world.bucket, 'prod/')).totalBytes, await folderBytes(world.nasPath)];
  return { nas, offsite };
}

async function levels(world: World): Promise<Record<string, number>> {
  const { json } = await world.ok(['billing', 'level']);
  expect(json.unsettled).toEqual([]);
  const rows = json.vaults as { vault: string; levelBytes: number }[];
  expect(json.levelBytes).toBe(rows.reduce((sum, row) => sum + row.levelBytes, 0));
  return Object.fromEntries(rows.map((row) => [row.vault, row.levelBytes]));
}

test('backups, prunes, a run killed in a multipart upload - the level is what the stores hold at every step, the peak what a replay finds', async () => {
  await using world = await makeWorld({ vaults: ['nas', 'offsite'] });
  const port = Number(new URL(world.bucket.store.endpoint).port);
  await using proxy = await disposable(startFaultProxy(port));
  const root = join(world.dir, 'shop');
  mkdirSync(root);
  const settings = { vaults: ['nas', 'offsite'] as const, files: { root }, retention: '12s', limits: { runDeadline: '60s' } };
  world.writeConfig({ ...settings, endpoint: proxy.proxy.endpoint });
  const samples: Record<string, number>[] = [];
  const step = async (what: string): Promise<void> => {
    const held = await storeBytes(world);
    expect(await levels(world), what).toEqual(held);
    samples.push(held);
  };

  writeFileSync(join(root, 'a.bin'), randomBytes(3_000_000));
  await world.ok(['backup', 'dupont']);
  await step('first backup');

  // incompressible and larger than a segment: a multipart upload, slowed down and killed half-way
  writeFileSync(join(root, 'large.bin'), randomBytes(70_000_000));
  proxy.proxy.set({ mode: 'throttle', bytesPerSecond: 12_000_000 });
  const child = world.start(['backup', 'dupont', '--full']);
  await until('parts of an upload are in the store', 60_000, async () =>
    (await inventory(world.bucket)).uploads.some((row) => row.sizeBytes > 0),
  );
  child.kill('SIGKILL');
  await once(child, 'close');
  proxy.proxy.set({ mode: 'pass' });
  // what its sockets still carried
  let before = -1;
  await until(
    'the store is at rest',
    30_000,
    async () => {
      const now = (await inventory(world.bucket)).totalBytes;
      const rests = now === before;
      before = now;
      return rests;
    },
    1_000,
  );
  expect((await inventory(world.bucket)).uploads).toHaveLength(1);
  await step('killed in an upload');

  rmSync(join(root, 'large.bin'));
  await world.ok(['backup', 'dupont', '--full']);
  await step('the backup after it');
  await until(
    'older snapshots and the upload have gone',
    120_000,
    async () => {
      await world.ok(['prune']);
      await step('prune');
      const { json } = await world.ok(['snapshots', 'dupont']);
      return json.snapshots.length === 1 && (await inventory(world.bucket)).uploads.length === 0;
    },
    2_000,
  );

  const now = Temporal.Instant.from((await world.ok(['billing', 'level'])).json.at);
  const month = now.toZonedDateTimeISO('Europe/Paris').toPlainDate().toPlainYearMonth().toString();
  const peaks = (await world.ok(['billing', 'peaks', '--month', month])).json;
  const ledger = (await world.ok(['billing', 'ledger', '--limit', '100000', '--check'])).json;
  expect(ledger.chain).toMatchObject({ brokenAt: null, rows: ledger.rows.length });
  const replay = (covers: (row: Row) => boolean): { peakBytes: number; at: string } => {
    const rows = (ledger.rows as Row[]).filter(covers);
    let best = { peakBytes: 0, at: '' };
    for (const { at } of rows) {
      // as instants: a whole second is written without its zeros, and as text sorts after its own fractions
      const until = Temporal.Instant.from(at);
      const sum = rows.filter((row) => Temporal.Instant.compare(row.at, until) <= 0).reduce((total, row) => total + row.bytes, 0);
      if (sum > best.peakBytes) best = { peakBytes: sum, at };
    }
    return best;
  };
  expect(peaks.month).toBe(month);
  expect(peaks.contracts).toEqual([{ contract: 'csi-001', vault: 'offsite', ...replay((row) => row.vault === 'offsite') }]);
  for (const row of peaks.shops) {
    const { shop, vault, peakBytes, at } = row;
    expect({ peakBytes, at }).toEqual(replay((it) => it.shop === shop && it.vault === vault));
  }
  expect(Math.max(...samples.map((sample) => sample.offsite ?? 0))).toBeLessThanOrEqual(peaks.contracts[0].peakBytes);
  const shares = (peaks.shops as { vault: string; shareAtContractPeakBytes: number }[]).filter((row) => row.vault === 'offsite');
  expect(shares.reduce((sum, row) => sum + row.shareAtContractPeakBytes, 0)).toBe(peaks.contracts[0].peakBytes);

  // a past instant is what it was, without asking the stores
  const at = (ledger.rows as Row[])[0]?.at as string;
  const then = (await world.ok(['billing', 'level', '--at', at])).json;
  expect(then.levelBytes).toBe(
    (ledger.rows as Row[]).filter((row) => Temporal.Instant.compare(row.at, at) <= 0).reduce((sum, row) => sum + row.bytes, 0),
  );

  const raw = new DatabaseSync(join(world.stateDir, 'catalog.db'));
  raw.exec('drop trigger "ledgerNoUpdate"; update "ledger" set "bytes" = "bytes" + 1 where "id" = 2');
  raw.close();
  const forged = await world.coffre(['billing', 'ledger', '--check']);
  expect(forged.status).toBe(6);
  expect(forged.json).toMatchObject({ error: { code: 'E_LEDGER_ALTERED' }, chain: { brokenAt: 2 } });
}, 300_000);

test('wrong month, vault, time - exit 2, each with its code', async () => {
  await using world = await makeWorld({ files: { root: '/usr' } });
  for (const [args, code] of [
    [['billing', 'peaks', '--month', '2026-13'], 'E_USAGE'],
    [['billing', 'peaks'], 'E_USAGE'],
    [['billing', 'level', '--vault', 'nowhere'], 'E_UNKNOWN_VAULT'],
    [['billing', 'level', '--at', 'yesterday'], 'E_USAGE'],
    [['billing', 'ledger', '--limit', '0'], 'E_USAGE'],
    [['billing', 'level', '--shop', 'nobody'], 'E_UNKNOWN_SHOP'],
    [['billing', 'ledger', '--shop', 'nobody'], 'E_UNKNOWN_SHOP'],
    [['billing', 'ledger', '--from', '2026-05-01', '--to', '2026-04-01'], 'E_USAGE'],
  ] as const) {
    const outcome = await world.coffre(args);
    expect([args.join(' '), outcome.status, outcome.json?.error?.code]).toEqual([args.join(' '), 2, code]);
  }
  const empty = await world.ok(['billing', 'level']);
  expect(empty.json).toMatchObject({ levelBytes: 0, shops: [] });
});

async function disposable(starting: ReturnType<typeof startFaultProxy>) {
  const proxy = await starting;
  return { proxy, [Symbol.asyncDispose]: () => proxy.stop() };
}
