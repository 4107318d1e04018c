// init: what it makes, that it overwrites nothing, that the kit opens what the keys seal, and that no secret is said.
import { execFileSync } from 'node:child_process';
import { chown, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { steps } from '../../by-hand.ts';
import { PRESTASHOP, write } from '../../source/shop/places.ts';
import { tempDir } from '../../temp-dir.ts';
import { coffre, coffreJson } from '../run-coffre.ts';

async function place() {
  const dir = await tempDir();
  await mkdir(join(dir, 'www'));
  const config = join(dir, 'etc/coffre.yaml');
  const flags = ['--state-dir', join(dir, 'state'), '--vault-path', join(dir, 'nas')];
  const shop = ['--shop', 'dupont', '--files-root', join(dir, 'www')];
  return { dir, config, flags, shop, init: (...more: string[]) => coffreJson(['--config', config, 'init', ...flags, ...more]) };
}

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o7777).toString(8);

describe('a new installation', () => {
  it('from flags - config, keys, kit, folders with their modes, then doctor', async () => {
    const { dir, config, shop, init } = await place();
    const { json, stdout, stderr } = await init(...shop, '--timezone', 'Europe/Paris', '--retention', '30d');
    expect(json.config).toBe(config);
    expect(json.next).toContainEqual(expect.stringMatching(`^coffre -c ${config} backup dupont +# `));
    expect(json.next.join('\n')).not.toMatch(/^(coffre (?!-c)|systemctl)/m);
    expect(json.doctor.checks.length).toBeGreaterThan(5);
    expect(loadConfig(config, {})).toMatchObject({ timezone: 'Europe/Paris', stateDir: join(dir, 'state'), warnings: [] });
    expect(loadConfig(config, {}).shops.get('dupont')?.plan.retentionMs).toBe(30 * 86_400_000);
    expect(await modeOf(join(dir, 'etc/recovery-kit.txt'))).toBe('600');
    expect(await modeOf(join(dir, 'etc/keys'))).toBe('700');
    expect(await modeOf(join(dir, 'etc/keys/signing.key'))).toBe('600');
    expect(await modeOf(join(dir, 'etc/keys/identities/dupont.key'))).toBe('600');
    expect(await modeOf(join(dir, 'state'))).toBe('700');
    const kit = await readFile(join(dir, 'etc/recovery-kit.txt'), 'utf8');
    expect(kit).toContain(json.signingFingerprint);
    expect(kit).toContain(json.recovery[0]);
    for (const block of steps('fetch', 'open', 'signature', 'check', 'files', 'database')) expect(kit).toContain(block);
    // the secrets are in their files alone
    for (const said of [stdout, stderr, await readFile(config, 'utf8')]) expect(said).not.toMatch(/SECRET-KEY|PRIVATE KEY/);
  });

  it("the recovery identity on the kit - opens the shop's identity with the age command", async () => {
    const { dir, shop, init } = await place();
    await init(...shop);
    const kit = await readFile(join(dir, 'etc/recovery-kit.txt'), 'utf8');
    const identity = /secret: (AGE-SECRET-KEY-\S+)/.exec(kit)?.[1] ?? '';
    await writeFile(join(dir, 'recovery.txt'), `${identity}\n`, { mode: 0o600 });
    const opened = execFileSync('age', ['-d', '-i', join(dir, 'recovery.txt'), join(dir, 'etc/keys/dupont.age')], { encoding: 'utf8' });
    const kept = await readFile(join(dir, 'etc/keys/identities/dupont.key'), 'utf8');
    expect(kept).toContain(/AGE-SECRET-KEY-\S+/.exec(opened)?.[0]);
  });

  it.runIf(process.geteuid?.() === 0)(
    'by root, for a daemon that is not - folders of state and vault are its own, keys are root’s',
    async () => {
      const { dir, shop, init } = await place();
      await mkdir(join(dir, 'state'));
      await chown(join(dir, 'state'), 54321, 54321);
      await init(...shop);
      const ownerOf = async (path: string): Promise<number> => (await stat(join(dir, path))).uid;
      for (const path of ['state', 'nas']) {
        const inside = await readdir(join(dir, path), { recursive: true });
        expect(inside.length).toBeGreaterThan(0);
        for (const name of ['', ...inside]) expect([name, await ownerOf(join(path, name))]).toEqual([name, 54321]);
      }
      expect(await ownerOf('etc/keys/signing.key')).toBe(0);
      expect(await ownerOf('etc/recovery-kit.txt')).toBe(0);
    },
  );

  it('shops that are found - each is declared, with what its own configuration says; none - E_USAGE', async () => {
    const { dir, config, init } = await place();
    write(join(dir, 'shops/dupont/www'), PRESTASHOP['8.1.2']);
    write(join(dir, 'shops/martin'), PRESTASHOP['1.7.8.7']);
    const { json } = await init('--find-shops', join(dir, 'shops'));
    expect(json.shops).toEqual(['dupont', 'martin']);
    expect(json.next).toContainEqual(expect.stringContaining(' backup dupont'));
    expect(loadConfig(config, {}).shops.get('dupont')).toMatchObject({
      files: { root: join(dir, 'shops/dupont/www') },
      database: { fromShop: true },
    });
    const other = await place();
    const { json: none } = await other.init('--find-shops', join(dir, 'www'));
    expect(none.error).toMatchObject({ code: 'E_USAGE' });
  });

  it('without encryption, said aloud - no identities, the kit says so', async () => {
    const { dir, config, shop, init } = await place();
    await init(...shop, '--encryption', 'none');
    expect(loadConfig(config, {}).encryption).toBe('none');
    expect((await readdir(join(dir, 'etc/keys'))).sort()).toEqual(['signing.key']);
    expect(await readFile(join(dir, 'etc/recovery-kit.txt'), 'utf8')).toContain('NO RECOVERY IDENTITY');
  });

  it('no vault yet - the kit says that it is to be printed again, and so does init', async () => {
    const { dir, config } = await place();
    const { stdout } = await coffre(['--config', config, 'init', '--state-dir', join(dir, 'state')]);
    expect(stdout).toMatch(new RegExp(`names no vault yet.*coffre -c ${config} keys recovery-kit`));
    const kit = await readFile(join(dir, 'etc/recovery-kit.txt'), 'utf8');
    expect(kit).toMatch(/3\. VAULTS\n +NONE WAS DECLARED.*print a new kit:\n +coffre --config \S+ keys recovery-kit\n/);
    const withVault = await place();
    await withVault.init(...withVault.shop);
    expect(await readFile(join(withVault.dir, 'etc/recovery-kit.txt'), 'utf8')).not.toContain('NONE WAS');
  });

  it("the agency's own recovery recipient - used, and no secret is made", async () => {
    const { dir, config, init } = await place();
    const mine = 'age19vckua6rw363y9zafa7y5gcl4f4af6s2gayk2vygvyz3wwgtjatq69pggv';
    await init('--recovery', mine);
    expect(loadConfig(config, {}).encryption).toMatchObject({ recovery: [mine] });
    expect(await readFile(join(dir, 'etc/recovery-kit.txt'), 'utf8')).not.toMatch(/AGE-SECRET-KEY-1[A-Z0-9]/);
  });

  it('a shop on another host - written as it was given, with files beside the configuration where nothing was', async () => {
    const { dir, config, init } = await place();
    const ssh = ['--ssh-host', '127.0.0.1', '--ssh-port', '1', '--ssh-key-file', join(dir, 'martin.key')];
    await init('--shop', 'martin', ...ssh, '--files-root', '/var/www/martin', '--db-from-shop');
    expect(loadConfig(config, {}).shops.get('martin')).toMatchObject({
      host: { type: 'ssh', host: '127.0.0.1', port: 1, user: 'coffre', knownHostsFile: join(dir, 'etc/known_hosts') },
      files: { root: '/var/www/martin' },
      database: { fromShop: true },
    });
    expect(await readFile(config, 'utf8')).toContain(`keyFile: ${join(dir, 'martin.key')}`);
    const other = await place();
    expect((await other.init(...other.shop, '--ssh-user', 'root')).json.error.code).toBe('E_USAGE');
  });

  it('an S3 vault and a database - written as they were given', async () => {
    const { dir, config, init } = await place();
    const s3 = [
      '--s3-endpoint',
      'http://127.0.0.1:9',
      '--s3-bucket',
      'b',
      '--s3-prefix',
      'prod',
      '--s3-credentials-file',
      join(dir, 'c.json'),
    ];
    const db = ['--shop', 'dupont', '--db-name', '123', '--db-host', '127.0.0.1', '--db-port', '9', '--db-password-file', join(dir, 'pw')];
    const rights = ['--s3-prune-credentials-file', join(dir, 'p.json'), '--s3-read-credentials-file', join(dir, 'r.json')];
    const { status } = await init(...s3, ...rights, ...db);
    expect(status).toBe(1);
    expect(await readFile(config, 'utf8')).toMatch(/pruneCredentialsFile: .*p\.json\n +readCredentialsFile: .*r\.json\n/);
    const loaded = loadConfig(config, {});
    expect(loaded.vaults.get('offsite')).toMatchObject({ endpoint: 'http://127.0.0.1:9', bucket: 'b', prefix: 'prod', offsite: true });
    expect(loaded.shops.get('dupont')).toMatchObject({ vaults: ['nas', 'offsite'], database: { name: '123', host: '127.0.0.1', port: 9 } });
  });
});

