// A database server for one drill: on a socket in its scratch folder, without a network, without rights, gone with the process that started it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, open } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { type Clock, withDeadline } from '../../clock.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';

export interface ScratchServer {
  /** As --to-database takes it. */
  url(database: string): string;
  /** At once: there is nothing to save. Never throws. */
  stop(): Promise<void>;
}

/** Where packages put it; /usr/sbin is not in everybody's PATH. */
const SERVERS = ['/usr/sbin/mariadbd', '/usr/libexec/mariadbd', '/usr/bin/mariadbd', '/usr/local/sbin/mariadbd', '/usr/sbin/mysqld'];
const READY_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 50;
/** The kernel's limit for the path of a socket, its end included. */
const LONGEST_SOCKET_PATH = 107;
const LOG_BYTES = 2000;
/** Of those that come, none may be larger than a row of the shop's. */
const PACKET = '1G';

/**
 * What of us goes on: no capability (ours reads everything), no way to get one, and no life after ours. A dump is data that somebody else
 * wrote, and the server runs what is in it.
 */
const CONFINED = ['--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs', '--pdeathsig=KILL', '--'];

/** `lowerCaseTableNames` as the source's server had it. Throws E_TOOL_MISSING, E_TARGET_WRITE, E_DRILL_SPACE, the signal's reason. */
export async function startScratchServer(
  folder: string,
  { clock, signal, lowerCaseTableNames }: { readonly clock: Clock; readonly signal: AbortSignal; readonly lowerCaseTableNames: string },
): Promise<ScratchServer> {
  const program = await findServer();
  const socket = join(folder, 'db.sock');
  if (Buffer.byteLength(socket) > LONGEST_SOCKET_PATH) {
    throw new CoffreError('E_CONFIG', `the path of restore.scratchDir is too long: ${socket} is no path for a socket`);
  }
  const at = (name: string): string => join(folder, 'server', name);
  await mkdir(at('tmp'), { recursive: true, mode: 0o700 });
  // the only place from which the server reads files, and there are none
  await mkdir(at('none'), { mode: 0o700 });
  const common = ['--no-defaults', `--datadir=${at('data')}`, `--tmpdir=${at('tmp')}`];
  const lowerCase = lowerCaseTableNames === '1' ? ['--lower-case-table-names=1'] : [];
  const install = start('mariadb-install-db', [
    ...common,
    ...lowerCase,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    '--skip-name-resolve',
  ]);
  await endOf(install, signal);
  signal.throwIfAborted();
  const log = at('error.log');
  const server = start(program, [
    ...common,
    ...lowerCase,
    `--socket=${socket}`,
    `--pid-file=${at('pid')}`,
    `--log-error=${log}`,
    `--secure-file-priv=${at('none')}`,
    '--skip-networking',
    '--skip-name-resolve',
    '--event-scheduler=OFF',
    '--skip-log-bin',
    '--local-infile=1',
    '--character-set-server=utf8mb4',
    '--collation-server=utf8mb4_general_ci',
    `--max-allowed-packet=${PACKET}`,
    '--innodb-buffer-pool-size=256M',
    '--innodb-flush-log-at-trx-commit=2',
    '--performance-schema=OFF',
  ]);
  const stop = async (): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    killAll(server);
    await ended.catch(() => {});
  };
  try {
    await withDeadline(
      clock,
      READY_WITHIN_MS,
      () => new CoffreError('E_TARGET_WRITE', `the drill’s own database server does not answer at ${socket}`),
      async (limit) => {
        while (!(await answers(socket))) {
          if (server.exitCode !== null || server.signalCode !== null) {
            const how = server.signalCode ?? `status ${server.exitCode}`;
            throw new CoffreError('E_TARGET_WRITE', `the drill’s own database server ended with ${how}: ${await tailOf(log)}`);
          }
          await clock.sleep(LOOK_EVERY_MS, limit);
        }
      },
      signal,
    );
  } catch (error) {
    await stop();
    throw error;
  }
  const url = (database: string): string =>
    `mysql://root@localhost/${encodeURIComponent(database)}?socketPath=${encodeURIComponent(socket)}`;
  return { url, stop };
}

/** Throws E_TOOL_MISSING. */
async function findServer(): Promise<string> {
  const inPath = (process.env.PATH ?? '').split(':').map((folder) => join(folder, 'mariadbd'));
  for (const path of [...SERVERS, ...inPath]) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  throw new CoffreError('E_TOOL_MISSING', 'a drill of a database needs mariadbd, and it is not installed here', {
    hint: 'apt-get install mariadb-server (its own service may be disabled), or name a server in restore.drillDatabase',
  });
}

function start(program: string, args: readonly string[]) {
  const child = spawn('setpriv', [...CONFINED, program, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/bin`, LC_ALL: 'C' },
    // a group of its own: a script's programs go with it, and ^C in a terminal is ours to answer
    detached: true,
  });
  child.on('error', () => {});
  // what is not read would stop it in the end
  child.stderr.resume();
  return child;
}

/** With whatever it started: a server that waits for space on a full disk would wait for ever. */
function killAll({ pid }: ReturnType<typeof start>): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // it ended by itself
  }
}

/** As the system, the server and its storage engine say it; the engine removes what it had made, and then there is space again. */
const NO_SPACE = /No space left|Disk is full|\b(?:errno|errcode|error|error number):? 28\b/i;

/** Throws E_TARGET_WRITE with what it said when it did not go well, the signal's reason once it is dead. */
async function endOf(child: ReturnType<typeof start>, signal: AbortSignal): Promise<void> {
  const kill = (): void => killAll(child);
  signal.addEventListener('abort', kill, { once: true });
  let said = '';
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    said = `${said}${text}`.slice(-LOG_BYTES);
  });
  try {
    const [status] = (await once(child, 'exit')) as [number | null];
    signal.throwIfAborted();
    if (status !== 0) throw new CoffreError('E_TARGET_WRITE', `making the drill’s own database server ready failed: ${said.trim()}`);
  } catch (error) {
    const failure = asCoffreError(error);
    throw NO_SPACE.test(said) ? new CoffreError('E_DRILL_SPACE', 'no space for the drill’s own server') : failure;
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

/** The server greets whoever connects. */
function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = createConnection(socket);
    const end = (isThere: boolean): void => {
      connection.destroy();
      resolve(isThere);
    };
    connection.once('error', () => end(false));
    connection.once('close', () => end(false));
    connection.once('data', () => end(true));
  });
}

async function tailOf(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LOG_BYTES), 0, LOG_BYTES, Math.max(0, size - LOG_BYTES));
    return buffer.subarray(0, bytesRead).toString('latin1').trim().split('\n').slice(-3).join('; ');
  } catch {
    return 'it left no log';
  }
}
