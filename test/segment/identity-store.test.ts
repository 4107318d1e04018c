import { chmod, mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { makeIdentity, openIdentity, recipientOf } from '../../src/segment/age.ts';
import { isId } from '../../src/segment/id.ts';
import { createIdentity, loadIdentity, loadRecipient, loadSealedIdentity } from '../../src/segment/identity-store.ts';
import { run } from './bytes.ts';

const recovery = await makeIdentity();
const recoveryRecipients = [await recipientOf(recovery)];
let keyDir: string;
beforeEach(async () => {
  keyDir = await mkdtemp(join(tmpdir(), 'coffre-keys-'));
});
afterEach(() => rm(keyDir, { recursive: true }));

const create = (shop = 'dupont') => createIdentity({ keyDir, shop, recoveryRecipients, clock: systemClock });

describe('identity store', () => {
  it('a new identity has three files: secret, sealed, public', async () => {
    const made = await create();
    expect(isId(made.keyId)).toBe(true);
    expect((await readdir(keyDir, { recursive: true })).sort()).toEqual([
      'dupont.age',
      'dupont.pub',
      'identities',
      'identities/dupont.key',
    ]);
    expect((await stat(join(keyDir, 'identities/dupont.key'))).mode & 0o7777).toBe(0o600);
    const loaded = await loadIdentity(keyDir, 'dupont');
    expect(loaded).toMatchObject(made);
    expect(await loadRecipient(keyDir, 'dupont')).toEqual(made);
    expect(await recipientOf(loaded.identity)).toBe(made.recipient);
    expect(await openIdentity(await loadSealedIdentity(keyDir, 'dupont'), [recovery])).toBe(loaded.identity);
    for (const name of ['dupont.pub', 'dupont.age']) {
      expect((await readFile(join(keyDir, name))).includes(loaded.identity)).toBe(false);
    }
  });

  it('the age command uses the files as they are', async () => {
    await create();
    const stored = await run('age', ['-R', join(keyDir, 'dupont.pub')], Buffer.from('hello'));
    expect((await run('age', ['-d', '-i', join(keyDir, 'identities/dupont.key')], stored)).toString()).toBe('hello');
  });

  it('a shop that has an identity keeps it', async () => {
    const first = await create();
    expect(await create()).toEqual(first);
    expect((await create('martin')).recipient).not.toBe(first.recipient);
  });

  it('the recipient is read without the identity', async () => {
    const made = await create();
    await unlink(join(keyDir, 'identities/dupont.key'));
    expect(await loadRecipient(keyDir, 'dupont')).toEqual(made);
    expect(await create()).toEqual(made);
  });

  it('killed between two files, the next call goes on from the identity that is there', async () => {
    const made = await create();
    await unlink(join(keyDir, 'dupont.pub'));
    expect(await create()).toEqual(made);
    await unlink(join(keyDir, 'dupont.pub'));
    await unlink(join(keyDir, 'dupont.age'));
    expect(await create()).toEqual(made);
    expect(await openIdentity(await loadSealedIdentity(keyDir, 'dupont'), [recovery])).toBe(
      (await loadIdentity(keyDir, 'dupont')).identity,
    );
  });

  it('an identity that others can read is E_SECRET_MODE', async () => {
    await create();
    await chmod(join(keyDir, 'identities/dupont.key'), 0o644);
    await expect(loadIdentity(keyDir, 'dupont')).rejects.toMatchObject({ code: 'E_SECRET_MODE' });
  });

  it('missing and damaged files are E_KEY and quote nothing', async () => {
    await expect(loadRecipient(keyDir, 'dupont')).rejects.toMatchObject({ code: 'E_KEY' });
    await expect(loadIdentity(keyDir, 'dupont')).rejects.toMatchObject({ code: 'E_KEY' });
    const { identity } = await create().then(() => loadIdentity(keyDir, 'dupont'));
    const path = join(keyDir, 'identities/dupont.key');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace(identity, identity.slice(0, -3)));
    const error = await loadIdentity(keyDir, 'dupont').catch((problem) => problem);
    expect(error).toMatchObject({ code: 'E_KEY' });
    expect(`${error.message}${error.stack}`).not.toContain(identity.slice(0, 30));
    await writeFile(join(keyDir, 'dupont.pub'), 'nothing');
    await expect(loadRecipient(keyDir, 'dupont')).rejects.toMatchObject({ code: 'E_KEY' });
  });

  it('no recovery recipient, no identity', async () => {
    await expect(createIdentity({ keyDir, shop: 'dupont', recoveryRecipients: [], clock: systemClock })).rejects.toMatchObject({
      code: 'E_KEY',
    });
    await expect(loadRecipient(keyDir, 'dupont')).rejects.toMatchObject({ code: 'E_KEY' });
    await create();
  });

  it('a name that is no shop name never becomes a path', async () => {
    await expect(create('../x')).rejects.toMatchObject({ code: 'E_UNKNOWN_SHOP' });
  });
});
