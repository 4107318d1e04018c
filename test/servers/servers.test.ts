import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { startMariadb } from './mariadb.ts';
import { isRunning, makeRig, until } from './rig.ts';
import { freshBucket, inventory } from './s3.ts';
import { startSshd } from './sshd.ts';

const run = promisify(execFile);

test('a rig whose process is killed outright leaves no server and no folder', async () => {
  const program = `
    const { makeRig } = await import(${JSON.stringify(path.join(import.meta.dirname, 'rig.ts'))});
    const rig = makeRig('orphan');
    const pid = await rig.start('sleeper', '/bin/sh', ['-c', 'sleep 600 & wait']);
    console.log(JSON.stringify({ dir: rig.dir, pid }));
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const line = await new Promise<string>((resolve) => parent.stdout.once('data', (chunk) => resolve(String(chunk))));
  const { dir, pid } = JSON.parse(line) as { dir: string; pid: number };
  expect(existsSync(dir)).toBe(true);
  const childrenFile = `/proc/${pid}/task/${pid}/children`;
  await until('the server has a child of its own', 5000, () => readFileSync(childrenFile, 'utf8') !== '');
  const child = Number(readFileSync(childrenFile, 'utf8'));
  parent.kill('SIGKILL');
  await until('the folder is gone', 10_000, () => !existsSync(dir));
  await until('both processes are gone', 5000, () => !isRunning(pid) && !isRunning(child));
});

test('a rig tells when a program ends and what it said', async () => {
  const rig = makeRig('short');
  await rig.start('talker', '/bin/sh', ['-c', 'echo some words; sleep 0.1']);
  await rig.ended('talker');
  expect(rig.logTail('talker')).toContain('some words');
  await expect(rig.start('nothing', '/nonexistent/program', [])).rejects.toThrow('ENOENT');
  await rig.stop();
  expect(existsSync(rig.dir)).toBe(false);
});

test('mariadb: an account made by the rig logs in over TCP and sees only its database', async () => {
  await using server = disposable(await startMariadb({ args: ['--max-connections=77'] }));
  await server.createDatabase('shop_one', { user: 'reader', password: 'p w' });
  await server.createDatabase('shopXone');
  expect(await server.sql('SELECT @@max_connections, @@character_set_server')).toBe('77\tutf8mb4\n');
  const seen = await run(
    'mariadb',
    ['--no-defaults', '--host=127.0.0.1', `--port=${server.port}`, '--user=reader', '-N', '-B', '-e', 'SHOW DATABASES'],
    { env: { ...process.env, MYSQL_PWD: 'p w' } },
  );
  expect(seen.stdout.split('\n')).toEqual(['information_schema', 'shop_one', '']);
  await expect(server.sql('SELECT nonsense')).rejects.toThrow('nonsense');
});

test('sshd: the client key logs in, a wrong known host is refused', async () => {
  await using server = disposable(await startSshd());
  const ssh = (knownHosts: string) =>
    run('ssh', [
      ...['-F', 'none', '-p', String(server.port), '-i', server.keyFile, '-o', `UserKnownHostsFile=${knownHosts}`],
      ...['-o', 'StrictHostKeyChecking=yes', '-o', 'BatchMode=yes', '-o', 'GlobalKnownHostsFile=none'],
      ...[`${server.user}@${server.host}`, 'echo "hello from $(id -un)"'],
    ]);
  expect((await ssh(server.knownHostsFile)).stdout).toBe(`hello from ${server.user}\n`);
  await expect(ssh(server.wrongKnownHostsFile)).rejects.toThrow('Host key verification failed');
});

test('s3: a fresh bucket keeps a lock, lists what it holds, and is its own', async () => {
  const [bucket, other] = [await freshBucket(), await freshBucket({ objectLock: false })];
  const put = await bucket.client.send(
    new PutObjectCommand({
      Bucket: bucket.name,
      Key: 'a/b',
      Body: Buffer.from('locked'),
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: new Date(Date.now() + 5000),
    }),
  );
  const { VersionId } = put;
  await expect(bucket.client.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: 'a/b', VersionId }))).rejects.toThrow();
  expect(await inventory(bucket)).toMatchObject({
    versions: [{ key: 'a/b', versionId: VersionId, sizeBytes: 6 }],
    uploads: [],
    totalBytes: 6,
  });
  expect((await inventory(other)).versions).toEqual([]);
  await Promise.all([bucket.release(), other.release()]);
});

function disposable<T extends { stop(): Promise<void> }>(server: T): T & AsyncDisposable {
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.stop() });
}