describe('what is there already', () => {
  it('a configuration - refused, nothing touched', async () => {
    const { dir, config, init } = await place();
    await mkdir(join(dir, 'etc'));
    await writeFile(config, 'mine\n');
    expect(await init()).toMatchObject({ status: 2, json: { error: { code: 'E_CONFIG' } } });
    expect(await readFile(config, 'utf8')).toBe('mine\n');
    expect(await readdir(dir)).toEqual(['etc', 'www']);
  });

  it('keys sealed to an older kit - refused until its recipient is given', async () => {
    const { dir, config, shop, init } = await place();
    const first = await init(...shop);
    await rm(config);
    expect(await init(...shop)).toMatchObject({
      status: 2,
      json: { error: { message: expect.stringContaining('recovery-kit.txt exists already') } },
    });
    await rm(join(dir, 'etc/recovery-kit.txt'));
    expect(await init(...shop)).toMatchObject({ status: 2, json: { error: { code: 'E_KEY' } } });
    const before = await readFile(join(dir, 'etc/keys/signing.key'), 'utf8');
    const again = await init(...shop, '--recovery', first.json.recovery[0]);
    expect(again.json.signingFingerprint).toBe(first.json.signingFingerprint);
    expect(await readFile(join(dir, 'etc/keys/signing.key'), 'utf8')).toBe(before);
  });

  it('a wrong answer - E_CONFIG, nothing written', async () => {
    const { dir, init } = await place();
    const message = expect.stringMatching(/^--retention is "14": /);
    expect(await init('--retention', '14')).toMatchObject({ status: 2, json: { error: { code: 'E_CONFIG', message } } });
    expect(await readdir(dir)).toEqual(['www']);
  });

  it('no flag and nobody to ask - E_USAGE, nothing written', async () => {
    const { dir, config } = await place();
    const said = await coffre(['--config', config, 'init']);
    expect(said.status).toBe(2);
    expect(said.stderr).toContain('[E_USAGE]');
    expect(said.stderr).toContain('on a terminal');
    expect(await readdir(dir)).toEqual(['www']);
  });

  it('flags that mean nothing alone - E_USAGE', async () => {
    const { init } = await place();
    expect(await init('--s3-bucket', 'b')).toMatchObject({ status: 2, json: { error: { code: 'E_USAGE' } } });
    expect(await init('--s3-endpoint', 'http://127.0.0.1:9')).toMatchObject({ status: 2, json: { error: { code: 'E_USAGE' } } });
    expect(await init('--files-root', '/x')).toMatchObject({ status: 2, json: { error: { code: 'E_USAGE' } } });
  });
});

