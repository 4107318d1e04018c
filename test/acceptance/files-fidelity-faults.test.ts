// What cannot be read, and what changes while it is read, through the real bin/coffre, here and over SSH: named, and never silently green.
import { execFile, spawn } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../servers/rig.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';
import { bash, describeTree } from '../source/files/tree.ts';
import { COFFRE, makeWorld, type Outcome, type World } from '../world/world.ts';

/** Root reads everything: what it starts for such a test is somebody without rights. */
const AS_NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

let dir: string;
let sshd: Sshd;
let sshdOfNobody: Sshd;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'coffre-test-'));
  chmodSync(dir, 0o755);
  const forced = `ForceCommand exec ${AS_NOBODY.join(' ')} sh -c "$SSH_ORIGINAL_COMMAND"`;
  [sshd, sshdOfNobody] = await Promise.all([startSshd(), startSshd({ config: [forced] })]);
}, 60_000);
afterAll(async () => {
  await Promise.all([sshd?.stop(), sshdOfNobody?.stop()]);
  // what is too deep for a call with the whole path
  if (dir) bash('rm -rf "$DIR"', { DIR: dir });
});

const BACKUP = ['backup', 'dupont', '--source', 'files'];

/** `world.coffre` as somebody without rights, to whom the installation belongs. */
function coffreAsNobody(world: World, args: readonly string[]): Promise<Pick<Outcome, 'status' | 'json'>> {
  bash('chown -R 65534:65534 "$WORLD"', { WORLD: world.dir });
  const [program, ...options] = [...AS_NOBODY, COFFRE, '--config', world.configFile, '--json', ...args];
  return new Promise((resolve) => {
    execFile(program as string, options, (error, stdout) => {
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, json: JSON.parse(stdout) });
    });
  });
}

describe.each(['local', 'ssh'] as const)('%s', (where) => {
  it('files and directories without the right to read them - each is named, exit status 8, status red; the rest is kept', async () => {
    const root = join(dir, `${where}-rights`);
    mkdirSync(join(root, 'closed'), { recursive: true });
    writeFileSync(join(root, 'closed/inside'), 'x');
    writeFileSync(join(root, 'open'), 'kept');
    writeFileSync(join(root, 'secret'), 'x', { mode: 0o600 });
    bash(
      'cd "$TREE"; mkdir listed; echo x > listed/$\'caf\\351\\n\'; chmod 600 listed/*; echo y > listed/other; ln secret listed/link; chmod 700 closed',
      {
        TREE: root,
      },
    );
    await using world = await makeWorld({
      vaults: ['nas'],
      files: { root },
      ...(where === 'ssh' ? { host: sshdOfNobody.hostLines() } : {}),
    });
    const coffre = (args: readonly string[]) => (where === 'ssh' ? world.coffre(args) : coffreAsNobody(world, args));
    for (const again of [false, true]) {
      const { status, json } = await coffre(BACKUP);
      expect(status, JSON.stringify(json)).toBe(8);
      expect(json).toMatchObject({ error: { code: 'E_INCOMPLETE' }, snapshots: [{ complete: false }] });
      const named = json.snapshots[0].warnings.filter(({ kind }: { kind: string }) => kind === 'unreadable');
      expect(named.map((warning: { where: string }) => warning.where).toSorted(), String(again)).toEqual([
        'closed',
        'listed/caf\\351\\012',
        'listed/link',
        'secret',
      ]);
    }
    const shown = await coffre(['status', 'dupont']);
    expect(shown.status).toBe(1);
    expect(shown.json).toMatchObject({ error: { code: 'E_RED' } });
    // what could be read is there all the same, where somebody asks for it by name
    const { id } = (await coffre(BACKUP)).json.snapshots[0];
    const target = join(world.dir, 'restored');
    await coffre(['restore', 'dupont', '--source', 'files', '--snapshot', id, '--to-dir', target]);
    expect(bash('cd "$TREE"; find . -type f | sort; cat open', { TREE: target })).toBe('./listed/other\n./open\nkept');
  });

  it('paths of more than 16 KiB - named, exit status 8, status red; after they are gone all is green', async () => {
    const root = join(dir, `${where}-deep`);
    mkdirSync(root);
    writeFileSync(join(root, 'open'), 'kept');
    bash(
      'cd "$TREE"; for i in {1..90}; do mkdir "$(printf "%0.sd" {1..200})"; cd -P "$(printf "%0.sd" {1..200})"; done; printf bottom > bottom',
      { TREE: root },
    );
    await using world = await makeWorld({ vaults: ['nas'], files: { root }, ...(where === 'ssh' ? { host: sshd.hostLines() } : {}) });
    const incomplete = await world.coffre(BACKUP);
    expect(incomplete.status, incomplete.stdout.slice(0, 3000)).toBe(8);
    expect(incomplete.json.snapshots).toMatchObject([{ complete: false }]);
    expect(incomplete.json.snapshots[0].warnings.map(({ kind }: { kind: string }) => kind)).toContain('unreadable');
    expect((await world.coffre(['status', 'dupont'])).status).toBe(1);
    bash('cd "$TREE"; rm -r d*', { TREE: root });
    await world.ok(BACKUP);
    expect((await world.coffre(['status', 'dupont'])).json.shops?.[0]?.red ?? []).not.toContainEqual(expect.stringContaining('incomplete'));
  });

  it('a file that is written to all the time - kept as read and named, the run is good, and the rest is as it was', async () => {
    const root = join(dir, `${where}-busy`);
    mkdirSync(root);
    writeFileSync(join(root, 'before'), 'before');
    bash('head -c 30000000 /dev/urandom > "$TREE/log"; echo after > "$TREE/zz"', { TREE: root });
    await using world = await makeWorld({ vaults: ['nas'], files: { root }, ...(where === 'ssh' ? { host: sshd.hostLines() } : {}) });
    const writer = spawn('sh', ['-c', 'while echo more; do :; done >> "$0"', join(root, 'log')], { stdio: 'ignore' });
    let json: Outcome['json'];
    try {
      await until('the file grows', 10_000, async () => lstatSync(join(root, 'log')).size > 30_000_000);
      ({ json } = await world.ok(BACKUP));
    } finally {
      writer.kill('SIGKILL');
    }
    expect(json.snapshots[0]).toMatchObject({ complete: true, warnings: [{ kind: 'changed', where: 'log' }] });
    const target = join(world.dir, 'restored');
    expect((await world.ok(['restore', 'dupont', '--source', 'files', '--to-dir', target])).json).toMatchObject({ verified: true });
    // what was there before the writer began is there
    const begun = (tree: string): Buffer => readFileSync(join(tree, 'log')).subarray(0, 30_000_000);
    expect(begun(target).equals(begun(root))).toBe(true);
    for (const tree of [root, target]) bash('rm "$TREE/log"; touch -d 2001-01-01 "$TREE"', { TREE: tree });
    expect(describeTree(target)).toBe(describeTree(root));
  });
});
