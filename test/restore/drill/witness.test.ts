// What a drill says that it read: only what came whole out of its vault with the hash that the manifest names.
import { createHash } from 'node:crypto';
import { chmodSync, readFileSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import type { FilesystemVaultConfig } from '../../../src/config/config.ts';
import { CoffreError } from '../../../src/errors.ts';
import type { NamedObject } from '../../../src/restore/drill/evidence.ts';
import { Witness } from '../../../src/restore/drill/witness.ts';
import { FilesystemVault } from '../../../src/vault/filesystem.ts';
import { tempDir } from '../../temp-dir.ts';

test('each object - read, altered by a byte, cut short, missing, left half-way, never asked for', async () => {
  const dir = await tempDir();
  const vault = new FilesystemVault({ name: 'nas', path: dir } as FilesystemVaultConfig, systemClock);
  await vault.initialise();
  const named: NamedObject[] = [];
  for (const name of ['read', 'altered', 'short', 'missing', 'half', 'never']) {
    const body = Buffer.alloc(name === 'half' ? 4_000_000 : 1000, name);
    const { key, versionId } = await vault.put({ key: `shops/dupont/${name}`, body, retainUntil: null });
    const sha256 = createHash('sha256').update(body).digest('hex');
    named.push({ kind: 'segment', source: 'files', key, versionId, bytes: body.length, sha256 });
  }
  const at = (name: string): string => join(dir, 'shops/dupont', name);
  for (const name of ['altered', 'short']) chmodSync(at(name), 0o600);
  const witness = new Witness();
  const watched = witness.watch(vault);
  const content = readFileSync(at('altered'));
  content[500] = 0;
  writeFileSync(at('altered'), content);
  truncateSync(at('short'), 999);
  unlinkSync(at('missing'));
  for (const { key } of named.slice(0, 5)) {
    const { versionId } = (await watched.listVersions(key)[Symbol.asyncIterator]().next()).value ?? { versionId: '0-0' };
    const object = named.find((one) => one.key === key) as { versionId: string };
    // a folder's version is its time: whoever alters an object keeps it
    if (versionId !== '0-0') object.versionId = versionId;
    try {
      for await (const _ of await watched.get(key, object.versionId)) if (key.endsWith('half')) break;
    } catch (error) {
      expect(error).toMatchObject({ code: 'E_OBJECT_MISSING' });
    }
  }
  expect(witness.told(named).map(({ state }) => state)).toEqual(['read', 'altered', 'altered', 'missing', 'not-read', 'not-read']);
  // a restore that fails of one object gives up the others with that one's error
  const reason = new CoffreError('E_OBJECT_MISSING', 'another one');
  const [first] = named as [NamedObject];
  await expect(watched.get(first.key, first.versionId, AbortSignal.abort(reason))).rejects.toMatchObject({ code: 'E_OBJECT_MISSING' });
  expect(witness.stateOf(first)).toBe('not-read');
  await watched.close();
});
