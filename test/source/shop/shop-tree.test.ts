// What a tree is: version and layout in the summary, secrets named, the administration's own backups left out, a wrong root found out.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import type { FilesConfig } from '../../../src/config/config.ts';
import { localHost } from '../../../src/host/local.ts';
import { FilesSource } from '../../../src/source/files/files-source.ts';
import { ShopTreeSource } from '../../../src/source/shop/shop-tree.ts';
import type { SourceSummary } from '../../../src/source/source.ts';
import { tempDir } from '../../temp-dir.ts';
import { PRESTASHOP, WORDPRESS, write } from './places.ts';

const NEVER = new AbortController().signal;

function sourceOf(root: string, profile: FilesConfig['profile']): ShopTreeSource {
  return new ShopTreeSource({ root, profile, exclude: [] }, localHost, (files) => new FilesSource(files, localHost, systemClock));
}

async function readAll(root: string, profile: FilesConfig['profile']): Promise<{ paths: string[]; summary: SourceSummary }> {
  const reading = await sourceOf(root, profile).open({
    signal: NEVER,
    previous: [],
    reread: false,
    scratchDir: await tempDir(),
  });
  const paths: string[] = [];
  try {
    for await (const item of reading.items()) {
      if (item.type !== 'part') continue;
      for await (const _ of item.read(NEVER));
      for (const entry of item.outcome().entries) if ('path' in entry) paths.push(entry.path);
    }
    return { paths, summary: reading.summary() };
  } finally {
    await reading.close();
  }
}

const shopLine = async (root: string, profile: FilesConfig['profile']) =>
  (await sourceOf(root, profile).check()).find(({ name }) => name === 'shop');

describe('a shop’s tree', () => {
  it.each([
    ['8.1.2', '8', 'app/config/parameters.php, .env'],
    ['1.7.8.7', '1.7', 'app/config/parameters.php'],
    ['1.6.1.24', '1.6', 'config/settings.inc.php'],
  ] as const)('PrestaShop %s - version, layout and secrets are in the summary', async (version, layout, secrets) => {
    const root = await tempDir();
    write(root, PRESTASHOP[version]);
    expect((await readAll(root, 'prestashop')).summary.server).toMatchObject({ application: `PrestaShop ${version}`, layout, secrets });
    expect(await shopLine(root, 'prestashop')).toEqual({ name: 'shop', ok: true, detail: `PrestaShop ${version} at ${root}` });
  });

  it('caches and the copies that its administration keeps - left out, folders kept; same names elsewhere, logs, sessions - kept', async () => {
    const root = await tempDir();
    write(root, PRESTASHOP['8.1.2']);
    const { paths, summary } = await readAll(root, 'prestashop');
    expect(summary.server?.leftOut).toBe('admin7q2x/autoupgrade/backup/**, admin7q2x/backups/**');
    const kept = ['admin7q2x/backups', 'admin7q2x/autoupgrade/backup', 'admin7q2x/autoupgrade/index.php', 'modules/backups/backups.php'];
    const more = ['img/backups/kept.jpg', 'var/cache', 'var/logs/prod.log', 'var/sessions/prod/sess_1', 'app/config/parameters.php'];
    for (const path of [...kept, ...more]) expect(paths).toContain(path);
    expect(paths.filter((path) => /auto-backupfiles|sql\.bz2|container\.php/.test(path))).toEqual([]);
  });

  it('WordPress - version; another application, or a plain tree - nothing is claimed', async () => {
    const root = await tempDir();
    write(root, WORDPRESS);
    expect((await readAll(root, 'wordpress')).summary.server).toEqual({
      application: 'WordPress 6.4.2',
      layout: 'wordpress',
      secrets: 'wp-config.php',
    });
    expect((await readAll(root, 'generic')).summary.server).toEqual({ secrets: 'wp-config.php' });
    expect(await shopLine(root, 'generic')).toBeUndefined();
    const plain = await tempDir();
    write(plain, { 'index.html': 'x' });
    expect((await readAll(plain, 'generic')).summary).not.toHaveProperty('server');
  });

  it('a version that is no version, or a file that is no PHP - the shop is there, its version unknown', async () => {
    for (const file of ["<?php class Version { const VERSION = 'x\u001b[31m y'; }", "<?php class Version { const VERSION = '8", '']) {
      const root = await tempDir();
      write(root, { 'config/defines.inc.php': '', 'src/Core/Version.php': file, 'app/AppKernel.php': '<?php' });
      expect(await shopLine(root, 'prestashop')).toMatchObject({ ok: true, detail: `PrestaShop of an unknown version at ${root}` });
    }
  });

  it('a fifo where the version should stand - refused at once, not waited for', async () => {
    const root = await tempDir();
    write(root, { 'config/defines.inc.php': '', 'src/Core/x': '' });
    execFileSync('mkfifo', [join(root, 'src/Core/Version.php')]);
    expect(await shopLine(root, 'prestashop')).toMatchObject({ ok: false, detail: expect.stringContaining('Not a regular file') });
    await expect(readAll(root, 'prestashop')).rejects.toMatchObject({ code: 'E_CONFIG' });
  });

  it('a root too high, too low, or wrong - doctor is red and says where the shop is', async () => {
    const above = await tempDir();
    write(join(above, 'clients/dupont/www'), PRESTASHOP['8.1.2']);
    const www = join(above, 'clients/dupont/www');
    for (const wrong of ['clients', 'clients/dupont', 'clients/dupont/www/img', 'clients/dupont/www/admin7q2x/backups']) {
      const root = join(above, wrong);
      expect(await shopLine(root, 'prestashop')).toEqual({
        name: 'shop',
        ok: false,
        detail: `no PrestaShop at ${root}, but one at ${www}`,
        hint: `write root: ${www} under files:`,
      });
    }
    expect(await shopLine(www, 'wordpress')).toMatchObject({ ok: false, detail: `no WordPress at ${www}` });
    const nowhere = join(above, 'not-there');
    expect(await shopLine(nowhere, 'prestashop')).toMatchObject({ ok: false, hint: 'check files.root, or say profile: generic' });
    // the backup of it goes on as that of any tree
    expect((await readAll(join(above, 'clients'), 'prestashop')).summary.server).toBeUndefined();
  });
});
