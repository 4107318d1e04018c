// Archives made to do harm: each is refused, or harmless, and nothing outside the target changes, looked at with find and sha256sum.
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { CoffreError } from '../../../src/errors.ts';
import { localHost } from '../../../src/host/local.ts';
import { openBuffer, openStream } from '../../../src/segment/open.ts';
import type { FileEntry, Phase } from '../../../src/source/source.ts';
import { DirectoryTarget } from '../../../src/target/files/directory-target.ts';
import type { FilesTarget } from '../../../src/target/target.ts';
import { sha256 } from '../../segment/bytes.ts';
import { bash, describeTree } from '../../source/files/tree.ts';
import { tempDir } from '../../temp-dir.ts';
import { landingDirectory } from './delta.ts';
import { extended, header, member, rawArchive } from './raw-tar.ts';
import { bytes, each } from './restore.ts';

const NEVER = new AbortController().signal;
/** Two at once, as a restore extracts them. */
type Way = 'fresh' | 'over a tree';

interface Scene {
  readonly target: FilesTarget;
  readonly directory: string;
  /** Extracts archives one after the other. */
  extract(...contents: readonly Buffer[]): Promise<void>;
  /** The outside is as it was, and the target's own directory was not exchanged. Also puts in place what was extracted beside a tree. */
  safe(): Promise<void>;
}

async function scene(way: Way = 'fresh'): Promise<Scene> {
  const dir = await tempDir();
  const directory = join(dir, 'restored');
  bash(
    `cd "$DIR"; mkdir -p outside/sub; printf secret > outside/secret; printf held > held; printf sub > outside/sub/file; chmod 750 outside/sub; ln -s secret outside/link
     touch -d 2020-01-01 outside/secret outside/sub/file outside/sub outside`,
    { DIR: dir },
  );
  if (way === 'over a tree') {
    // what somebody may have put into a live tree to catch a restore
    mkdirSync(directory);
    bash('cd "$DIR"; ln -s ../outside trap; ln -s ../outside/secret trapfile; mkdir d; ln -s ../../outside d/trap; ln ../held hard', {
      DIR: directory,
    });
  }
  const outside = describeTree(join(dir, 'outside'));
  const before = readdirSync(dir).sort();
  const passwd = bash('sha256sum /etc/passwd; stat -c "%a %u %h" /etc/passwd; ls -A /tmp/coffre-hostile 2>&1 || true');
  const target: FilesTarget = way === 'fresh' ? new DirectoryTarget(directory, localHost) : landingDirectory(directory);
  await target.prepare('snapshot');
  onTestFinished(() => target.close());
  let number = 0;
  const extractAs = async (content: Buffer, phase: Phase): Promise<void> => {
    number += 1;
    await target.extract({ id: `segment${number}`, phase, plaintext: bytes(content), unverified: false }, null, NEVER);
  };
  return {
    target,
    directory,
    async extract(...contents) {
      for (const content of contents) await extractAs(content, 'files');
    },
    async safe() {
      if (way === 'over a tree') await target.compare(each<FileEntry>([]));
      expect(describeTree(join(dir, 'outside'))).toBe(outside);
      expect(bash('cat "$HELD"; stat -c " %a %u" "$HELD"', { HELD: join(dir, 'held') })).toBe(`held 644 ${process.geteuid?.()}\n`);
      expect(readdirSync(dir).sort()).toEqual([...new Set([...before, 'restored'])].sort());
      expect(bash('sha256sum /etc/passwd; stat -c "%a %u %h" /etc/passwd; ls -A /tmp/coffre-hostile 2>&1 || true')).toBe(passwd);
      expect(lstatSync(directory).isDirectory()).toBe(true);
    },
  };
}

const through = (directory: string): Buffer => rawArchive({ name: `${directory}/escaped`, content: 'x' });
const link = (name: string, to: string): Buffer => rawArchive({ name, type: '2', link: to });

