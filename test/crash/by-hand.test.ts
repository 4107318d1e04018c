import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { Encrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import { expect, test } from 'vitest';
import { tempDir } from '../temp-dir.ts';
import { contentsByHand, contentsOf, differences, sha256, statementsByHand } from './by-hand.ts';

const identity = await generateIdentity();
const recipient = await identityToRecipient(identity);

async function seal(plain: Buffer | string): Promise<Buffer> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  const bytes = Buffer.from(plain);
  const half = Math.floor(bytes.length / 2);
  // in two frames, as what is streamed has several
  const frames = [bytes.subarray(0, half), bytes.subarray(half)].map((part) => zstdCompressSync(part));
  return Buffer.from(await encrypter.encrypt(Buffer.concat(frames)));
}

test('an index over an archive of GNU tar - the tree; a wrong hash, a missing member, a segment that is not named - each told', async () => {
  const dir = await tempDir();
  const long = `${'long '.repeat(30)}name`;
  mkdirSync(join(dir, 'img'));
  writeFileSync(join(dir, 'img', 'a.jpg'), 'picture');
  writeFileSync(join(dir, long), 'x'.repeat(2000));
  symlinkSync('img/a.jpg', join(dir, 'link'));
  const archive = await seal(execFileSync('tar', ['--format=pax', '-cf', '-', '-C', dir, 'img', 'link', long]));
  const segment = (id: string): Buffer | null => (id === 's1' ? archive : null);
  const lines = [
    { t: 'd', p: '.', sg: 's1' },
    { t: 'd', p: 'img', sg: 's1' },
    { t: 'f', p: 'img/a.jpg', h: sha256(Buffer.from('picture')), sg: 's1' },
    { t: 'f', p: 'moved.jpg', o: 'img/a.jpg', h: sha256(Buffer.from('picture')), sg: 's1' },
    { t: 'l', p: 'link', l: 'img/a.jpg', sg: 's1' },
    { t: 'f', p: long, h: sha256(Buffer.from('x'.repeat(2000))), sg: 's1' },
  ];
  const index = (of: readonly object[]): Promise<Buffer> => seal(of.map((line) => `${JSON.stringify(line)}\n`).join(''));

  const right = await contentsByHand(await index(lines.slice(1)), [identity], segment);
  expect(right.problems).toEqual([]);
  expect(differences(right.contents, contentsOf(dir))).toEqual(['. is missing, not d', 'moved.jpg is too much']);

  const wrong = [
    { ...lines[2], h: sha256(Buffer.from('other')) },
    { t: 'f', p: 'gone', h: '', sg: 's1' },
    { ...lines[2], sg: 's2' },
  ];
  const { problems } = await contentsByHand(await index(wrong), [identity], segment);
  expect(problems).toHaveLength(3);
});

test('a segment of a database that holds something else than the manifest says - told', async () => {
  const body = await seal('insert into t values (1)');
  const listed = (plain: string) => [{ id: 's1', key: 'k', kind: 'sql', plainSha256: sha256(Buffer.from(plain)) }];
  const right = await statementsByHand(listed('insert into t values (1)'), [identity], () => body);
  expect(right).toEqual({ contents: new Map([['s1', 'insert into t values (1)']]), problems: [] });
  expect((await statementsByHand(listed('other'), [identity], () => body)).problems).toHaveLength(1);
});
