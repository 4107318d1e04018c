// Drills by the real command, over one shop: what they prove, what planted faults they find, and what they leave behind.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { verifyEvidence } from '../../../src/restore/drill/evidence.ts';
import { canonicalJson } from '../../../src/segment/canonical-json.ts';
import type { Manifest } from '../../../src/segment/manifest-types.ts';
import { signText } from '../../../src/segment/signature.ts';
import { fingerprint, loadSigningKey } from '../../../src/segment/signing-key.ts';
import { runDaemon } from '../../cli/running-daemon.ts';
import { processTree, readProc } from '../../process-tree.ts';
import { isRunning, until } from '../../servers/rig.ts';
import { COFFRE } from '../../world/world.ts';
import { type DrillWorld, makeDrillWorld } from './drill-world.ts';
import { loseImages } from './small-shop.ts';

// each starts a database server, on machines that do much else
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const isRoot = process.geteuid?.() === 0;
let it: DrillWorld;

/** Database servers whose data are in scratch. */
function servers(): number[] {
  const found = execFileSync('sh', ['-c', `grep -lsaz -- "--datadir=$0/" /proc/[0-9]*/cmdline || true`, it.scratch]).toString();
  return [...found.matchAll(/\/proc\/(\d+)\//g)].map((match) => Number(match[1]));
}

/** The largest one of the files. */
const segmentOf = (vault: string): string => {
  const [row] = it.rows<{ key: string }>(
    `select s."key" from segments s join objects o on o.refId = s.id and o.vault = '${vault}' where s.source = 'files' order by s.storedBytes desc limit 1`,
  );
  return row?.key ?? '';
};

const alarmsOf = async (): Promise<{ kind: string; vault: string | null; code: string | null }[]> =>
  (await it.world.coffre(['status', 'dupont'])).json.shops[0].alarms.filter(({ kind }: { kind: string }) => kind === 'drill');

describe('drills', () => {
  beforeAll(async () => {
    it = await makeDrillWorld();
  });
  afterAll(() => it?.[Symbol.asyncDispose]());

  test('a shop that is whole - passed, with evidence that holds by itself, and nothing is left of it', async () => {
    const { json } = await it.world.ok(['drill', 'dupont']);
    expect(json).toMatchObject({ passed: true, evidence: { outcome: 'passed', from: { name: 'nas' }, signedBy: 'command', codes: [] } });
    const { evidence } = json;
    expect(evidence.objects).toMatchObject({ lacking: [], named: { count: evidence.objects.count, bytes: evidence.objects.bytes } });
    const checks = evidence.checks.map(({ check, source, ok }: { check: string; source: string; ok: boolean }) => [check, source, ok]);
    expect(checks).toEqual(
      [
        ['restore', 'database'],
        ['tables', 'database'],
        ['rows', 'database'],
        ['restore', 'files'],
        ['files', 'files'],
        ...['version', 'tables', 'products', 'orders', 'images', 'rto'].map((check) => [check, null]),
      ].map((check) => [...check, true]),
    );
    expect(new Set(evidence.phases.map(({ phase }: { phase: string }) => phase))).toEqual(
      new Set(['download', 'open', 'load', 'keys', 'write', 'check', 'fixed']),
    );
    expect([it.left(), servers()]).toEqual([[], []]);
    expect(it.rows<{ n: number }>("select count(*) as n from restoreRates where kind = 'drill'")[0]?.n).toBeGreaterThan(5);

    const own = fingerprint(await loadSigningKey(join(it.world.keyDir, 'signing.key')));
    const file = join(it.world.dir, 'evidence.json');
    const { stdout } = await it.world.ok(['drill', 'show', evidence.id, '--format', 'json']);
    writeFileSync(file, stdout);
    expect((await it.world.ok(['drill', 'verify', file, '--fingerprint', own])).json).toMatchObject({ verified: true, signer: own });
    // as the page says, with nobody's tools but the system's
    const { stdout: page } = await it.world.ok(['drill', 'show', evidence.id, '--format', 'html', '--lang', 'fr']);
    const { html } = JSON.parse(page) as { html: string };
    expect(html).toContain('RÉUSSI');
    expect(html).toContain(evidence.objects.digest);
    expect(html).not.toMatch(/<script|<link|src=|https?:\/\/(?!127)/);
    const steps = [...html.matchAll(/<pre>([^<]*)<\/pre>/g)].map(([, step = '']) =>
      step.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&gt;', '>').replaceAll('&lt;', '<').replaceAll('&amp;', '&'),
    );
    const said = steps.map((step) => execFileSync('bash', ['-ec', step], { cwd: it.world.dir }).toString());
    expect(said[0]).toContain('Signature Verified Successfully');
    expect(said[1]?.trim()).toBe(`${own.slice('SHA256:'.length)}=`);
    expect(said[2]).toContain(evidence.objects.digest);

    const check =
      (handed: string, trusted = own) =>
      () =>
        verifyEvidence(handed, [trusted], 'the file');
    expect(check(stdout)).not.toThrow();
    expect(check(stdout.replace('"passed"', '"failed"'))).toThrow(expect.objectContaining({ code: 'E_SIGNATURE' }));
    expect(check(stdout, `SHA256:${'A'.repeat(43)}`)).toThrow(expect.objectContaining({ code: 'E_SIGNATURE' }));
    expect(check('{}')).toThrow(expect.objectContaining({ code: 'E_FORMAT' }));
  });

  test('the next one - reads the next vault; both are listed, and snapshots say that they were drilled', async () => {
    const { json } = await it.world.ok(['drill', 'dupont', '--source', 'files']);
    expect(json.evidence.from.name).toBe('nas2');
    const { drills } = (await it.world.ok(['drill', 'list', 'dupont'])).json;
    expect(drills.map(({ vault, outcome }: { vault: string; outcome: string }) => [vault, outcome])).toEqual([
      ['nas2', 'passed'],
      ['nas', 'passed'],
    ]);
    const { snapshots } = (await it.world.ok(['snapshots', 'dupont'])).json;
    expect(snapshots.map(({ drilled }: { drilled: { passed: boolean } }) => drilled.passed)).toEqual([true, true]);
    expect(await alarmsOf()).toEqual([]);
  });

  /** Of each what it does, which drill finds it, and how it is put right again. */
  const FAULTS: readonly {
    readonly fault: string;
    readonly args: readonly string[];
    readonly code: string;
    plant(): Promise<void> | void;
    mend(): Promise<void> | void;
  }[] = [
    {
      ...{ fault: 'one damaged object', args: ['--from', 'nas', '--source', 'files'], code: 'E_OBJECT_ALTERED' },
      plant: () => damage(join(it.vaults.nas, segmentOf('nas'))),
      mend: () => damage(join(it.vaults.nas, segmentOf('nas'))),
    },
    {
      ...{ fault: 'one missing segment in one vault', args: ['--from', 'nas2', '--source', 'files'], code: 'E_OBJECT_MISSING' },
      plant: () => move(segmentOf('nas2'), 'lost'),
      mend: () => move('lost', segmentOf('nas2')),
    },
    {
      ...{ fault: 'a manifest without its table', args: ['--from', 'nas', '--source', 'database'], code: 'E_LOAD_MISMATCH' },
      plant: () =>
        forgeManifest((manifest) => ({
          ...manifest,
          segments: manifest.segments.filter(({ phase }) => phase !== 'rows' && phase !== 'data'),
        })),
      mend: () => forgeManifest(() => original as Manifest),
    },
    {
      ...{ fault: 'a drill that takes longer than the RTO', args: ['--from', 'nas', '--source', 'files'], code: 'E_DRILL_SLOW' },
      plant: () => it.configure({ rto: '1ms' }),
      mend: () => it.configure(),
    },
    {
      // from the object store, which all else of it must come out of whole
      ...{ fault: 'a truncated image tree', args: ['--from', 'offsite'], code: 'E_SHOP_IMAGES' },
      async plant() {
        loseImages(it.root, 11, 30);
        await it.world.ok(['backup', 'dupont', '--source', 'files', '--full']);
      },
      mend() {},
    },
  ];
  let original: Manifest | null = null;

  test.each(FAULTS)('$fault - red with its own code, in the status too, and nothing is left', async ({ args, code, plant, mend }) => {
    await plant();
    const { status, json } = await it.world.coffre(['drill', 'dupont', ...args]);
    expect({ status, code: json.error?.code, passed: json.passed }).toEqual({ status: expect.any(Number), code, passed: false });
    expect(status).not.toBe(0);
    expect(json.evidence).toMatchObject({ outcome: 'failed', codes: [code] });
    const { list, lacking, named } = json.evidence.objects;
    expect(list.length + lacking.length).toBe(named.count);
    const states = new Set([...list, ...lacking].map(({ state }: { state: string }) => state));
    const damaged = { E_OBJECT_ALTERED: 'altered', E_OBJECT_MISSING: 'missing' }[code];
    expect(lacking.filter(({ state }: { state: string }) => state === damaged)).toHaveLength(damaged === undefined ? 0 : 1);
    expect(states).toContain('read');
    expect(await alarmsOf()).toContainEqual(expect.objectContaining({ kind: 'drill', vault: args[1], code }));
    expect([it.left(), servers()]).toEqual([[], []]);
    await mend();
    if (code !== 'E_OBJECT_MISSING') return;
    // a drill of that vault ends its alarm, and nothing else does
    await it.world.ok(['drill', 'dupont', '--from', 'nas2', '--source', 'files']);
    expect((await alarmsOf()).map(({ vault }) => vault)).toEqual(['nas']);
  });

  function damage(path: string): void {
    const content = readFileSync(path);
    content[500] = (content[500] as number) ^ 1;
    const mtime = execFileSync('stat', ['-c', '@%.9Y', path]).toString().trim();
    chmodSync(path, 0o600);
    writeFileSync(path, content);
    // a folder's version is its time
    execFileSync('touch', ['-d', mtime, path]);
  }

  function move(from: string, to: string): void {
    execFileSync('mv', [join(it.vaults.nas2, from), join(it.vaults.nas2, to)]);
  }

  async function forgeManifest(change: (manifest: Manifest) => Manifest): Promise<void> {
    const key = await loadSigningKey(join(it.world.keyDir, 'signing.key'));
    const [row] = it.rows<{ key: string }>(
      `select o."key" from snapshots s join snapshotVaults v on v.snapshotId = s.id and v.vault = 'nas' join objects o on o.id = v.manifestObject where s.source = 'database'`,
    );
    it.forge('nas', row?.key ?? '', (content) => {
      const { manifest } = JSON.parse(content) as { manifest: Manifest };
      original ??= manifest;
      const forged = change(manifest);
      return canonicalJson({ manifest: forged, signature: signText(canonicalJson(forged), key) });
    });
  }

  test('a server is configured - a database of its own there, dropped afterwards; one that runs events is refused', async () => {
    const { mariadb } = it;
    it.configure({ restore: `, drillDatabase: { url: "mysql://root@localhost?socketPath=${mariadb.socketPath}" }` });
    const drill = ['drill', 'dupont', '--from', 'nas', '--source', 'database'];
    try {
      const { json } = await it.world.ok(drill);
      expect(json.evidence.into.database).toBe('a database of its own in a configured server');
      expect(await mariadb.sql("SHOW DATABASES LIKE 'coffre%'")).toBe('');
      await mariadb.sql('SET GLOBAL event_scheduler=ON');
      expect((await it.world.coffre(drill)).json.error).toMatchObject({
        code: 'E_CONFIG',
        message: expect.stringContaining('runs events'),
      });
    } finally {
      await mariadb.sql('SET GLOBAL event_scheduler=OFF');
      it.configure();
    }
  });

  test('killed, unit and command - its server dies with it; the next drill removes what is left', async () => {
    const child = it.world.start(['drill', 'dupont', '--from', 'nas', '--source', 'database']);
    const ended = once(child, 'close');
    await until('the drill’s own server runs', 120_000, () => servers().some((pid) => readProc(`${pid}/cmdline`).includes('--socket=')));
    const [server = 0] = servers();
    for (const { pid } of [...processTree(child.pid ?? 0)].reverse()) if (pid !== server && isRunning(pid)) process.kill(pid, 'SIGKILL');
    await ended;
    await until('its server is gone', 30_000, () => servers().length === 0);
    expect(it.left()).toHaveLength(1);
    // and one that outlived it all the same
    const [left = ''] = it.left();
    const stray = outliving(join(it.scratch, 'drills', left));
    await it.world.ok(['drill', 'dupont', '--from', 'nas', '--source', 'files']);
    await stray.ended;
    expect(it.left()).toEqual([]);
  });

  /** What looks like a dead drill's server. */
  function outliving(folder: string): { readonly ended: Promise<unknown> } {
    const as = isRoot ? { uid: Number(execFileSync('stat', ['-c', '%u', it.scratch]).toString()) } : {};
    const child: ChildProcess = spawn('sh', ['-c', 'while :; do sleep 0.2; done', 'mariadbd', `--datadir=${folder}/server/data`], {
      ...as,
      stdio: 'ignore',
    });
    return { ended: once(child, 'close') };
  }

  test.skipIf(!isRoot)(
    'asked of the daemon, which is killed meanwhile - nothing is left; the next daemon has it done, and signs it',
    async () => {
      // as coffre-restore.socket and coffre-restore@.service
      const rights = ['--bounding-set=-all,+setuid,+setgid,+setpcap,+dac_read_search', '--inh-caps=-all', '--no-new-privs', '--'];
      const unit = [COFFRE, '--config', it.world.configFile, 'restore-unit', `1-${process.pid}-0`];
      const listening = ['--accept', '--inetd', `--listen=${it.restoreSocket}`, 'setpriv', ...rights, ...unit];
      const socket = spawn('systemd-socket-activate', listening, { stdio: 'ignore' });
      const closed = once(socket, 'close');
      try {
        await until('somebody listens', 30_000, () => existsSync(it.restoreSocket));
        const first = await runDaemon(it.world);
        const { run } = await askDaemon('POST', '/v1/shops/dupont/drills', { from: 'nas', source: 'database' });
        await until('the drill’s own server runs', 120_000, () => servers().length > 0);
        first.signal('SIGKILL');
        await first.gone;
        await until('nothing is left', 60_000, () => it.left().length === 0 && servers().length === 0);
        const next = await runDaemon(it.world);
        const drilled = () =>
          it.rows<{ drill: string }>(`select drill from drills where drill > '${run}' and outcome = 'passed'`).at(0)?.drill;
        await until('the drill was taken up, and passed', 120_000, () => drilled() !== undefined);
        const evidence = await askDaemon('GET', `/v1/drills/${drilled()}/evidence`);
        expect(evidence).toMatchObject({ evidence: { outcome: 'passed', signedBy: 'daemon', from: { name: 'nas' } } });
        next.signal('SIGTERM');
        await next.gone;
      } finally {
        socket.kill();
        await closed;
      }
    },
  );

  // biome-ignore lint/suspicious/noExplicitAny: a document whose parts each test names
  function askDaemon(method: string, path: string, body?: object): Promise<any> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const asked = request({ socketPath: it.world.socket, method, path, headers, agent: false }, async (response) => {
        const said = await text(response);
        if ((response.statusCode ?? 0) < 300) resolve(JSON.parse(said));
        else reject(new Error(said));
      });
      asked.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  describe.skipIf(!isRoot)('on a disk of its own', () => {
    const disk = (): string => join(it.world.dir, 'disk');
    function mount(size: string): void {
      mkdirSync(disk());
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'none', disk()]);
      // as the drill itself makes it
      if (existsSync(it.scratch)) execFileSync('chown', ['--reference', it.scratch, disk()]);
      else execFileSync('chown', ['nobody', disk()]);
      it.configure({ scratchDir: disk() });
    }
    function unmount(): void {
      execFileSync('umount', ['-l', disk()]);
      rmSync(disk(), { recursive: true });
      it.configure();
    }

    test('that is too small - refused before it begins', async () => {
      mount('100m');
      try {
        const { json } = await it.world.coffre(['drill', 'dupont', '--from', 'nas', '--source', 'database']);
        expect(json.error.code).toBe('E_DRILL_SPACE');
        expect(await alarmsOf()).toContainEqual(expect.objectContaining({ vault: null, code: 'E_DRILL_SPACE' }));
      } finally {
        unmount();
      }
    });

    test('that somebody else fills meanwhile - given up, and nothing of it is left', async () => {
      mount('500m');
      try {
        const child = it.world.start(['drill', 'dupont', '--from', 'nas', '--source', 'database']);
        const ended = once(child, 'close');
        let stdout = '';
        child.stdout?.on('data', (chunk: Buffer) => {
          stdout += chunk.toString();
        });
        await until('it has begun', 120_000, () => execFileSync('find', [disk()]).toString().includes('/drills/drill-'));
        execFileSync('sh', ['-c', 'dd if=/dev/zero of="$0" bs=1M 2>/dev/null || true', join(disk(), 'others')]);
        await ended;
        expect(JSON.parse(stdout).error).toMatchObject({ code: 'E_DRILL_SPACE' });
        expect(execFileSync('ls', [join(disk(), 'drills')]).toString()).toBe('locks\n');
      } finally {
        unmount();
      }
    });
  });
});
