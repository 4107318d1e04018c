// What a request names and the snapshot does not hold: refused with the nearest name, or told as not known where nobody can say.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { indexCopyPath } from '../../src/backup/state-files.ts';
import type { SnapshotWithCopies } from '../../src/catalog/snapshots.ts';
import { CoffreError } from '../../src/errors.ts';
import { lookForParts } from '../../src/schedule/wanted-parts.ts';
import { compressIndex, IndexWriter } from '../../src/segment/index-file.ts';
import type { IndexEntry } from '../../src/source/source.ts';
import { tempDir } from '../temp-dir.ts';

const SEGMENT = '01k9v3n0t3f8z6j2q4h5y7w1cd';
const entry = (path: string, type: 'file' | 'directory'): IndexEntry => ({
  ...{ type, path: Buffer.from(path, 'utf8').toString('latin1'), sizeBytes: 1, mode: 0o644, uid: 1, gid: 1 },
  ...{ mtimeNs: 1n, ctimeNs: 1n, inode: 1n, segment: SEGMENT },
  ...(type === 'file' ? { sha256: 'a'.repeat(64) } : {}),
});
const TREE = [
  ...['.', 'img', 'img/p', 'img/p/1', 'config', 'été'].map((path) => entry(path, 'directory')),
  ...['index.php', 'img/p/1/1.jpg', 'img/p/1/1-home.jpg', 'config/settings.inc.php', 'été/carte.pdf'].map((path) => entry(path, 'file')),
];
const TABLES: IndexEntry[] = [
  { type: 'rows', name: 'rows ps_orders 1', rows: { ps_orders: 7 }, segment: SEGMENT },
  { type: 'sql', name: 'data', rows: { ps_cart: 2, ps_lang: 0 }, segment: SEGMENT },
];
const SKIPPED = '[{"kind":"skipped","where":"ps_connections","message":"its rows are left out"}]';

async function setting(source: 'database' | 'files', entries: readonly IndexEntry[] | null, counts: object) {
  const stateDir = await tempDir();
  const snapshot = {
    id: SEGMENT,
    shop: 'dupont',
    source,
    asOf: 0,
    counts: JSON.stringify(counts),
    warnings: SKIPPED,
  } as SnapshotWithCopies;
  const file = indexCopyPath(stateDir, 'dupont', SEGMENT);
  mkdirSync(dirname(file), { recursive: true });
  if (entries) {
    const plain = join(stateDir, 'index.ndjson');
    const writer = await IndexWriter.open(plain);
    await writer.append(entries);
    await writer.close();
    await compressIndex(plain, file);
  }
  let nowMs = 0;
  const clock = (slow: boolean) => ({
    monotonicMs() {
      // each look at it costs some seconds
      if (slow) nowMs += 4_000;
      return nowMs;
    },
  });
  const look = async (names: readonly string[], slow = false) => {
    const wanted = source === 'database' ? { tables: [...names], paths: [] } : { tables: [], paths: [...names] };
    try {
      return await lookForParts({ stateDir, clock: clock(slow), tell: () => 'then' }, [snapshot], wanted);
    } catch (error) {
      if (!(error instanceof CoffreError)) throw error;
      return `${error.code} ${error.message} | ${error.hint}`;
    }
  };
  return { look, file };
}

const FINE = { unknown: [], emptied: [] };

describe('files that are asked for', () => {
  test.each([['img/p'], ['./img/p/'], ['img/p/1/1.jpg'], ['*.jpg'], ['img/**/*-home.*'], ['settings.inc.php'], ['été'], ['config/*.php']])(
    '%s is there - taken',
    async (pattern) => expect(await (await setting('files', TREE, { files: 5 })).look([pattern])).toEqual(FINE),
  );

  test.each([
    ['imgs/p', 'did you mean img?'],
    ['img/pp/1', 'did you mean img/p?'],
    ['img/p/1/1-hom.jpg', 'did you mean img/p/1/1-home.jpg?'],
    ['confg/*.php', 'did you mean config?'],
    ['ete/carte.pdf', 'did you mean été?'],
    ['config/*.yml', 'there are config, img, index.php, été'],
    ['quite/another', 'there are config, img, index.php, été'],
  ])('%s is not - refused: %s', async (pattern, hint) => {
    const { look } = await setting('files', TREE, { files: 5 });
    expect(await look(['img/p', pattern])).toBe(
      `E_USAGE the files as of then have nothing that matches ${JSON.stringify(pattern)} | ${hint}`,
    );
  });

  test('the index takes longer than anybody waits - what was not found by then is not known', async () => {
    const { look } = await setting('files', TREE, { files: 5 });
    expect(await look(['img/p', 'imgs/p'], true)).toEqual({ unknown: ['imgs/p'], emptied: [] });
  });

  test('no copy of the index, or a damaged one - not known', async () => {
    const { look, file } = await setting('files', null, { files: 5 });
    expect(await look(['img/p'])).toEqual({ unknown: ['img/p'], emptied: [] });
    writeFileSync(file, 'no index');
    expect(await look(['img/p'])).toEqual({ unknown: ['img/p'], emptied: [] });
  });
});

describe('tables that are asked for', () => {
  test('with rows, without any, and one whose rows are left out - taken, and the last one is told', async () => {
    const { look } = await setting('database', TABLES, { tables: 4 });
    expect(await look(['ps_orders', 'ps_lang'])).toEqual(FINE);
    expect(await look(['ps_connections'])).toEqual({ unknown: [], emptied: ['ps_connections'] });
  });

  test('not there - refused, with the nearest name', async () => {
    const { look } = await setting('database', TABLES, { tables: 4 });
    expect(await look(['ps_order'])).toBe('E_USAGE the database as of then has no table "ps_order" | did you mean ps_orders?');
    expect(await look(['x'])).toContain('there are ps_cart, ps_connections, ps_lang, ps_orders');
  });

  test('the snapshot has tables that no index names - not known', async () => {
    const { look } = await setting('database', TABLES, { tables: 5 });
    expect(await look(['ps_orders', 'ps_merged'])).toEqual({ unknown: ['ps_merged'], emptied: [] });
  });
});