const REFUSED: readonly (readonly [string, ...Buffer[]])[] = [
  ['a name with ..', rawArchive({ name: '../escaped', content: 'x' })],
  ['a name with .. in the middle', rawArchive({ name: 'd/../../escaped', content: 'x' })],
  ['a name with .. at the end', rawArchive({ name: 'd/..', type: '5' })],
  ['a prefix with ..', rawArchive({ name: 'escaped', prefix: '..', content: 'x' })],
  ['an absolute name', rawArchive({ name: '/tmp/coffre-hostile', content: 'x' })],
  ['an absolute path record', rawArchive({ name: 'a', content: 'x', records: [['path', '/tmp/coffre-hostile']] })],
  ['a path record with ..', rawArchive({ name: 'a', content: 'x', records: [['path', '../escaped']] })],
  [
    'two path records',
    rawArchive({
      name: 'a',
      content: 'x',
      records: [
        ['path', 'a'],
        ['path', '../escaped'],
      ],
    }),
  ],
  ['an empty path record, which tar takes for none', rawArchive({ name: '../escaped', content: 'x', records: [['path', '']] })],
  ['a path record with NUL', rawArchive({ name: 'a', content: 'x', records: [['path', 'a\0/../../escaped']] })],
  ['a sparse name that leads out', rawArchive(sparse({ name: 'a', sparseName: '../escaped', map: '0\n' }))],
  ['a sparse name of an older format', rawArchive({ name: 'a', content: 'x', records: [['GNU.sparse.name', '../escaped']] })],
  ['a link, then a way through it', rawArchive({ name: 'l', type: '2', link: '../outside' }, { name: 'l/escaped', content: 'x' })],
  ['a way, then a link in its place', rawArchive({ name: 'l/in', content: 'x' }, { name: 'l', type: '2', link: '../outside' })],
  ['a link in one archive, a way through it in the next', link('l', '../outside'), through('l')],
  ['a way in one archive, a link in its place in the next', through('l'), link('l', '../outside')],
  [
    'a link, then a directory below it',
    rawArchive({ name: 'l', type: '2', link: '../outside' }, { name: 'l/sub', type: '5', mode: 0o777 }),
  ],
  ['a link, then a link below it', rawArchive({ name: 'l', type: '2', link: '../outside' }, { name: 'l/m', type: '2', link: 'x' })],
  ['a link as the root', rawArchive({ name: './', type: '2', link: '../outside' })],
  ['a hard link to /etc/passwd', rawArchive({ name: 'h', type: '1', link: '/etc/passwd' })],
  ['a hard link that leads out', rawArchive({ name: 'h', type: '1', link: '../outside/secret' })],
  ['a hard link that leads out by a record', rawArchive({ name: 'h', type: '1', link: 'a', records: [['linkpath', '../outside/secret']] })],
  ['a hard link through a link', rawArchive({ name: 'l', type: '2', link: '../outside' }, { name: 'h', type: '1', link: 'l/secret' })],
  [
    'a hard link to a link, then a way through it',
    rawArchive({ name: 'l', type: '2', link: '../outside' }, { name: 'h', type: '1', link: 'l' }, { name: 'h/escaped', content: 'x' }),
  ],
  ['a size that goes on past the end', rawArchive({ name: 'a', content: 'x', size: 5_000_000 })],
  ['a size below zero', rawArchive({ name: 'a', size: '-1' })],
  ['a size record below zero', rawArchive({ name: 'a', records: [['size', '-1']] })],
  ['a size record beyond all numbers', rawArchive({ name: 'a', records: [['size', '99999999999999999999']] })],
  ['a size in base 256', rawArchive({ name: 'a', size: '\x80\0\0\0\0\0\0\0\0\0\0\x01' })],
  ['a directory with content', rawArchive({ name: 'd', type: '5', content: 'x' })],
  ['a header with a wrong checksum', Buffer.concat([spoilt(member({ name: 'a', content: 'x' })), Buffer.alloc(1024)])],
  [
    'two extended headers',
    Buffer.concat([extended(Buffer.from('11 path=ab\n')), extended(Buffer.from('11 path=ab\n')), rawArchive({ name: 'a' })]),
  ],
  ['records whose length lies', Buffer.concat([extended(Buffer.from('99 path=ab\n')), rawArchive({ name: 'a' })])],
  ['a global header', rawArchive(header({ name: 'g', type: 'g' }), { name: 'a' })],
  ['a GNU long name', rawArchive({ name: '././@LongLink', type: 'L', content: '../escaped\0' }, { name: 'a', content: 'x' })],
  ['a volume that goes on', rawArchive({ name: '../escaped', type: 'M', content: 'x' })],
  ['an old sparse member', rawArchive({ name: 'a', type: 'S' })],
  ['no end', member({ name: 'a', content: 'x' })],
  [
    'a hard link with a size, whose content would be a header',
    rawArchive({ name: 'a', content: 'x' }, { name: 'h', type: '1', link: 'a', size: 512 }, { name: '../escaped' }),
  ],
];

