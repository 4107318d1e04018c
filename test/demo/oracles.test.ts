// The demo's judges must be able to say no: each is shown a difference it has to find.
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, linkSync, lutimesSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, toDate } from '../../src/clock.ts';
import { startMariadb } from '../servers/mariadb.ts';
import { freshBucket } from '../servers/s3.ts';
import { createShopFiles } from '../shop/files.ts';
import { tempDir } from '../temp-dir.ts';
import { attackLocks, deleteControl, describeTree, differences, dumpDatabase } from './oracles.ts';
import { newOutcome, type Outcome, wrongValues } from './outcome.ts';

describe('tree', () => {
  /** A shop's tree and an exact copy of it, made by cp. */
  async function twins(): Promise<{ dir: string; copy: string; differing: () => Promise<readonly string[]> }> {
    const dir = await tempDir();
    const [root, copy] = [join(dir, 'root'), join(dir, 'copy')];
    createShopFiles(root, { seed: 'twins', files: 400, megabytes: 3, largeFileMB: 1 });
    execFileSync('cp', ['-a', root, copy]);
    return {
      dir,
      copy,
      async differing() {
        await Promise.all([describeTree(root, join(dir, 'a')), describeTree(copy, join(dir, 'b'))]);
        return differences(join(dir, 'a'), join(dir, 'b'), '\0');
      },
    };
  }

  test('an exact copy is the same, whatever lies in the caches', async () => {
    const { copy, differing } = await twins();
    rmSync(join(copy, 'var/cache'), { recursive: true });
    execFileSync('touch', ['-r', join(copy, '../root/var'), join(copy, 'var')]);
    expect(await differing()).toEqual([]);
  });

  const changes: Record<string, (copy: string) => void> = {
    'a byte more': (copy) => appendFileSync(join(copy, 'index.php'), '\n'),
    'other bytes of the same size and time': (copy) => {
      execFileSync(
        'sh',
        [
          '-c',
          'cp -p index.php x && tr p q <index.php >y && touch -r x y && mv y index.php && chown --reference=x index.php && rm x && touch -r ../root .',
        ],
        { cwd: copy },
      );
    },
    'a mode': (copy) => chmodSync(join(copy, 'index.php'), 0o600),
    'a time, by one nanosecond': (copy) =>
      void execFileSync('sh', ['-c', 'touch -d "$(stat -c %y index.php | sed "s/\\.[0-9]*/.000000001/")" index.php'], { cwd: copy }),
    'the time of a directory': (copy) => lutimesSync(join(copy, 'classes'), 1, 1),
    'a link that points elsewhere': (copy) => {
      rmSync(join(copy, 'themes/current'));
      symlinkSync('dupont', join(copy, 'themes/current'));
    },
    'a hard link that became a file of its own': (copy) => {
      execFileSync('sh', ['-c', 'cp -p invoice.odt x && mv x invoice.odt'], { cwd: join(copy, 'mails/fr') });
    },
    'holes that were filled': (copy) => {
      execFileSync(
        'sh',
        [
          '-c',
          'cp -p --sparse=never disk-image.raw x && cat x >disk-image.raw && touch -r x disk-image.raw && rm x && touch -r ../../root/download .',
        ],
        {
          cwd: join(copy, 'download'),
        },
      );
    },
    'a name less': (copy) => rmSync(join(copy, 'upload/*')),
    'a name more': (copy) => writeFileSync(join(copy, 'upload/new'), ''),
    'a name that is not UTF-8 turned into one that is': (copy) =>
      renameSync(Buffer.from(join(copy, 'upload/catalogue-\xe9t\xe9.pdf'), 'latin1'), join(copy, 'upload/catalogue-été.pdf')),
    'an empty directory more': (copy) => mkdirSync(join(copy, 'classes/empty')),
  };
  test.each(Object.keys(changes))('%s is found', async (name) => {
    const { copy, differing } = await twins();
    changes[name]?.(copy);
    expect(await differing()).not.toEqual([]);
  });

  test('which of three names share a file is told, not only how many', async () => {
    const dir = await tempDir();
    for (const [tree, pairs] of [
      [
        'a',
        [
          ['1', '2'],
          ['3', '4'],
        ],
      ],
      [
        'b',
        [
          ['1', '3'],
          ['2', '4'],
        ],
      ],
    ] as const) {
      mkdirSync(join(dir, tree));
      for (const [from, to] of pairs) {
        writeFileSync(join(dir, tree, from), 'same');
        linkSync(join(dir, tree, from), join(dir, tree, to));
        lutimesSync(join(dir, tree, from), 1, 1);
      }
      lutimesSync(join(dir, tree), 1, 1);
      await describeTree(join(dir, tree), join(dir, `${tree}.txt`));
    }
    expect(differences(join(dir, 'a.txt'), join(dir, 'b.txt'), '\0').join()).toContain('one file');
  });
});

