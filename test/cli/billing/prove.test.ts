// A month in fast time against the real store: windows of seconds, an anchor every second, each the store's own listing to the byte.
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { anchorHash, anchorLedger, levelsHash, levelsText, readLevels } from '../../../src/billing/anchors.ts';
import { CHAIN_START, chainHash, type LedgerRow } from '../../../src/billing/chain.ts';
import { openCatalog } from '../../../src/catalog/open.ts';
import { systemClock } from '../../../src/clock.ts';
import { inventory } from '../../servers/s3.ts';
import { makeWorld, type World } from '../../world/world.ts';

const SECOND = 1_000;

/** Anchors what has ended, once a second has passed since the last row. Returns what the newest anchor says the bucket holds. */
async function anchored(world: World): Promise<number> {
  await systemClock.sleep(SECOND - (systemClock.nowMs() % SECOND) + 5);
  await using catalog = await openCatalog(world.stateDir);
  await anchorLedger(catalog, systemClock, SECOND);
  const { levels } = await catalog.db.selectFrom('anchors').select('levels').orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow();
  return readLevels(levels ?? '[]')
    .filter(([vault]) => vault === 'offsite')
    .reduce((sum, [, , bytes]) => sum + bytes, 0);
}

interface Checked {
  readonly name: string;
  readonly outcome: string;
  readonly detail: string;
  readonly findings: readonly string[];
}

const outcomes = (checks: readonly Checked[]): string[] => checks.map(({ name, outcome }) => `${name} ${outcome}`);

test('backups and prunes - each anchor is what the store lists; the month is proved; what is forged, hashes and all, is named by the store', async () => {
  await using world = await makeWorld({
    vaults: ['offsite'],
    retention: '6s',
    files: { root: '/nowhere' },
    limits: { runDeadline: '30s' },
  });
  const root = join(world.dir, 'shop');
  mkdirSync(root);
  world.writeConfig({ vaults: ['offsite'], retention: '6s', files: { root }, limits: { runDeadline: '30s' } });
  const month = systemClock.now().toZonedDateTimeISO('Europe/Paris').toPlainDate().toPlainYearMonth().toString();
  let highest = 0;
  for (let day = 0; day < 4; day++) {
    writeFileSync(join(root, `${day}.bin`), randomBytes(1_000_000 * (day + 1)));
    await world.ok(['backup', 'dupont', '--full']);
    if (day === 2) await systemClock.sleep(6_500);
    if (day > 1) await world.ok(['prune']);
    const held = (await inventory(world.bucket, 'prod/')).totalBytes;
    expect(await anchored(world), `anchor after backup ${day}`).toBe(held);
    highest = Math.max(highest, held);
  }
  // the anchors of seconds come into the vault's checkpoint
  await world.ok(['catalog', 'checkpoint']);
  const proof = await world.ok(['billing', 'prove', '--month', month, '--contract', 'csi-001']);
  expect(proof.json.ok).toBe(true);
  expect(outcomes(proof.json.checks)).toEqual(
    expect.arrayContaining(['chain proven', 'anchors proven', 'days proven', 'checkpoint proven', 'statements proven', 'store proven']),
  );
  expect(proof.json.contracts[0].peakBytes).toBeGreaterThanOrEqual(highest);
  const { json: statement } = await world.ok(['billing', 'statement', '--month', month, '--contract', 'csi-001']);
  expect(JSON.stringify(statement)).toContain(`"peakBytes":${proof.json.contracts[0].peakBytes}`);

  // Somebody who has the machine makes the bill smaller, and every hash after it fit: rows, anchors, packed days.
  forge(world);
  const forged = await world.coffre(['billing', 'prove', '--month', month]);
  expect([forged.status, forged.json.error.code]).toEqual([6, 'E_LEDGER_ALTERED']);
  const of = (name: string): Checked[] => (forged.json.checks as Checked[]).filter((check) => check.name === name);
  expect(of('chain').map(({ outcome }) => outcome)).toEqual(['proven']);
  expect(of('anchors').map(({ outcome }) => outcome)).toEqual(['proven']);
  const said = (name: string): string =>
    of(name)
      .flatMap(({ findings }) => findings)
      .join('\n');
  expect(said('checkpoint')).toMatch(/_coffre\/state\/.*it says that row \d+ of the ledger has the hash/);
  expect(said('store')).toMatch(/segments\/.*: (\d+ bytes|released) by the ledger, (and )?the store lists/);
}, 240_000);

function forge({ stateDir }: World): void {
  const raw = new DatabaseSync(join(stateDir, 'catalog.db'));
  for (const name of ['ledgerNoUpdate', 'anchorsNoUpdate']) raw.exec(`drop trigger "${name}"`);
  const rows = raw.prepare('select * from ledger order by id').all() as unknown as LedgerRow[];
  const last = rows.findLast(({ event, key }) => event === 'put' && key.startsWith('dupont/segments/'));
  let head = CHAIN_START;
  const levels = new Map<string, [string, string, number]>();
  const anchors = raw.prepare('select * from anchors order by id').all() as unknown as {
    id: number;
    until: number;
    row: number;
    rows: number;
  }[];
  let anchor = CHAIN_START;
  const pass = (upTo: number): void => {
    while (anchors[0] !== undefined && anchors[0].until <= upTo) {
      const one = anchors.shift() as (typeof anchors)[number];
      const text = levelsText(levels.values());
      const forged = { ...one, head, levelsHash: levelsHash(text) };
      anchor = anchorHash(anchor, forged);
      raw
        .prepare('update anchors set head = ?, levels = ?, levelsHash = ?, hash = ? where id = ?')
        .run(head, text, forged.levelsHash, anchor, one.id);
    }
  };
  raw.exec('delete from ledgerMoves');
  for (const row of rows) {
    pass(row.at);
    const altered = row.id === last?.id ? { ...row, bytes: row.bytes - 1_000 } : row;
    head = chainHash(head, altered);
    raw.prepare('update ledger set bytes = ?, hash = ? where id = ?').run(altered.bytes, head, row.id);
    const name = `${row.vault} ${row.shop}`;
    levels.set(name, [row.vault, row.shop, (levels.get(name)?.[2] ?? 0) + altered.bytes]);
  }
  pass(Number.POSITIVE_INFINITY);
  raw.close();
}