function sparse({
  name,
  sparseName,
  map,
  data = '',
  realsize = 4096,
}: {
  name: string;
  sparseName: string;
  map: string;
  data?: string;
  realsize?: number | string;
}): Buffer {
  const content = Buffer.concat([Buffer.from(map.padEnd(512, '\0')), Buffer.from(data)]);
  const records = [
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', sparseName],
    ['GNU.sparse.realsize', String(realsize)],
  ] as const;
  return member({ name, content, records });
}

function spoilt(bytes_: Buffer): Buffer {
  const copy = Buffer.from(bytes_);
  copy[3] = 0x78;
  return copy;
}

test.each(REFUSED)('%s - E_FORMAT, and nothing outside changes', async (_, ...contents) => {
  const { extract, safe } = await scene();
  await expect(extract(...(contents as Buffer[]))).rejects.toEqual(expect.objectContaining({ code: 'E_FORMAT' }));
  await safe();
});

test('the same, over a tree that holds links set as traps - nothing outside changes', async () => {
  for (const [what, ...contents] of REFUSED.filter(([name]) => /link|\.\.|leads out/.test(name))) {
    const { extract, safe, target } = await scene('over a tree');
    await expect(extract(...contents), what).rejects.toEqual(expect.objectContaining({ code: 'E_FORMAT' }));
    await safe();
    await target.close();
  }
}, 120_000);

/** What tar itself refuses, or what comes out and does no harm. */
const HARMLESS: readonly (readonly [string, ...Buffer[]])[] = [
  ['a name with a newline', rawArchive({ name: 'a\n../escaped', content: 'x' })],
  ['a file with a slash behind its name', rawArchive({ name: 'a/', content: 'x' })],
  ['a record key with NUL', rawArchive({ name: 'a', content: 'x', records: [['path\0', '../escaped']] })],
  [
    'a sparse name beside a path that leads out',
    rawArchive({ ...{ name: '../escaped', content: `1\n0\n1\n${'\0'.repeat(506)}x` }, records: sparseRecords('inside') }),
  ],
  [
    'a sparse map with regions beyond the end',
    rawArchive(sparse({ name: 'a', sparseName: 's', map: '1\n99999999999999\n512\n', data: 'x'.repeat(512) })),
  ],
  [
    'a sparse map with a region below zero',
    rawArchive(sparse({ name: 'a', sparseName: 's', map: '1\n-512\n512\n', data: 'x'.repeat(512) })),
  ],
  [
    'a sparse map with more regions than there are',
    rawArchive(sparse({ name: 'a', sparseName: 's', map: '9999999999\n0\n512\n', data: 'x'.repeat(512) })),
  ],
  [
    'a sparse file as large as numbers go',
    rawArchive(
      sparse({ name: 'a', sparseName: 's', map: '1\n9007199254740479\n512\n', data: 'x'.repeat(512), realsize: 9_007_199_254_740_991 }),
    ),
  ],
  ['links to anywhere', rawArchive({ name: 'a', type: '2', link: '/etc/passwd' }, { name: 'b', type: '2', link: '../../../../etc' })],
  ['a file, a link in its place', rawArchive({ name: 'a', content: 'x' }, { name: 'a', type: '2', link: '../outside/secret' })],
  ['a link, a file in its place', rawArchive({ name: 'a', type: '2', link: '../outside/secret' }, { name: 'a', content: 'overwritten' })],
  ['a file in the place of the traps', rawArchive({ name: 'trapfile', content: 'overwritten' }, { name: 'hard', content: 'overwritten' })],
  [
    'files below the traps',
    rawArchive({ name: 'trap/secret', content: 'overwritten' }, { name: 'd/trap/sub/file', content: 'overwritten' }),
  ],
  [
    'directories in the place of the traps',
    rawArchive({ name: 'trap', type: '5', mode: 0o777 }, { name: 'trapfile', type: '5', mode: 0o777 }),
  ],
  [
    'a hard link to a file that is written over',
    rawArchive({ name: 'a', content: 'x' }, { name: 'b', type: '1', link: 'a' }, { name: 'a', content: 'y' }),
  ],
];

