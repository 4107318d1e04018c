// A throw-away OpenSSH server on a random loopback port: own host key, one client key, the current user.
import { execFile } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { SshHostConfig } from '../../src/config/config.ts';
import { secretFromFile } from '../../src/config/secret.ts';
import { freePort, makeRig, type Rig, until } from './rig.ts';

const run = promisify(execFile);

export interface Sshd {
  readonly dir: string;
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly user: string;
  /** Private key (OpenSSH format, no passphrase, mode 600) that may log in. */
  readonly keyFile: string;
  /** Names this server's host key, as `[127.0.0.1]:port`. */
  readonly knownHostsFile: string;
  /** Names another key for this server: a client that checks must refuse. */
  readonly wrongKnownHostsFile: string;
  /** The same, hashed as `ssh-keygen -H` does it. */
  readonly hashedKnownHostsFile: string;
  /** Names the server's ECDSA key alone, not the Ed25519 one. */
  readonly ecdsaKnownHostsFile: string;
  /** The host of a shop in coffre's configuration, as YAML lines; `port` of a fault proxy before it. */
  hostLines(other?: { readonly port?: number; readonly knownHostsFile?: string }): string[];
  /** The same, as the configuration has it after loading. */
  hostConfig(other?: Partial<SshHostConfig>): SshHostConfig;
  /** Lines of known_hosts for another port that leads here. */
  knownHostsFor(port: number): string;
  readonly pid: number;
  /** What the server logged so far. */
  log(): string;
  stop(): Promise<void>;
}

export interface SshdOptions {
  /** Further lines of sshd_config; they come first, and the first value of a keyword wins. */
  readonly config?: readonly string[];
}

/** Starts it. Needs the Debian packages openssh-server and openssh-client. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const rig = makeRig('sshd');
  try {
    return await startIn(rig, options);
  } catch (error) {
    await rig.stop();
    throw error;
  }
}

async function startIn(rig: Rig, options: SshdOptions): Promise<Sshd> {
  const { dir } = rig;
  const file = (name: string): string => path.join(dir, name);
  const user = userInfo().username;
  const port = await freePort();
  for (const name of ['host_key', 'other_host_key', 'client_key']) {
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file(name)]);
  }
  copyFileSync(file('client_key.pub'), file('authorized_keys'));
  await run('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-C', 'host_ecdsa_key', '-f', file('host_ecdsa_key')]);
  const knownHost = (key: string, at = port): string => `[127.0.0.1]:${at} ${readFileSync(file(`${key}.pub`), 'utf8')}`;
  writeFileSync(file('known_hosts'), knownHost('host_key'));
  writeFileSync(file('wrong_known_hosts'), knownHost('other_host_key'));
  writeFileSync(file('ecdsa_known_hosts'), knownHost('host_ecdsa_key'));
  copyFileSync(file('known_hosts'), file('hashed_known_hosts'));
  await run('ssh-keygen', ['-q', '-H', '-f', file('hashed_known_hosts')]);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    // its package makes this folder at boot, which a container never had
    mkdirSync('/run/sshd', { recursive: true });
    chmodSync('/run/sshd', 0o755);
  }
  writeFileSync(
    file('sshd_config'),
    [
      ...(options.config ?? []),
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${file('host_key')}`,
      `HostKey ${file('host_ecdsa_key')}`,
      `AuthorizedKeysFile ${file('authorized_keys')}`,
      'PidFile none',
      // a login shell reads what this machine's user has in his home: half a second a program, and more when a lock is left there
      `SetEnv HOME=${dir}`,
      // the temporary folder is open to all
      'StrictModes no',
      // without PAM sshd refuses an account whose password is locked
      `UsePAM ${isRoot && isLocked(user) ? 'yes' : 'no'}`,
      'PermitRootLogin prohibit-password',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'AllowTcpForwarding yes',
      'AllowStreamLocalForwarding yes',
      'MaxSessions 50',
      'MaxStartups 100:30:200',
      'Subsystem sftp internal-sftp',
      'LogLevel VERBOSE',
      '',
    ].join('\n'),
  );
  const pid = await rig.start('sshd', '/usr/sbin/sshd', ['-D', '-e', '-f', file('sshd_config')]);
  await until('sshd accepts connections', 20_000, () => {
    if (!rig.pids().has('sshd')) throw new Error(`sshd ended while starting: ${rig.logTail('sshd')}`);
    return answers(port);
  });
  return {
    dir,
    host: '127.0.0.1',
    port,
    user,
    keyFile: file('client_key'),
    knownHostsFile: file('known_hosts'),
    wrongKnownHostsFile: file('wrong_known_hosts'),
    hashedKnownHostsFile: file('hashed_known_hosts'),
    ecdsaKnownHostsFile: file('ecdsa_known_hosts'),
    hostLines: ({ port: other = port, knownHostsFile } = {}) => [
      'type: ssh',
      'host: 127.0.0.1',
      `port: ${other}`,
      `user: ${user}`,
      `keyFile: ${file('client_key')}`,
      `knownHostsFile: ${knownHostsFile ?? file('known_hosts')}`,
    ],
    hostConfig: (other = {}) => ({
      type: 'ssh',
      host: '127.0.0.1',
      port,
      user,
      keys: [secretFromFile(file('client_key'))],
      passphrase: null,
      agent: null,
      knownHostsFile: file('known_hosts'),
      connectTimeoutMs: 20_000,
      ...other,
    }),
    knownHostsFor: (other) => knownHost('host_key', other),
    pid,
    log: () => readFileSync(file('sshd.log'), 'utf8'),
    stop: () => rig.stop(),
  };
}

function isLocked(user: string): boolean {
  const line = readFileSync('/etc/shadow', 'utf8')
    .split('\n')
    .find((candidate) => candidate.startsWith(`${user}:`));
  return line?.split(':')[1]?.startsWith('!') ?? false;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const tell = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', tell(true));
    socket.once('error', tell(false));
    socket.once('close', tell(false));
  });
}
