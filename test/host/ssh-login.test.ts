// Who the host is and who we are: settled before anything else is said.
import { execFile, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { SshHostConfig } from '../../src/config/config.ts';
import { secretFromFile } from '../../src/config/secret.ts';
import { SshHost } from '../../src/host/ssh.ts';
import { until } from '../servers/rig.ts';
import { type Sshd, startSshd } from '../servers/sshd.ts';

const run = promisify(execFile);
let sshd: Sshd;
let dir: string;
beforeAll(async () => {
  sshd = await startSshd();
  dir = mkdtempSync(join(tmpdir(), 'coffre-ssh-login-'));
});
afterAll(async () => {
  await sshd.stop();
  rmSync(dir, { recursive: true });
});

async function login(other: Partial<SshHostConfig>): Promise<number | null> {
  const host = new SshHost(sshd.hostConfig(other), systemClock);
  try {
    return (await host.start(['true']).ended).status;
  } finally {
    await host.close();
  }
}

function known(name: string, text: string): string {
  const file = join(dir, name);
  writeFileSync(file, text);
  return file;
}

describe('the host’s key', () => {
  it('hashed in the file, or one of several that the server has - accepted', async () => {
    expect(await login({ knownHostsFile: sshd.hashedKnownHostsFile })).toBe(0);
    expect(await login({ knownHostsFile: sshd.ecdsaKnownHostsFile })).toBe(0);
  });

  it('another one, none, revoked, certificates only, no common type - E_SSH_HOSTKEY, and no login is tried', async () => {
    const from = sshd.log().length;
    const line = readFileSync(sshd.knownHostsFile, 'utf8');
    const rsa = join(dir, 'rsa');
    await run('ssh-keygen', ['-q', '-t', 'rsa', '-N', '', '-f', rsa]);
    const { stdout } = await run('ssh-keygen', ['-lf', sshd.knownHostsFile]);
    const fingerprint = stdout.split(' ')[1] ?? 'none';
    const cases: [string, string, RegExp][] = [
      [sshd.wrongKnownHostsFile, 'has changed', /ssh-keygen -R '\[127/],
      [known('empty', ''), 'is not known', /ssh-keyscan -p \d+ 127\.0\.0\.1 >>/],
      [known('revoked', `${line}@revoked * ${line.split(' ').slice(1).join(' ')}`), 'is revoked', /new key/],
      [known('authority', `@cert-authority ${line}`), 'certificates are not supported', /ssh-keyscan/],
      [known('rsa_only', `[127.0.0.1]:${sshd.port} ${readFileSync(`${rsa}.pub`, 'utf8')}`), 'has no key of the types', /ssh-keyscan/],
    ];
    for (const [knownHostsFile, message, hint] of cases) {
      await expect(login({ knownHostsFile }), message).rejects.toMatchObject({
        code: 'E_SSH_HOSTKEY',
        message: expect.stringContaining(message),
        hint: expect.stringMatching(hint),
      });
    }
    await expect(login({ knownHostsFile: join(dir, 'empty') })).rejects.toThrow(fingerprint);
    expect(sshd.log().slice(from)).not.toMatch(/userauth|Accepted|Failed/);
  });
});

describe('the login', () => {
  it('a key with a passphrase - opened by the secret; refused without it, with another one, and when others may read it', async () => {
    const key = join(dir, 'locked');
    copyFileSync(sshd.keyFile, key);
    chmodSync(key, 0o600);
    await run('ssh-keygen', ['-q', '-p', '-N', 'correct horse', '-f', key]);
    const passphrase = (text: string) => ({ from: 'test', read: () => text });
    const keys = [secretFromFile(key)];
    expect(await login({ keys, passphrase: passphrase('correct horse') })).toBe(0);
    await expect(login({ keys })).rejects.toMatchObject({ code: 'E_SSH_AUTH', message: expect.stringContaining('is encrypted') });
    await expect(login({ keys, passphrase: passphrase('battery') })).rejects.toMatchObject({
      code: 'E_SSH_AUTH',
      message: expect.not.stringContaining('battery'),
    });
    chmodSync(key, 0o644);
    await expect(login({ keys, passphrase: passphrase('correct horse') })).rejects.toMatchObject({ code: 'E_SECRET_MODE' });
  });

  it('RSA and ECDSA keys, old and new formats, the second of two - accepted', async () => {
    const keys = [];
    for (const args of [
      ['-t', 'rsa'],
      ['-t', 'rsa', '-m', 'PEM'],
      ['-t', 'ecdsa', '-m', 'PEM'],
      ['-t', 'ecdsa'],
    ]) {
      const file = join(dir, `key${keys.length}`);
      await run('ssh-keygen', ['-q', '-N', '', ...args, '-f', file]);
      writeFileSync(join(sshd.dir, 'authorized_keys'), readFileSync(`${file}.pub`), { flag: 'a' });
      keys.push(secretFromFile(file));
    }
    for (const key of keys) expect(await login({ keys: [key] }), key.from).toBe(0);
    const stranger = join(dir, 'stranger');
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', stranger]);
    expect(await login({ keys: [secretFromFile(stranger), ...keys] })).toBe(0);
    await expect(login({ keys: [secretFromFile(stranger)] })).rejects.toMatchObject({ code: 'E_SSH_AUTH' });
  });

  it('an agent - its key opens; without one, or without the key in it, E_SSH_AUTH that says so', async () => {
    const socketPath = join(dir, 'agent');
    const agent = spawn('ssh-agent', ['-D', '-a', socketPath], { stdio: 'ignore' });
    try {
      await until('the agent listens', 5000, async () => existsSync(socketPath));
      const config = { keys: [], agent: { socketPath } };
      await expect(login(config)).rejects.toMatchObject({ code: 'E_SSH_AUTH' });
      await run('ssh-add', ['-q', sshd.keyFile], { env: { ...process.env, SSH_AUTH_SOCK: socketPath } });
      expect(await login(config)).toBe(0);
    } finally {
      agent.kill();
    }
    await expect(login({ keys: [], agent: { socketPath: join(dir, 'none') } })).rejects.toMatchObject({
      code: 'E_SSH_AUTH',
      message: expect.stringContaining('agent'),
    });
    await expect(login({ keys: [], agent: { socketPath: null } })).rejects.toMatchObject({
      code: 'E_SSH_AUTH',
      message: expect.stringContaining('SSH_AUTH_SOCK'),
    });
    expect(await login({ agent: { socketPath: join(dir, 'none') } })).toBe(0);
  });

  it('another user, a port without sshd, one that never answers - coded, within the time', async () => {
    await expect(login({ user: 'nobody-here' })).rejects.toMatchObject({ code: 'E_SSH_AUTH' });
    const closed = known('closed', sshd.knownHostsFor(1));
    await expect(login({ port: 1, knownHostsFile: closed })).rejects.toMatchObject({ code: 'E_SSH_CONNECT' });
    const silent = createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as { port: number };
    try {
      await expect(login({ port, connectTimeoutMs: 300, knownHostsFile: known('silent', sshd.knownHostsFor(port)) })).rejects.toMatchObject(
        {
          code: 'E_SSH_CONNECT',
          message: expect.stringContaining('0.3 s'),
        },
      );
    } finally {
      silent.close();
    }
  });
});