test('database: one changed value, one changed trigger are found', async () => {
  const dir = await tempDir();
  const server = await startMariadb();
  onTestFinished(() => server.stop());
  await server.sql(`CREATE DATABASE a; USE a; CREATE TABLE t (id int PRIMARY KEY, f float); INSERT INTO t VALUES (1, 0.1);
CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.f = 1;`);
  const dump = (name: string): Promise<void> => dumpDatabase(server, 'a', join(dir, name));
  const differing = (name: string): readonly string[] => differences(join(dir, 'first'), join(dir, name), '\n');
  await dump('first');
  await dump('again');
  expect(differing('again')).toEqual([]);
  await server.sql('UPDATE a.t SET f = 0.2;');
  await dump('value');
  expect(differing('value').join()).toContain('0.2');
  await server.sql('UPDATE a.t SET f = 0.1; USE a; DROP TRIGGER tr; CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.f = 2;');
  await dump('trigger');
  expect(differing('trigger').join()).toContain('NEW.f = 2');
});

test('locks: a version with a lock resists, one without is reported by name, the control goes', async () => {
  const bucket = await freshBucket();
  onTestFinished(() => bucket.release());
  const put = (Key: string, locked: boolean) =>
    bucket.client.send(
      new PutObjectCommand({
        Bucket: bucket.name,
        Key,
        Body: 'x',
        ...(locked
          ? { ObjectLockMode: 'COMPLIANCE' as const, ObjectLockRetainUntilDate: toDate(systemClock.now().add({ minutes: 10 })) }
          : {}),
        ChecksumAlgorithm: 'CRC32',
      }),
    );
  await put('p/locked', true);
  const attack = () => attackLocks(bucket.client, bucket.name, 'p/', 'COMPLIANCE', systemClock.now().add({ seconds: 30 }));
  expect(await attack()).toMatchObject({ versions: 1, refused: 1, notShortened: 1, weak: null, answer: expect.stringContaining('403') });
  expect(await deleteControl(bucket.client, bucket.name)).toBe(true);
  // without a lock of its own: the attacker's 30 seconds are the first one it gets, and that is no refusal
  await put('p/open', false);
  expect(await attack()).toMatchObject({ versions: 2, notShortened: 1 });
});

describe('verdict', () => {
  const good: Outcome = {
    ...newOutcome(),
    lockRefused: true,
    controlDeleted: true,
    databaseIdentical: true,
    filesIdentical: true,
    levelBytes: 10,
    storeBytes: 10,
    peaks: { month: '2026-11', contracts: [{ contract: 'c', vault: 'v', peakBytes: 10, at: '' }], shops: [] },
  };
  test('all as it must be', () => expect(wrongValues(good)).toEqual([]));
  const bad: readonly Partial<Outcome>[] = [
    { lockRefused: false },
    { controlDeleted: false },
    { databaseIdentical: false },
    { filesIdentical: false },
    { filesIdentical: null },
    { storeBytes: 11 },
    { levelBytes: null },
    { levelBytes: 0, storeBytes: 0 },
    { peaks: null },
    { levelBytes: 11, storeBytes: 11 },
    { lockRefused: null },
  ];
  test.each(bad)('%j is wrong', (change) => expect(wrongValues({ ...good, ...change })).not.toEqual([]));
  test('what could not be shown, and was said, is not wrong', () => {
    const partial = { ...good, lockRefused: null, controlDeleted: null, levelBytes: null, storeBytes: null, notShown: ['no store'] };
    expect(wrongValues(partial)).toEqual([]);
  });
});
