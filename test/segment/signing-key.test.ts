import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  exportPublicKey,
  fingerprint,
  loadSigningKey,
  makeSigningKey,
  publicKeyFromRaw,
  rawPublicKey,
  saveSigningKey,
} from '../../src/segment/signing-key.ts';
import { run } from './bytes.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coffre-signing-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('signing key', () => {
  it('saved with mode 0600 and loaded again it is the same key', async () => {
    const key = makeSigningKey();
    const path = join(folder, 'a.key');
    await saveSigningKey(path, key);
    expect((await stat(path)).mode & 0o7777).toBe(0o600);
    expect(fingerprint(await loadSigningKey(path))).toBe(fingerprint(key));
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect((await run('openssl', ['pkey', '-noout', '-text', '-in', path])).toString()).toContain('ED25519');
  });

  it('an existing file is never overwritten', async () => {
    const path = join(folder, 'b.key');
    await saveSigningKey(path, makeSigningKey());
    const before = await readFile(path, 'utf8');
    await expect(saveSigningKey(path, makeSigningKey())).rejects.toMatchObject({ code: 'E_KEY' });
    expect(await readFile(path, 'utf8')).toBe(before);
  });

  it('a file that others can read is E_SECRET_MODE', async () => {
    const path = join(folder, 'c.key');
    await saveSigningKey(path, makeSigningKey());
    for (const mode of [0o640, 0o604, 0o601, 0o620]) {
      await chmod(path, mode);
      await expect(loadSigningKey(path)).rejects.toMatchObject({ code: 'E_SECRET_MODE' });
    }
    await chmod(path, 0o400);
    await loadSigningKey(path);
  });

  it('a missing, damaged or other key is E_KEY and never quoted', async () => {
    await expect(loadSigningKey(join(folder, 'none'))).rejects.toMatchObject({ code: 'E_KEY' });
    const path = join(folder, 'd.key');
    await writeFile(path, 'hunter2', { mode: 0o600 });
    await expect(loadSigningKey(path)).rejects.toMatchObject({ code: 'E_KEY', message: expect.not.stringContaining('hunter2') });
    const rsa = await run('openssl', ['genpkey', '-algorithm', 'X25519']);
    await writeFile(path, rsa);
    await expect(loadSigningKey(path)).rejects.toMatchObject({ code: 'E_KEY' });
  });

  it('the raw public key comes back', () => {
    const key = makeSigningKey();
    expect(rawPublicKey(key).length).toBe(32);
    expect(fingerprint(publicKeyFromRaw(rawPublicKey(key)))).toBe(fingerprint(key));
    expect(() => publicKeyFromRaw(Buffer.alloc(31))).toThrow(expect.objectContaining({ code: 'E_SIGNATURE' }));
  });

  it('ssh-keygen shows the same fingerprint for the exported public key', async () => {
    if (spawnSync('ssh-keygen', ['-?']).error) return;
    const key = makeSigningKey();
    const path = join(folder, 'e.pub');
    await writeFile(path, `${exportPublicKey(key)}\n`);
    expect((await run('ssh-keygen', ['-l', '-f', path])).toString()).toContain(fingerprint(key));
  });
});