function sparseRecords(name: string) {
  return [
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', name],
    ['GNU.sparse.realsize', '1'],
  ] as const;
}

test.each(HARMLESS)('%s - refused, or inside the target alone; over a tree with traps too', async (_, ...contents) => {
  for (const way of ['fresh', 'over a tree'] as const) {
    const { extract, safe } = await scene(way);
    const error = await extract(...(contents as Buffer[])).then(
      () => null,
      (cause: unknown) => cause,
    );
    if (error) expect(error).toBeInstanceOf(CoffreError);
    if (error) expect(['E_FORMAT', 'E_TARGET_WRITE', 'E_TARGET_SPACE']).toContain((error as CoffreError).code);
    await safe();
  }
});

test('a link and a way through it in archives that are extracted at once - one is refused, nothing outside changes', async () => {
  for (let round = 0; round < 5; round++) {
    const { extract, safe } = await scene();
    const ended = await Promise.allSettled(
      round % 2 === 0
        ? [extract(link('l', '../outside')), extract(through('l'))]
        : [extract(through('l')), extract(link('l', '../outside'))],
    );
    expect(ended.filter(({ status }) => status === 'rejected')).toHaveLength(1);
    await safe();
  }
});

test('a member named like the folder of what is not proven yet - what leads out is refused, the rest stays inside', async () => {
  const { directory, extract, safe } = await scene();
  const [staging = ''] = readdirSync(directory);
  await extract(
    rawArchive({ name: `${staging}/restore.json`, content: '{}' }, { name: `${staging}/x`, type: '2', link: '../../outside' }),
  ).catch(() => {});
  await expect(extract(through(`${staging}/x`))).rejects.toEqual(expect.objectContaining({ code: 'E_FORMAT' }));
  await safe();
});