describe('keys', () => {
  it('a shop added by hand - missing in red, made by keys make, kept afterwards', async () => {
    const { dir, config, init } = await place();
    await init();
    const text = await readFile(config, 'utf8');
    await writeFile(
      config,
      text.replace('shops:\n', `shops:\n  martin: { plan: standard, vaults: [nas], files: { root: ${join(dir, 'www')} } }\n`),
    );
    expect(await coffreJson(['--config', config, 'keys'])).toMatchObject({
      status: 2,
      json: { error: { code: 'E_KEY', hint: expect.stringContaining('keys make') } },
    });
    const made = await coffreJson(['--config', config, 'keys', 'make', 'martin']);
    expect(made).toMatchObject({ status: 0, json: { shops: [{ shop: 'martin', recipient: expect.stringMatching(/^age1/) }] } });
    expect((await coffreJson(['--config', config, 'keys', 'make'])).json.shops).toEqual(made.json.shops);
    expect(await coffreJson(['--config', config, 'keys', 'make', 'nobody'])).toMatchObject({
      status: 2,
      json: { error: { code: 'E_UNKNOWN_SHOP' } },
    });
  });

  it('a configuration written by hand - keys make makes all it names, private', async () => {
    const dir = await tempDir();
    const config = join(dir, 'coffre.yaml');
    await writeFile(config, 'encryption: none\nsigning: { keyFile: a/b/signing.key }\n');
    expect(await coffreJson(['--config', config, 'keys', 'make'])).toMatchObject({ status: 0, json: { encryption: 'none' } });
    expect([await modeOf(join(dir, 'a/b')), await modeOf(join(dir, 'a/b/signing.key'))]).toEqual(['700', '600']);
  });

  it('the recovery kit once more - without the identity, never over a file', async () => {
    const { dir, config, init } = await place();
    const { json } = await init();
    const again = await coffre(['--config', config, 'keys', 'recovery-kit']);
    expect(again.stdout).toContain(json.recovery[0]);
    expect(again.stdout).not.toMatch(/AGE-SECRET-KEY-1[A-Z0-9]/);
    expect(await coffreJson(['--config', config, 'keys', 'recovery-kit', '--to', 'kit.txt'], { cwd: dir })).toMatchObject({
      status: 0,
      json: { file: join(dir, 'kit.txt') },
    });
    expect(await coffreJson(['--config', config, 'keys', 'recovery-kit', '--to', 'kit.txt'], { cwd: dir })).toMatchObject({ status: 2 });
  });
});
