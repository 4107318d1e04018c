// An installation as the units have it: a daemon's user, shops of other users, keys of root; and processes with just the rights that a unit gives.
import { execFile, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { makeIdentity, recipientOf } from '../../src/segment/age.ts';
import { createIdentity } from '../../src/segment/identity-store.ts';
import { makeSigningKey, saveSigningKey } from '../../src/segment/signing-key.ts';
import { FilesystemVault } from '../../src/vault/filesystem.ts';
import { bash } from '../source/files/tree.ts';

export const COFFRE = new URL('../../bin/coffre', import.meta.url).pathname;

/** Nobody's on any machine that we know of: no account is made for the tests. */
export const DAEMON = 61_230;
export const OWNER = 61_231;

export interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Setting extends Disposable {
  readonly dir: string;
  readonly configFile: string;
  readonly identities: string;
  /** The shop's tree: OWNER's, mode 0700. */
  readonly root: string;
  readonly socket: string;
  /** As coffre.service starts it: DAEMON with CAP_DAC_READ_SEARCH, and without the identities. */
  asDaemon(argv: readonly string[]): Promise<Said>;
  /** The same capability and user in the mount namespace of everybody. */
  withCapabilityAlone(argv: readonly string[]): Promise<Said>;
  /** `restore: …` of the configuration. */
  configure(unattended: boolean): void;
}

const READS = ['inh-caps', 'ambient-caps', 'bounding-set'].map((set) => `--${set}=-all,+dac_read_search`);
const BECOME_DAEMON = ['setpriv', `--reuid=${DAEMON}`, `--regid=${DAEMON}`, '--clear-groups', ...READS, '--no-new-privs', '--'];

export async function makeSetting(): Promise<Setting> {
  const dir = mkdtempSync(join(tmpdir(), 'coffre-rights-'));
  const at = (name: string): string => join(dir, name);
  const [keyDir, configFile, socket] = [at('keys'), at('coffre.yaml'), at('restore.sock')];
  const identities = join(keyDir, 'identities');
  chmodSync(dir, 0o755);
  for (const [name, mode, owner] of [
    ['keys', 0o750, 0],
    ['state', 0o700, DAEMON],
    ['nas', 0o700, DAEMON],
    ['home', 0o755, 0],
    ['home/www', 0o700, OWNER],
  ] as const) {
    mkdirSync(at(name), { mode });
    chownSync(at(name), owner, owner);
  }
  await new FilesystemVault(
    { name: 'nas', type: 'filesystem', path: at('nas'), media: 'disk', site: 'here', offsite: false },
    systemClock,
  ).initialise();
  bash('chown -R "$UID_OF" "$NAS"', { UID_OF: String(DAEMON), NAS: at('nas') });
  const root = at('home/www');
  bash(
    `cd "$ROOT"; mkdir -p img/p shared; echo '<?php' > index.php; head -c 300000 /dev/urandom > img/p/1.jpg; echo secret > secret; chmod 600 secret
     printf x > program; chown -R "$OWNER:$OWNER" .; chmod 6755 program; chmod 2770 shared`,
    { ROOT: root, OWNER: String(OWNER) },
  );
  const recipient = await recipientOf(await makeIdentity());
  await createIdentity({ keyDir, shop: 'dupont', recoveryRecipients: [recipient], clock: systemClock });
  await saveSigningKey(join(keyDir, 'signing.key'), makeSigningKey());
  const configure = (unattended: boolean): void =>
    writeFileSync(
      configFile,
      [
        `stateDir: ${at('state')}`,
        'listen: { socket: null, http: null }',
        `encryption: { keyDir: ${keyDir}, recovery: [${recipient}] }`,
        `restore: { socket: ${socket}, unattended: ${unattended} }`,
        `vaults: { nas: { type: filesystem, path: ${at('nas')} } }`,
        'plans: { plan: { retention: 14d } }',
        `shops: { dupont: { plan: plan, vaults: [nas], files: { root: ${root} } } }`,
        '',
      ].join('\n'),
    );
  configure(false);
  const hidden = 'mount --make-rprivate / && mount -t tmpfs -o ro,mode=000 none "$0" && exec "$@"';
  return {
    ...{ dir, configFile, identities, root, socket, configure },
    asDaemon: (argv) => run(['unshare', '--mount', 'sh', '-c', hidden, identities, ...BECOME_DAEMON, ...argv]),
    withCapabilityAlone: (argv) => run([...BECOME_DAEMON, ...argv]),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** Never rejects for what a program says. */
export function run(argv: readonly string[]): Promise<Said> {
  const [file = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    execFile(file, args, { env: environment(), maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      const status = error === null ? 0 : error.code;
      if (typeof status === 'number') resolve({ status, stdout, stderr });
      else reject(error);
    });
  });
}

/**
 * Listens on the setting's socket as coffre-restore.socket does, and starts what coffre-restore@.service does with the capabilities of that
 * unit; `peer` is the uid of whoever asks, as systemd tells it.
 */
export function listen({ socket, configFile }: Setting, peer: number): Disposable {
  rmSync(socket, { force: true });
  const unit = ['setpriv', '--bounding-set=-all,+setuid,+setgid,+setpcap,+dac_read_search', '--inh-caps=-all', '--no-new-privs', '--'];
  const command = [COFFRE, '--config', configFile, 'restore-unit', `1-${process.pid}-${peer}`];
  const child = spawn('systemd-socket-activate', ['--accept', '--inetd', `--listen=${socket}`, ...unit, ...command], {
    env: environment(),
    stdio: 'ignore',
  });
  return { [Symbol.dispose]: () => void child.kill() };
}

function environment(): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    TMPDIR: tmpdir(),
    NODE_COMPILE_CACHE: new URL('../../node_modules/.cache/coffre-compile', import.meta.url).pathname,
  };
}