test('directories of a tail over a tree: files, other types, names that lead out - refused; a trap becomes a directory', async () => {
  for (const bad of [
    rawArchive({ name: 'a', content: 'x' }),
    rawArchive({ name: 'd/../../outside', type: '5', mode: 0o777 }),
    rawArchive({ name: '/tmp/coffre-hostile', type: '5' }),
    rawArchive({ name: 'trap', type: '2', link: '/etc' }),
    rawArchive({ name: 'a', type: '5', records: [['path', '../outside']] }),
  ]) {
    const { target, safe } = await scene('over a tree');
    await expect(target.extract({ id: 'tail', phase: 'tail', plaintext: bytes(bad), unverified: false }, null, NEVER)).rejects.toEqual(
      expect.objectContaining({ code: 'E_FORMAT' }),
    );
    await safe();
  }
  const { target, directory, safe } = await scene('over a tree');
  const dumpdir = [['GNU.dumpdir', '\0']] as const;
  const tail = rawArchive(
    { name: './', type: '5', mode: 0o755, records: dumpdir },
    { name: 'trap', type: '5', mode: 0o751, records: dumpdir },
    { name: 'trap/sub', type: '5', mode: 0o752 },
  );
  await target.extract({ id: 'tail', phase: 'tail', plaintext: bytes(tail), unverified: false }, null, NEVER);
  expect(bash('cd "$DIR"; find . -name ".coffre*" -prune -o -type d -printf "%p %m\\n" | sort; ls trapfile', { DIR: directory })).toBe(
    '. 755\n./d 755\n./trap 751\n./trap/sub 752\ntrapfile\n',
  );
  await safe();
});

test.skipIf(process.geteuid?.() !== 0)(
  'devices and setuid, extracted by somebody who is not root - no device, and nothing that is root’s',
  async () => {
    const dir = await tempDir();
    bash('chmod 777 "$DIR"', { DIR: dir });
    const archive = join(dir, 'archive.tar');
    writeFileSync(archive, rawArchive({ name: 'setuid', content: '#!/bin/sh\n', mode: 0o6755 }, { name: 'null', type: '3', mode: 0o666 }), {
      mode: 0o644,
    });
    const script = `
    const { DirectoryTarget } = await import(${JSON.stringify(new URL('../../../src/target/files/directory-target.ts', import.meta.url).href)});
    const { localHost } = await import(${JSON.stringify(new URL('../../../src/host/local.ts', import.meta.url).href)});
    const { readFileSync } = await import('node:fs');
    const target = new DirectoryTarget(${JSON.stringify(join(dir, 'restored'))}, localHost);
    await target.prepare('snapshot');
    try {
      await target.extract({ id: 's', phase: 'files', plaintext: [readFileSync(${JSON.stringify(archive)})], unverified: false }, null, new AbortController().signal);
      console.log('extracted');
    } catch (error) { console.log(error.code); }`;
    const said = execFileSync(
      'setpriv',
      ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, '--input-type=module', '-e', script],
      {
        encoding: 'utf8',
      },
    );
    expect(said).toBe('E_TARGET_WRITE\n');
    expect(bash('cd "$DIR"; find . -type c -o -type b -o -uid 0 -perm /6000', { DIR: join(dir, 'restored') })).toBe('');
  },
);

test('a gigabyte of zeros where the manifest says a kilobyte - stopped at its size, whether held or streamed, and nothing of it is left', async () => {
  const head = member({ name: 'bomb', size: 1_000_000_000 }).subarray(0, 512);
  const stored = execFileSync('bash', ['-c', '(cat; head -c 1000000000 /dev/zero) | zstd -1 -q'], { input: head, maxBuffer: 1 << 26 });
  const expected = { plainBytes: 1024, plainSha256: sha256(Buffer.alloc(1024)), storedBytes: stored.length, storedSha256: sha256(stored) };
  const options = { what: 'bomb', expected, identities: 'none' as const, signal: NEVER };
  for (const [unverified, plaintext] of [
    [false, openBuffer(stored, options)],
    [true, openStream(bytes(stored), options)],
  ] as const) {
    const { target, directory, safe } = await scene();
    const rss = process.memoryUsage.rss();
    await expect(target.extract({ id: 'bomb', phase: 'files', plaintext, unverified }, null, NEVER)).rejects.toEqual(
      expect.objectContaining({ code: 'E_OBJECT_ALTERED' }),
    );
    expect(process.memoryUsage.rss() - rss).toBeLessThan(200 * 1024 * 1024);
    expect(Number(bash('du -sk "$DIR" | cut -f1', { DIR: directory }))).toBeLessThan(20_000);
    await safe();
  }
});
