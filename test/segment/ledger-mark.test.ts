import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { ageNote, makeIdentity, recipientOf } from '../../src/segment/age.ts';
import { decodeMark, encodeMark, type LedgerMark, MARK_STANZA } from '../../src/segment/ledger-mark.ts';
import { openSelfProving } from '../../src/segment/open.ts';
import { seal } from '../../src/segment/seal.ts';
import { fingerprint, makeSigningKey } from '../../src/segment/signing-key.ts';
import { tempDir } from '../temp-dir.ts';

const MARK: LedgerMark = {
  ...{ vault: 'offsite', time: '2026-03-02T07:30:00Z', row: 12, head: 'a'.repeat(64), anchors: 3 },
  ...{ anchor: 'b'.repeat(64), statements: 0, statement: '0'.repeat(64) },
};

test('a sealed object with a mark - read without the identity, and opened by coffre and by age as any other', async () => {
  const key = makeSigningKey();
  const identity = await makeIdentity();
  const note = { type: MARK_STANZA, body: encodeMark(MARK, key) };
  const { stored } = await seal([Buffer.from('a checkpoint')], { recipients: [await recipientOf(identity)], note });
  const body = ageNote(stored, MARK_STANZA);
  expect(decodeMark(body as Buffer, [fingerprint(key)], 'it')).toEqual(MARK);
  expect(() => decodeMark(body as Buffer, [fingerprint(makeSigningKey())], 'it')).toThrow(/signed by/);
  const pieces: Buffer[] = [];
  for await (const piece of openSelfProving(stored, { what: 'it', identities: [identity], maxPlainBytes: 1000 })) pieces.push(piece);
  expect(Buffer.concat(pieces).toString()).toBe('a checkpoint');
  const dir = await tempDir();
  await writeFile(join(dir, 'identity'), `${identity}\n`, { mode: 0o600 });
  await writeFile(join(dir, 'object.age'), stored);
  const { stdout } = await promisify(execFile)('sh', ['-c', `age -d -i ${dir}/identity ${dir}/object.age | zstd -dc`]);
  expect(stdout).toBe('a checkpoint');
});

test.each([0, 1, 47, 48, 49, 96, 400])('a body of %i bytes - comes back as it is; another type is not there', async (bytes) => {
  const body = Buffer.alloc(bytes, 7);
  const { stored } = await seal([Buffer.from('x')], {
    recipients: [await recipientOf(await makeIdentity())],
    note: { type: 'some', body },
  });
  expect(ageNote(stored, 'some')).toEqual(body);
  expect(ageNote(stored, 'other')).toBeNull();
});
