// doctor on real servers: green where all is right, red with its own code and hint where something is not.
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startFaultProxy } from '../../servers/fault-proxy.ts';
import { type Bucket, freshBucket, inventory } from '../../servers/s3.ts';
import { tempDir } from '../../temp-dir.ts';
import { coffre, coffreJson } from '../run-coffre.ts';

interface Line {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly hint?: string;
  readonly code?: string;
}

/** An initialised place with one shop of files; `vaults` is YAML that replaces what init wrote under vaults. */
async function installation(vaults: string, shopVaults: string, folder?: string) {
  const dir = folder ?? (await tempDir());
  await mkdir(join(dir, 'www'), { recursive: true });
  await writeFile(join(dir, 'www/index.php'), '<?php\n');
  const config = join(dir, 'etc/coffre.yaml');
  await coffre([
    '--config',
    config,
    'init',
    '--state-dir',
    join(dir, 'state'),
    '--shop',
    'dupont',
    '--files-root',
    join(dir, 'www'),
    '--files-profile',
    'generic',
    '--vault-path',
    join(dir, 'first'),
    '--vault-name',
    'first',
  ]);
  const written = await readFile(config, 'utf8');
  await writeFile(
    config,
    written.replace(/vaults:\n[\s\S]*?\nplans:/, `vaults:\n${vaults}\nplans:`).replace('vaults: [first]', `vaults: ${shopVaults}`),
  );
  const doctor = async (...args: string[]) => {
    const said = await coffreJson(['--config', config, 'doctor', ...args]);
    return { ...said, checks: (said.json.checks ?? []) as Line[] };
  };
  return { dir, config, doctor };
}

async function s3Vault(dir: string, bucket: Bucket, change: Record<string, unknown> = {}): Promise<string> {
  const { endpoint, region, accessKey, secretKey } = bucket.store;
  const credentialsFile = join(dir, 'offsite.json');
  await writeFile(credentialsFile, JSON.stringify({ accessKeyId: accessKey, secretAccessKey: change.secret ?? secretKey }), {
    mode: 0o600,
  });
  const { secret: _secret, ...settings } = change;
  return `  offsite: ${JSON.stringify({ type: 's3', endpoint, region, bucket: bucket.name, prefix: 'p', offsite: true, credentialsFile, timeouts: { connect: '2s', request: '5s' }, ...settings })}\n`;
}

const red = (checks: readonly Line[]): string[] => checks.filter((check) => !check.ok).map((check) => check.name);

