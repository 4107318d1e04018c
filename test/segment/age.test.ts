import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import { Decrypter, Encrypter, generateHybridIdentity, identityToRecipient } from 'age-encryption';
import * as vectors from 'cctv-age';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type AgeOpener,
  checkRecipients,
  makeIdentity,
  openAge,
  openAgeWith,
  openIdentity,
  recipientOf,
  sealAge,
  sealedPayloadBytes,
  sealIdentity,
} from '../../src/segment/age.ts';
import { run, seeded, sha256 } from './bytes.ts';

const SIZES = [0, 1, 65535, 65536, 65537, 131071, 131072, 131073];

async function sealAll(plain: Uint8Array, recipients: readonly string[], pieceBytes: number): Promise<Buffer> {
  const sealer = await sealAge(recipients);
  const pieces = [sealer.header];
  for (let at = 0; at < plain.length; at += pieceBytes) pieces.push(sealer.push(plain.subarray(at, at + pieceBytes)));
  pieces.push(sealer.finish());
  return Buffer.concat(pieces);
}

/** What was released before an error counts too. */
async function openAll(opener: AgeOpener, stored: Uint8Array, pieceBytes: number): Promise<{ plain: Buffer; error: unknown }> {
  const pieces: Buffer[] = [];
  try {
    for (let at = 0; at < stored.length; at += pieceBytes) pieces.push(await opener.push(stored.subarray(at, at + pieceBytes)));
    pieces.push(await opener.finish());
  } catch (error) {
    return { plain: Buffer.concat(pieces), error };
  }
  return { plain: Buffer.concat(pieces), error: null };
}

let identity: string;
let recipient: string;
let folder: string;
let identityFile: string;

beforeAll(async () => {
  identity = await makeIdentity();
  recipient = await recipientOf(identity);
  folder = await mkdtemp(join(tmpdir(), 'coffre-age-'));
  identityFile = join(folder, 'identity');
  await writeFile(identityFile, `${identity}\n`, { mode: 0o600 });
});
afterAll(() => rm(folder, { recursive: true }));

