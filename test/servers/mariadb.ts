// A throw-away MariaDB server on a random loopback port and a unix socket, or the address of one that the environment names.
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePort, makeRig, type Rig, until } from './rig.ts';

const run = promisify(execFile);

export interface Account {
  readonly user: string;
  readonly password: string;
}

export interface Mariadb {
  readonly dir: string;
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly socketPath: string;
  readonly pid: number;
  /** `root` has no password on the socket. */
  readonly rootUser: 'root';
  /** Runs the `mariadb` client as root: `sql` on its standard input, tab-separated rows (no header) back. */
  sql(sql: string | Buffer, options?: ClientOptions): Promise<string>;
  /** Runs another client program (`mariadb-dump`, …) as root over the socket, its standard output back. */
  client(program: string, args: readonly string[], options?: { readonly input?: Buffer | string }): Promise<Buffer>;
  /** Makes a database, and an account with all rights on it (or with `grants`, e.g. `SELECT, SHOW VIEW`) from anywhere. */
  createDatabase(name: string, account?: Account, grants?: string): Promise<void>;
  /** Kills it (SIGKILL), runs `meanwhile`, and starts it again on the same files, port and socket: a crash of the server. */
  crash(meanwhile?: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

/** A server that was there before the tests, and may be anything that speaks the protocol. */
export interface GivenServer {
  readonly host: string | null;
  readonly port: number;
  readonly socketPath: string | null;
  readonly user: string;
  readonly password: string | undefined;
}

/** Reads COFFRE_TEST_DB_HOST, _PORT, _SOCKET, _USER, _PASSWORD_FILE (or _PASSWORD); null when the tests start their own. */
export function givenServer(env: NodeJS.ProcessEnv = process.env): GivenServer | null {
  const socketPath = env.COFFRE_TEST_DB_SOCKET || null;
  const host = env.COFFRE_TEST_DB_HOST || null;
  if (socketPath === null && host === null) return null;
  const passwordFile = env.COFFRE_TEST_DB_PASSWORD_FILE;
  return {
    host: socketPath === null ? host : null,
    port: Number(env.COFFRE_TEST_DB_PORT || 3306),
    socketPath,
    user: env.COFFRE_TEST_DB_USER || 'root',
    password: passwordFile ? readFileSync(passwordFile, 'utf8').trimEnd() : env.COFFRE_TEST_DB_PASSWORD,
  };
}

export interface ClientOptions {
  readonly database?: string;
  readonly args?: readonly string[];
}

export interface MariadbOptions {
  /** Further server arguments; the last one of a name wins, so these override the defaults below. */
  readonly args?: readonly string[];
  /** Of the server's process: `TZ` is the time zone that it takes for the system's. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts it, in about two seconds. Needs the Debian packages mariadb-server and mariadb-client. */
export async function startMariadb(options: MariadbOptions = {}): Promise<Mariadb> {
  const rig = makeRig('mariadb');
  try {
    return await startIn(rig, options);
  } catch (error) {
    await rig.stop();
    throw error;
  }
}

async function startIn(rig: Rig, options: MariadbOptions): Promise<Mariadb> {
  const { dir } = rig;
  const dataDir = path.join(dir, 'data');
  const tmpDir = path.join(dir, 'tmp');
  mkdirSync(tmpDir);
  const asRoot = process.getuid?.() === 0 ? ['--user=root'] : [];
  await run('mariadb-install-db', [
    '--no-defaults',
    ...asRoot,
    `--datadir=${dataDir}`,
    // not /tmp: another server that starts there would remove this one's temporary tables
    `--tmpdir=${tmpDir}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
  ]);
  const port = await freePort();
  const socketPath = path.join(dir, 'mysqld.sock');
  const serverArgs = [
    '--no-defaults',
    ...asRoot,
    `--datadir=${dataDir}`,
    `--tmpdir=${tmpDir}`,
    `--socket=${socketPath}`,
    `--pid-file=${path.join(dir, 'mariadbd.pid')}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    '--skip-name-resolve',
    // as Debian sets it
    '--character-set-server=utf8mb4',
    '--collation-server=utf8mb4_general_ci',
    // nothing here outlives the test: no flush to disk for each commit
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-buffer-pool-size=256M',
    '--max-allowed-packet=256M',
    ...(options.args ?? []),
  ];
  const launch = (): Promise<number> => rig.start('mariadbd', '/usr/sbin/mariadbd', serverArgs, options.env);
  let pid = await launch();

  const client = (program: string, args: readonly string[], { input = '' as Buffer | string } = {}): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const child = spawn(program, ['--no-defaults', `--socket=${socketPath}`, '--user=root', ...args], {
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
      child.once('error', reject);
      child.once('close', (code, signal) => {
        if (code === 0) resolve(Buffer.concat(out));
        else reject(new Error(`${program} ended with ${signal ?? code}: ${Buffer.concat(err).toString().trim()}`));
      });
      // the client may end before it has read everything (an error in the first statement)
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    });
  const sql = async (text: string | Buffer, { database, args = [] }: ClientOptions = {}): Promise<string> => {
    const flags = ['--batch', '--skip-column-names', '--default-character-set=utf8mb4', '--binary-mode', ...args];
    return (await client('mariadb', database ? [...flags, database] : flags, { input: text })).toString();
  };

  const answers = (): Promise<void> =>
    until('mariadbd accepts connections', 60_000, async () => {
      if (!rig.pids().has('mariadbd')) throw new Error(`mariadbd ended while starting: ${rig.logTail('mariadbd')}`);
      return client('mariadb-admin', ['--connect-timeout=2', 'ping']).then(
        () => true,
        () => false,
      );
    });
  await answers();
  return {
    dir,
    host: '127.0.0.1',
    port,
    socketPath,
    get pid() {
      return pid;
    },
    rootUser: 'root',
    sql,
    client,
    async createDatabase(name, account, grants = 'ALL PRIVILEGES') {
      const statements = [`CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4;`];
      if (account) {
        const who = `'${account.user}'@'%'`;
        statements.push(
          `CREATE USER IF NOT EXISTS ${who} IDENTIFIED BY '${account.password}';`,
          `GRANT ${grants} ON \`${name.replaceAll('_', '\\_')}\`.* TO ${who};`,
        );
      }
      await sql(statements.join('\n'));
    },
    async crash(meanwhile) {
      const ended = rig.ended('mariadbd');
      process.kill(pid, 'SIGKILL');
      await ended;
      await meanwhile?.();
      pid = await launch();
      await answers();
    },
    stop: () => rig.stop(),
  };
}
