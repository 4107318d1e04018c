import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFaultProxy } from '../servers/fault-proxy.ts';
import { freePort } from '../servers/rig.ts';
import { type Bucket, freshBucket, inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';
import { inCatalog } from './attack.ts';
import { fails, meteredExactly, recovers, withConfig } from './faults.ts';
import { writeTree } from './tree.ts';

async function shopIn(options: Parameters<typeof makeWorld>[0]): Promise<{ world: World; root: string }> {
  const world = await makeWorld(options);
  const root = join(world.dir, 'shop');
  writeTree(root);
  world.writeConfig({ ...options, files: { root } });
  return { world, root };
}

/**
 * The environment in which every program believes it is another time. The library is preloaded without
 * the `faketime` program, which fails when the semaphore that it names after its process id was left
 * behind by another, killed one.
 */
function shiftedClock(by: string): Record<string, string> {
  const files = execFileSync('dpkg-query', ['--listfiles', 'libfaketime'], { encoding: 'utf8' });
  const preload = /^.*\/libfaketime\.so\..*$/m.exec(files)?.[0];
  if (preload === undefined) throw new Error('the package libfaketime holds no libfaketime.so');
  return { LD_PRELOAD: preload, FAKETIME: by, FAKETIME_DONT_FAKE_MONOTONIC: '1' };
}

describe('one store', () => {
  let world: World;
  let root: string;
  beforeAll(async () => {
    ({ world, root } = await shopIn({}));
  });
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  const backup = ['backup', 'dupont'];
  const endpoint = (): string => world.bucket.store.endpoint;
  const credentials = (): string => join(world.keyDir, 'offsite.json');

  async function withCredentials(change: object, work: () => Promise<unknown>): Promise<void> {
    const before = readFileSync(credentials(), 'utf8');
    writeFileSync(credentials(), JSON.stringify({ ...JSON.parse(before), ...change }));
    try {
      await work();
    } finally {
      writeFileSync(credentials(), before);
    }
  }

  /** Each before the first backup and after one, when the vault was proven and its objects are known. */
  for (const when of ['a vault never used', 'a vault in use'] as const) {
    describe(when, () => {
      afterAll(async () => {
        await recovers(world, root);
      });

      it('a store that does not answer - E_VAULT_UNREACHABLE', async () => {
        await withConfig(world, endpoint(), `http://127.0.0.1:${await freePort()}`, async () => {
          await fails(world, backup, { code: 'E_VAULT_UNREACHABLE', says: /offsite.*ECONNREFUSED/s, hint: /endpoint/ });
        });
      });

      it('a server that closes every connection - E_VAULT_UNREACHABLE', async () => {
        const server = createServer((socket) => socket.destroy());
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        const address = server.address() as { port: number };
        try {
          await withConfig(world, endpoint(), `http://127.0.0.1:${address.port}`, async () => {
            await fails(world, backup, { code: 'E_VAULT_UNREACHABLE', says: /offsite/ });
          });
        } finally {
          server.close();
        }
      });

      it('a wrong secret - E_VAULT_AUTH, without the secret', async () => {
        const secretAccessKey = 'wrongwrongwrongwrongwrongwrongwrongwrong';
        await withCredentials({ secretAccessKey }, async () => {
          const outcome = await fails(world, backup, { code: 'E_VAULT_AUTH', says: /offsite/, hint: /credentialsFile/ });
          expect(outcome.stdout + outcome.stderr).not.toContain(secretAccessKey);
        });
      });

      it('an unknown key - E_VAULT_AUTH', async () => {
        await withCredentials({ accessKeyId: 'nobody' }, async () => {
          await fails(world, backup, { code: 'E_VAULT_AUTH', says: /offsite/ });
        });
      });

      it('a credentials file that others can read - E_SECRET_MODE', async () => {
        chmodSync(credentials(), 0o644);
        try {
          await fails(world, backup, { code: 'E_SECRET_MODE', says: /offsite\.json.*0644/, hint: /chmod 600/ });
        } finally {
          chmodSync(credentials(), 0o600);
        }
      });

      it('a credentials file that is not there - E_SECRET_MISSING', async () => {
        await withConfig(world, 'offsite.json', 'nowhere.json', async () => {
          await fails(world, backup, { code: 'E_SECRET_MISSING', says: /nowhere\.json/ });
        });
      });

      it('a bucket that does not exist - E_BUCKET_MISSING', async () => {
        await withConfig(world, `bucket: ${world.bucket.name}`, 'bucket: coffre-test-nowhere', async () => {
          await fails(world, backup, { code: 'E_BUCKET_MISSING', says: /coffre-test-nowhere|offsite/, hint: /object-lock/ });
        });
      });

      for (const by of ['+1h', '-1h']) {
        it(`a clock that is ${by} off - E_CLOCK_SKEW, and nothing is stored under such dates`, async () => {
          const before = await inventory(world.bucket);
          await fails(
            world,
            backup,
            { code: 'E_CLOCK_SKEW', says: /its clock says \S+, ours says \S+: (3599|3600|3601|36\d\d) s apart/, hint: /time synch/ },
            { env: shiftedClock(by) },
          );
          expect(await inventory(world.bucket)).toEqual(before);
        });
      }
    });
  }

  it('after all that - nothing is left running, verify and prune find nothing wrong', async () => {
    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
    await world.ok(['prune', 'dupont']);
    await meteredExactly(world);
    const left = inCatalog(world, (database) =>
      database.prepare("select (select count(*) from runs where state = 'running') as runs, (select count(*) from pins) as pins").get(),
    );
    expect(left).toEqual({ runs: 0, pins: 0 });
  });

  it('a second backup while one holds the shop - E_BUSY, and the first is not disturbed', async () => {
    const proxy = await startFaultProxy(Number(new URL(endpoint()).port));
    try {
      await withConfig(world, endpoint(), proxy.endpoint, async () => {
        proxy.set({ mode: 'blackHole' });
        const first = world.start(['--log-level', 'debug', ...backup]);
        const ended = new Promise<number | null>((resolve) => first.once('exit', resolve));
        const lines = createInterface({ input: first.stderr as NodeJS.ReadableStream });
        await new Promise<void>((resolve) => lines.on('line', (line) => line.includes('"event":"run.started"') && resolve()));
        await fails(world, backup, { code: 'E_BUSY', says: /dupont/, hint: /status/ });
        await fails(world, ['prune', 'dupont'], { code: 'E_BUSY', says: /dupont/ });
        proxy.set({ mode: 'pass' });
        expect(await ended).toBe(0);
      });
    } finally {
      await proxy.stop();
    }
    await recovers(world, root);
  });
});

describe('a bucket without Object Lock', () => {
  for (const versioning of [false, true]) {
    it(`${versioning ? 'versioned' : 'plain'}, of a vault never used - E_NO_OBJECT_LOCK; with a right bucket all is well`, async () => {
      const wrong: Bucket = await freshBucket({ objectLock: false, versioning });
      const { world, root } = await shopIn({});
      await using _ = world;
      try {
        await withConfig(world, `bucket: ${world.bucket.name}`, `bucket: ${wrong.name}`, async () => {
          await fails(world, ['backup', 'dupont'], { code: 'E_NO_OBJECT_LOCK', says: /offsite/, hint: /Object Lock/ });
        });
        expect((await inventory(wrong, 'prod/dupont/')).versions).toEqual([]);
        expect((await inventory(wrong)).totalBytes, 'left in the wrong bucket').toBe(0);
        await recovers(world, root);
      } finally {
        await wrong.release();
      }
    });
  }

  it('in the place of one that was proven - is refused as well, though the proof is still young', async () => {
    const wrong = await freshBucket({ objectLock: false, versioning: true });
    const { world, root } = await shopIn({});
    await using _ = world;
    try {
      await world.ok(['backup', 'dupont']);
      await withConfig(world, `bucket: ${world.bucket.name}`, `bucket: ${wrong.name}`, async () => {
        await fails(world, ['backup', 'dupont', '--full'], { code: 'E_NO_OBJECT_LOCK', says: /offsite/ });
      });
      expect((await inventory(wrong)).totalBytes, 'left in the wrong bucket').toBe(0);
      await recovers(world, root);
    } finally {
      await wrong.release();
    }
  });
});

describe('a vault of the same name in another bucket', () => {
  it('is proven anew before anything is stored, and back in the first one the old proof serves', async () => {
    const other = await freshBucket({ objectLock: true });
    const { world } = await shopIn({});
    await using _ = world;
    const probes = (): number =>
      inCatalog(world, (database) => Number(database.prepare("select count(*) as n from probes where outcome = 'proven'").get()?.n));
    const kinds = (): unknown[] =>
      inCatalog(world, (database) => database.prepare('select kind from objects order by id').all()).map(({ kind }) => kind);
    const shown = async (): Promise<unknown> => {
      const { json } = await world.ok(['vault']);
      return json.vaults.find(({ name }: { name: string }) => name === 'offsite').probe;
    };
    try {
      await world.ok(['backup', 'dupont']);
      expect(probes()).toBe(1);
      await withConfig(world, `bucket: ${world.bucket.name}`, `bucket: ${other.name}`, async () => {
        expect(await shown(), 'before it was probed').toBeNull();
        const before = kinds().length;
        await world.ok(['backup', 'dupont', '--full']);
        expect(probes()).toBe(2);
        expect(kinds().slice(before)[0], 'the first object in it').toBe('probe');
        expect((await inventory(other, 'prod/dupont/')).versions.length).toBeGreaterThan(0);
        await world.ok(['backup', 'dupont']);
        expect(probes(), 'the proof of this place is young').toBe(2);
      });
      await world.ok(['backup', 'dupont']);
      expect(probes(), 'the first place was not forgotten').toBe(2);
      expect(await shown()).toBe('proven');
    } finally {
      await other.release();
    }
  });
});

describe('two vaults, one of them away', () => {
  it('the store does not answer - the folder has the snapshot, E_DEGRADED says why; next time both have one', async () => {
    const { world, root } = await shopIn({ vaults: ['nas', 'offsite'] });
    await using _ = world;
    await withConfig(world, world.bucket.store.endpoint, `http://127.0.0.1:${await freePort()}`, async () => {
      const { json } = await fails(world, ['backup', 'dupont'], {
        code: 'E_DEGRADED',
        says: /offsite.*\[E_VAULT_UNREACHABLE\]/s,
        hint: /endpoint/,
      });
      expect(json.snapshots[0]).toMatchObject({
        vaults: ['nas'],
        lock: { verified: false },
        missing: [{ vault: 'offsite', code: 'E_VAULT_UNREACHABLE' }],
      });
      expect(json.failures).toEqual([expect.objectContaining({ source: 'files', code: 'E_DEGRADED' })]);
    });
    await recovers(world, root);
    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
  });
});