describe('doctor', () => {
  /** It waits for its locks to end, a minute: begun before all other tests, looked at after them. */
  let waited: ReturnType<typeof waitForLocks>;
  async function waitForLocks() {
    const bucket = await freshBucket();
    const dir = await mkdtemp(join(tmpdir(), 'coffre-test-'));
    const nas = `/dev/shm/coffre-doctor-${process.pid}`;
    try {
      const vaults = `  nas: { type: filesystem, path: ${nas} }\n${await s3Vault(dir, bucket)}`;
      const { doctor } = await installation(vaults, '[nas, offsite]', join(dir, 'installation'));
      return { ...(await doctor('--wait')), leftBytes: (await inventory(bucket)).totalBytes };
    } finally {
      await Promise.all([dir, nas].map((each) => rm(each, { recursive: true, force: true })));
      await bucket.release();
    }
  }
  beforeAll(() => {
    waited = waitForLocks();
    // said by the test that looks at it
    waited.catch(() => {});
  });
  afterAll(async () => {
    // where the test that looks at it was not asked for
    await waited.catch(() => {});
  });

  it('a bucket without Object Lock - red with E_NO_OBJECT_LOCK, and no immutable copy', async () => {
    const bucket = await freshBucket({ objectLock: false });
    onTestFinished(() => bucket.release());
    const secrets = await tempDir();
    const { doctor } = await installation(await s3Vault(secrets, bucket), '[offsite]');
    const { status, json, checks } = await doctor();
    expect(status).toBe(1);
    expect(json).toMatchObject({ ok: false, error: { code: 'E_RED' } });
    expect(checks.find((check) => check.code === 'E_NO_OBJECT_LOCK')).toMatchObject({
      ok: false,
      hint: expect.stringContaining('Object Lock'),
    });
    expect(red(checks)).toContain('dupont immutable copy');
  });

  it('a wrong secret key - red with E_VAULT_AUTH, the key said nowhere', async () => {
    const bucket = await freshBucket();
    onTestFinished(() => bucket.release());
    const secrets = await tempDir();
    const { doctor } = await installation(await s3Vault(secrets, bucket, { secret: 'wr0ng-s3cret' }), '[offsite]');
    const { checks, stdout, stderr } = await doctor();
    expect(checks.some((check) => check.code === 'E_VAULT_AUTH')).toBe(true);
    expect(stdout + stderr).not.toContain('wr0ng-s3cret');
  });

  it('a bucket that does not exist - red with E_BUCKET_MISSING', async () => {
    const bucket = await freshBucket();
    onTestFinished(() => bucket.release());
    const secrets = await tempDir();
    const { doctor } = await installation(await s3Vault(secrets, bucket, { bucket: 'nowhere-at-all' }), '[offsite]');
    expect((await doctor()).checks.some((check) => check.code === 'E_BUCKET_MISSING')).toBe(true);
  });

  it('a store that does not answer - red with a vault code before its deadline', async () => {
    const bucket = await freshBucket();
    onTestFinished(() => bucket.release());
    const proxy = await startFaultProxy(Number(new URL(bucket.store.endpoint).port));
    onTestFinished(() => proxy.stop());
    proxy.set({ mode: 'blackHole' });
    const secrets = await tempDir();
    const { doctor } = await installation(await s3Vault(secrets, bucket, { endpoint: proxy.endpoint }), '[offsite]');
    const { checks } = await doctor();
    expect(checks.some((check) => check.code === 'E_VAULT_TIMEOUT' || check.code === 'E_VAULT_UNREACHABLE')).toBe(true);
  });

  it('a vault beside the shop - usable, and no copy', async () => {
    const { dir, doctor } = await installation('  # set below', '[nas]');
    const config = join(dir, 'etc/coffre.yaml');
    await writeFile(
      config,
      (await readFile(config, 'utf8')).replace('  # set below', `  nas: { type: filesystem, path: ${join(dir, 'nas')} }`),
    );
    const { status, checks } = await doctor('dupont');
    expect(status).toBe(1);
    expect(red(checks)).toEqual(['dupont 3-2-1', 'dupont immutable copy']);
    expect(checks.find((check) => check.name === 'dupont 3-2-1')?.detail).toContain("nas is on the shop's own disk and does not count");
  });

  it('a new folder - becomes a vault at its first use; the same folder emptied later is an unmounted disk', async () => {
    const { dir, config, doctor } = await installation('  nas: { type: filesystem, path: ../other }', '[nas]');
    expect(red((await doctor()).checks)).toEqual(['dupont 3-2-1', 'dupont immutable copy']);
    await rm(join(dir, 'other'), { recursive: true });
    await mkdir(join(dir, 'other'));
    expect((await doctor()).checks.find((check) => check.code === 'E_VAULT_UNREACHABLE')).toMatchObject({
      detail: expect.stringContaining('.coffre-vault'),
      hint: expect.stringContaining('coffre vault prepare nas'),
    });
    // a new disk in its place, said so
    expect(await coffreJson(['--config', config, 'vault', 'prepare', 'nas'])).toMatchObject({
      status: 0,
      json: { path: join(dir, 'other') },
    });
    expect((await doctor()).checks.some((check) => check.code === 'E_VAULT_UNREACHABLE')).toBe(false);
    expect((await coffreJson(['--config', config, 'vault'])).json.vaults).toMatchObject([{ name: 'nas', probe: 'proven' }]);
  });

  it('secrets that others can read, keys that are gone - red with their codes', async () => {
    const { dir, config, doctor } = await installation('  nas: { type: filesystem, path: ../nas }', '[nas]');
    await writeFile(join(dir, 'pw'), 'hunter2\n');
    await chmod(join(dir, 'pw'), 0o644);
    const text = await readFile(config, 'utf8');
    await writeFile(
      config,
      text.replace(
        '    files:',
        `    database: { name: d, user: u, host: 127.0.0.1, port: 9, passwordFile: ${join(dir, 'pw')} }\n    files:`,
      ),
    );
    await rm(join(dir, 'etc/keys/signing.key'));
    await chmod(join(dir, 'etc/keys/identities/dupont.key'), 0o644);
    const { checks, stdout, stderr } = await doctor();
    expect(checks.find((check) => check.name === 'signing key')?.code).toBe('E_KEY');
    expect(checks.find((check) => check.name === 'key of dupont')?.code).toBe('E_SECRET_MODE');
    expect(checks.find((check) => check.name === 'password of dupont')?.code).toBe('E_SECRET_MODE');
    expect(stdout + stderr).not.toContain('hunter2');
  });

  it('a shop that is not declared - E_UNKNOWN_SHOP, status 2', async () => {
    const { doctor } = await installation('  nas: { type: filesystem, path: ../nas }', '[nas]');
    const error = { code: 'E_UNKNOWN_SHOP', hint: 'did you mean dupont?' };
    expect(await doctor('dupond')).toMatchObject({ status: 2, json: { error } });
    expect((await doctor('nosuch')).json.error.hint).toBe('declared are dupont');
  });

  it('for people - one line each, the hint below what is red', async () => {
    const { config } = await installation('  nas: { type: filesystem, path: ../nas }', '[nas]');
    const { stdout, stderr } = await coffre(['--config', config, 'doctor']);
    expect(stdout).toMatch(/^ok {4}configuration {2,}\S/);
    expect(stdout).toMatch(/^RED {3}dupont 3-2-1 .*\n +HINT: /m);
    expect(stderr).toMatch(/^coffre: 2 of \d+ checks are red \[E_RED\]/);
  });

  it('a NAS on another disk and a locked bucket - all green, status 0, the probe leaves only what its locks hold', async () => {
    const { status, json, checks, leftBytes } = await waited;
    expect(red(checks)).toEqual([]);
    expect({ status, ok: json.ok, error: json.error }).toEqual({ status: 0, ok: true, error: undefined });
    expect(checks.find((check) => check.name === 'dupont 3-2-1')?.detail).toBe(
      '3 copies, 2 kinds of media (disk, object), off site: offsite',
    );
    expect(checks.find((check) => check.name === 'dupont immutable copy')?.detail).toBe('locked in offsite');
    expect(leftBytes).toBe(0);
  }, 240_000);
});