describe('age', () => {
  it.each(SIZES)('%i bytes: sealed here, opened here, by the age command and by age-encryption', async (size) => {
    const plain = seeded(size, size + 1);
    const stored = await sealAll(plain, [recipient], 10_007);
    expect(stored.length - stored.indexOf('\n', stored.indexOf('\n---') + 1) - 1).toBe(sealedPayloadBytes(size));
    for (const pieceBytes of [1009, 65536, 65552, 1 << 20]) {
      const opened = await openAll(openAge([identity]), stored, pieceBytes);
      expect(opened.error).toBeNull();
      expect(opened.plain.equals(plain)).toBe(true);
    }
    expect((await run('age', ['-d', '-i', identityFile], stored)).equals(plain)).toBe(true);
    const library = new Decrypter();
    library.addIdentity(identity);
    expect(Buffer.from(await library.decrypt(stored)).equals(plain)).toBe(true);
  });

  it.each(SIZES)('%i bytes: sealed by the age command, opened here', async (size) => {
    const plain = seeded(size, size + 2);
    const opened = await openAll(openAge([identity]), await run('age', ['-r', recipient], plain), 9973);
    expect(opened.error).toBeNull();
    expect(opened.plain.equals(plain)).toBe(true);
  });

  it('any bytes in any pieces come back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 200_000 }),
        fc.integer({ min: 1, max: 200_000 }),
        fc.integer({ min: 500, max: 200_000 }),
        async (size, sealPiece, openPiece) => {
          const plain = seeded(size, size);
          const stored = await sealAll(plain, [recipient], Math.max(sealPiece, 50));
          const opened = await openAll(openAge([identity]), stored, openPiece);
          expect(opened.error).toBeNull();
          expect(opened.plain.equals(plain)).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('a file opened byte by byte comes back', async () => {
    const stored = await sealAll(Buffer.from('bonjour'), [recipient], 3);
    expect((await openAll(openAge([identity]), stored, 1)).plain.toString()).toBe('bonjour');
  });

  it('every file has its own key: the same plaintext never looks the same', async () => {
    const plain = seeded(1000);
    const first = await sealAll(plain, [recipient], 1000);
    const second = await sealAll(plain, [recipient], 1000);
    expect(first.length).toBe(second.length);
    expect(first.subarray(-1016).equals(second.subarray(-1016))).toBe(false);
  });

  it('each of several recipients opens it, a post-quantum one too', async () => {
    const other = await makeIdentity();
    const stored = await sealAll(Buffer.from('x'), [recipient, await recipientOf(other)], 1);
    for (const key of [identity, other]) expect((await openAll(openAge([key]), stored, 100)).plain.toString()).toBe('x');
    const hybrid = await generateHybridIdentity();
    const sealed = await sealAll(Buffer.from('y'), [await identityToRecipient(hybrid)], 1);
    expect((await openAll(openAge([identity, hybrid]), sealed, 100)).plain.toString()).toBe('y');
    await expect(sealAge([recipient, await identityToRecipient(hybrid)])).rejects.toMatchObject({ code: 'E_KEY' });
  });

  it('another identity is E_DECRYPT, before anything was unlocked', async () => {
    const stored = await sealAll(seeded(100), [recipient], 100);
    const opener = openAge([await makeIdentity()]);
    const { plain, error } = await openAll(opener, stored, 1000);
    expect(error).toMatchObject({ code: 'E_DECRYPT' });
    expect(plain.length).toBe(0);
    expect(opener.unlocked).toBe(false);
  });

  it('a bit turned anywhere is an error, and no altered byte is released', async () => {
    const plain = seeded(66_000);
    const stored = await sealAll(plain, [recipient], 66_000);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: stored.length - 1 }), fc.integer({ min: 0, max: 7 }), async (at, bit) => {
        const altered = Buffer.from(stored);
        altered[at] = (altered[at] as number) ^ (1 << bit);
        const opened = await openAll(openAge([identity]), altered, 4096);
        expect((opened.error as { code?: string })?.code).toMatch(/^E_(DECRYPT|FORMAT)$/);
        expect(plain.subarray(0, opened.plain.length).equals(opened.plain)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('a file cut anywhere is an error', async () => {
    const stored = await sealAll(seeded(131072), [recipient], 131072);
    const cuts = [0, 10, 21, 22, 100, 199, 200, 215, 216, 217, 230, stored.length - 1, stored.length - 16, stored.length - 65552];
    for (const length of cuts) {
      const opened = await openAll(openAge([identity]), stored.subarray(0, length), 5000);
      expect((opened.error as { code?: string })?.code, `${length}`).toMatch(/^E_(DECRYPT|FORMAT)$/);
    }
  });

  it('no message repeats a secret or what may be one', async () => {
    const almost = `${identity.slice(0, -1)}${identity.endsWith('Q') ? 'P' : 'Q'}`;
    const secret = identity.slice(16, 40);
    const problems: unknown[] = [];
    for (const attempt of [
      () => recipientOf(almost),
      async () => openAge([almost]),
      async () => checkRecipients([recipient, identity]),
      () => sealIdentity(almost, [recipient]),
    ]) {
      await attempt().catch((error) => problems.push(error));
    }
    expect(problems).toHaveLength(4);
    for (const problem of problems as Error[]) {
      expect(problem).toMatchObject({ code: 'E_KEY' });
      expect(`${problem.message} ${problem.stack} ${JSON.stringify(problem.cause ?? null)}`.toUpperCase()).not.toContain(secret);
    }
    await expect(sealAge([])).rejects.toMatchObject({ code: 'E_KEY' });
  });

  it('a sealed identity opens with the recovery identity, here and with the age command alone', async () => {
    const recovery = await makeIdentity();
    const sealed = await sealIdentity(identity, [await recipientOf(recovery)]);
    expect(sealed.includes(identity)).toBe(false);
    expect(await openIdentity(sealed, [recovery])).toBe(identity);
    const recoveryFile = join(folder, 'recovery');
    await writeFile(recoveryFile, `${recovery}\n`);
    const text = await run('age', ['-d', '-i', recoveryFile], sealed);
    const shopFile = join(folder, 'shop');
    await writeFile(shopFile, text);
    const stored = await sealAll(Buffer.from('hello'), [recipient], 5);
    expect((await run('age', ['-d', '-i', shopFile], stored)).toString()).toBe('hello');
    await expect(openIdentity(sealed, [identity])).rejects.toMatchObject({ code: 'E_DECRYPT' });
  });
});

interface Vector {
  readonly expect: string;
  readonly payload: string | null;
  readonly identities: string[];
  readonly passphrases: string[];
  readonly armored: boolean;
  readonly file: Buffer;
}

function parseVector(bytes: Uint8Array): Vector {
  const all = Buffer.from(bytes);
  const end = all.indexOf('\n\n');
  const vector = { expect: '', payload: null as string | null, identities: [] as string[], passphrases: [] as string[], armored: false };
  let file = all.subarray(end + 2);
  for (const line of all.subarray(0, end).toString('utf8').split('\n')) {
    const [key, value] = [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)];
    if (key === 'expect') vector.expect = value;
    else if (key === 'payload') vector.payload = value;
    else if (key === 'identity') vector.identities.push(value);
    else if (key === 'passphrase') vector.passphrases.push(value);
    else if (key === 'armored') vector.armored = value === 'yes';
    else if (key === 'compressed') file = inflateSync(file);
  }
  return { ...vector, file };
}

/** C2SP's outcomes as our codes. */
const CODES: Readonly<Record<string, readonly string[]>> = {
  'no match': ['E_DECRYPT'],
  'HMAC failure': ['E_DECRYPT'],
  'header failure': ['E_FORMAT'],
  'payload failure': ['E_DECRYPT', 'E_FORMAT'],
};

/**
 * Whether a chunk is the last is known from what follows it, never guessed: so these vectors' good chunk before the
 * damage, which the reference still releases, stays back. Less is released, never more.
 */
const WITHHOLDS_LAST_CHUNK = new Set([
  'stream_no_final_full',
  'stream_no_final_two_chunks_full',
  'stream_trailing_garbage_long',
  'stream_trailing_garbage_short',
  'stream_two_final_chunks',
  'stream_two_final_chunks_full',
  'stream_two_final_chunks_second',
]);

const byName = Object.entries(vectors as unknown as Record<string, Uint8Array>)
  .map(([name, bytes]) => [name, parseVector(bytes)] as const)
  // ASCII armor is no part of coffre's format.
  .filter(([, vector]) => !vector.armored);

describe('C2SP age test vectors', () => {
  it('there are more than a hundred without armor', () => {
    expect(byName.length).toBeGreaterThan(100);
  });

  it.each(byName)('%s', async (name, vector) => {
    const decrypter = new Decrypter();
    for (const one of vector.identities) decrypter.addIdentity(one);
    for (const one of vector.passphrases) decrypter.addPassphrase(one);
    const pieceBytes = vector.file.length > 100_000 ? 65_537 : 997;
    const { plain, error } = await openAll(openAgeWith(decrypter), vector.file, pieceBytes);
    if (vector.expect === 'success') {
      expect(error).toBeNull();
    } else {
      expect(CODES[vector.expect]).toContain((error as { code?: string } | null)?.code);
    }
    if (WITHHOLDS_LAST_CHUNK.has(name)) expect(plain.length % 65536).toBe(0);
    else if (vector.payload !== null) expect(sha256(plain)).toBe(vector.payload);
  });

  it.each(byName.filter(([, vector]) => vector.expect === 'success' && vector.identities.length > 0))(
    '%s: its payload sealed anew opens in the library that others use',
    async (_name, vector) => {
      const { plain } = await openAll(openAge(vector.identities), vector.file, 65_537);
      const library = new Decrypter();
      library.addIdentity(identity);
      const stored = await sealAll(plain, [recipient], 77_777);
      expect(sha256(await library.decrypt(stored))).toBe(vector.payload);
      const encrypter = new Encrypter();
      encrypter.addRecipient(recipient);
      const theirs = await openAll(openAge([identity]), await encrypter.encrypt(plain), 77_777);
      expect(theirs.error).toBeNull();
      expect(sha256(theirs.plain)).toBe(vector.payload);
    },
  );
});
