// Names that do not resolve, by the system's own resolver: a store's and a host's. Its files are the test's in a mount namespace of the daemon's.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { openCatalog } from '../../src/catalog/open.ts';
import { loadConfig } from '../../src/config/load.ts';
import { readStatus } from '../../src/schedule/read-status.ts';
import { until } from '../servers/rig.ts';
import { freshBucket } from '../servers/s3.ts';
import { startSshd } from '../servers/sshd.ts';
import { makeWorld } from '../world/world.ts';

const MINUTE = 60_000;
const CHILD = join(import.meta.dirname, 'daemon-in-child.ts');

interface Line {
  readonly event: string;
  readonly shop?: string;
  readonly job?: string;
  readonly code?: string;
}

test.skipIf(process.geteuid?.() !== 0)(
  'names of a store and of a host do not resolve - alive, red for the right reason; they resolve - green by itself',
  async () => {
    const sshd = await startSshd();
    onTestFinished(() => sshd.stop());
    const bucket = await freshBucket();
    const knownHosts = join(sshd.dir, 'named_known_hosts');
    writeFileSync(knownHosts, readFileSync(sshd.knownHostsFile, 'utf8').replace('[127.0.0.1]', '[shop.coffre.invalid]'));
    const roots = ['dupont', 'afar'].map((name) => join(sshd.dir, name));
    for (const root of roots) {
      mkdirSync(root);
      writeFileSync(join(root, 'index.php'), '<?php');
    }
    const host = sshd.hostLines({ knownHostsFile: knownHosts }).map((line) => line.replace('host: 127.0.0.1', 'host: shop.coffre.invalid'));
    const it = await makeWorld({
      ...{ bucket, encryption: 'none', vaults: ['nas', 'offsite'], files: { root: roots[0] as string } },
      // not the disk of the shops, which are in the server's folder
      parent: tmpdir(),
      endpoint: bucket.store.endpoint.replace('127.0.0.1', 'store.coffre.invalid'),
      limits: { jitter: '0s', clockSkew: '1h' },
      moreShops: [
        '  afar:',
        '    plan: plan',
        '    vaults: [nas]',
        '    host:',
        ...host.map((line) => `      ${line}`),
        `    files: { root: ${roots[1]} }`,
      ],
    });
    onTestFinished(async () => {
      await it[Symbol.asyncDispose]();
      await bucket.release();
    });
    const [hosts, resolv] = [join(it.dir, 'hosts'), join(it.dir, 'resolv.conf')];
    writeFileSync(hosts, '127.0.0.1 localhost\n');
    // nobody answers there
    writeFileSync(resolv, 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n');
    const own = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"';
    const child = spawn('unshare', ['--mount', 'sh', '-c', own, 'sh', hosts, resolv, process.execPath, CHILD, it.configFile]);
    const ended = once(child, 'close');
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    const lines: Line[] = [];
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line) as Line));
    const advance = (ms: number): void => void child.stdin.write(`${ms}\n`);
    const saw = async (event: string, shop: string, job: string): Promise<Line | undefined> => {
      const found = (): Line | undefined => lines.find((line) => line.event === event && line.shop === shop && line.job === job);
      await until(`${event} of ${shop}: ${job}`, 90_000, async () => {
        if (child.exitCode !== null) throw new Error(`the daemon ended: ${errors}`);
        return found() !== undefined;
      }).catch((error: Error) => {
        throw new Error(`${error.message}: ${JSON.stringify(lines.slice(-8))}`);
      });
      return found();
    };
    const config = loadConfig(it.configFile, {});
    await using catalog = await openCatalog(it.stateDir);
    const red = async (name: string): Promise<string[]> => {
      const shop = config.shops.get(name);
      if (!shop) throw new Error(name);
      const { alarms } = await readStatus(config, catalog, shop, Date.now());
      return alarms.map(({ kind, code, vault }) => [kind, vault, code].filter(Boolean).join(' '));
    };

    expect(await saw('job.failed', 'afar', 'files')).toMatchObject({ code: 'E_SSH_CONNECT' });
    expect(await saw('job.degraded', 'dupont', 'files')).toMatchObject({ code: 'E_DEGRADED' });
    expect(await saw('job.failed', 'dupont', 'catch-up')).toMatchObject({ code: 'E_DEGRADED' });
    expect(await red('afar')).toEqual(expect.arrayContaining(['snapshot', 'run E_SSH_CONNECT']));
    expect(await red('dupont')).toContain('lacking offsite E_VAULT_UNREACHABLE');

    // the same after the next try, a minute later
    lines.splice(0);
    advance(MINUTE);
    expect(await saw('job.failed', 'afar', 'files')).toMatchObject({ code: 'E_SSH_CONNECT' });
    expect(await saw('job.failed', 'dupont', 'catch-up')).toMatchObject({ code: 'E_DEGRADED' });

    writeFileSync(hosts, '127.0.0.1 localhost store.coffre.invalid shop.coffre.invalid\n');
    lines.splice(0);
    advance(6 * MINUTE);
    await saw('job.done', 'afar', 'files');
    await saw('job.done', 'dupont', 'catch-up');
    // nobody has another copy of it: that is how it was declared
    expect(new Set(await red('afar'))).toEqual(new Set(['copies', 'immutable']));
    expect(await red('dupont')).toEqual([]);
    child.kill('SIGTERM');
    expect((await ended)[0]).toBe(0);
  },
  120_000,
);
