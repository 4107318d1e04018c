// The database server under test: one of our own, or the one that the environment names (test/servers/README.md).
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { givenServer, type Mariadb, startMariadb } from '../../servers/mariadb.ts';
import type { Where } from './dumped.ts';

export interface DatabaseServer {
  readonly where: Where;
  /** The rig, when the server is ours: it can be restarted, and files beside it can be looked at. */
  readonly rig: Mariadb | null;
  readonly mariadb: boolean;
  /** 101119 for 10.11.19, 80039 for 8.0.39. */
  readonly version: number;
  /** Runs statements with the `mariadb` client; rows come back tab-separated. */
  sql(text: string | Buffer, database?: string): Promise<string>;
  /** Runs a client program with these arguments after those that reach the server. */
  client(program: string, args: readonly string[], input?: Buffer | string): Promise<Buffer>;
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** Of the server's process. */
  readonly env?: Readonly<Record<string, string>>;
  /** The test runs on any server, and does without `args` and `env` where one is given. */
  readonly any?: boolean;
  /** The test breaks the server or changes its settings: it gets one of our own in any case. */
  readonly own?: boolean;
}

/** The server that the environment names where it will do: for a test that needs arguments, or MariaDB, one of our own may have to. */
export async function startDatabaseServer(
  args: readonly string[] = [],
  { env, any = false, own = false }: ServerOptions = {},
): Promise<DatabaseServer> {
  const given = !own && (any || args.length === 0) ? await connectGiven() : null;
  if (given && (any || given.mariadb)) return given;
  const rig = await startMariadb({ args: ['--local-infile=1', ...args], ...(env ? { env } : {}) });
  return server({ socketPath: rig.socketPath }, ['--no-defaults', `--socket=${rig.socketPath}`, '--user=root'], rig);
}

async function connectGiven(): Promise<DatabaseServer | null> {
  const given = givenServer();
  if (!given) return null;
  const { socketPath, host, port, user, password } = given;
  const reach = socketPath === null ? [`--host=${host}`, `--port=${port}`, '--protocol=tcp'] : [`--socket=${socketPath}`];
  const where: Where = { socketPath, ...(host === null ? {} : { host }), port, user, ...(password === undefined ? {} : { password }) };
  return server(where, ['--no-defaults', ...reach, `--user=${user}`], null);
}

async function server(where: Where, reach: readonly string[], rig: Mariadb | null): Promise<DatabaseServer> {
  const client = (program: string, args: readonly string[], input: Buffer | string = ''): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const env = { ...process.env, ...(where.password === undefined ? {} : { MYSQL_PWD: where.password }) };
      // Through `cat`: what Node gives a child as its input is a socket, and /dev/stdin of a socket cannot be opened.
      const child = spawn('sh', ['-c', 'cat | "$0" "$@"', program, ...reach, ...args], { stdio: ['pipe', 'pipe', 'pipe'], env });
      const out = collect(child.stdout);
      const err = collect(child.stderr);
      child.once('error', reject);
      child.once('close', (code) => {
        if (code === 0) resolve(Buffer.concat(out));
        else reject(new Error(`${program} ended with ${code}: ${Buffer.concat(err)}`));
      });
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    });
  const sql = async (text: string | Buffer, database?: string): Promise<string> => {
    const flags = ['--batch', '--skip-column-names', '--default-character-set=utf8mb4', '--binary-mode', '--comments', '--raw'];
    return (await client('mariadb', database ? [...flags, database] : flags, text)).toString();
  };
  const version = await sql('SELECT VERSION()');
  const [major = 0, minor = 0, patch = 0] = (/^(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1) ?? []).map(Number);
  return {
    where,
    rig,
    mariadb: /mariadb/i.test(version),
    version: major * 10_000 + minor * 100 + patch,
    client,
    sql,
    stop: async () => rig?.stop(),
  };
}

function collect(stream: Readable): Buffer[] {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return chunks;
}

/** Makes it empty, and again if it is there. */
export async function freshDatabase(server: DatabaseServer, name: string, options = 'CHARACTER SET utf8mb4'): Promise<void> {
  await server.sql(`DROP DATABASE IF EXISTS \`${name}\`; CREATE DATABASE \`${name}\` ${options};`);
}

/** The oracle: what mariadb-dump says of a database, history included, without the database's own name. */
export async function dumpText(server: DatabaseServer, name: string, more: readonly string[] = []): Promise<string> {
  // no LOCK TABLES: it refuses a database with one broken view
  const flags = [
    '--skip-dump-date',
    '--skip-lock-tables',
    '--routines',
    '--triggers',
    '--events',
    '--hex-blob',
    '--default-character-set=utf8mb4',
  ];
  if (server.mariadb) flags.push('--dump-history');
  let text = (await server.client('mariadb-dump', [...flags, ...more, name])).toString('latin1');
  // MySQL says a column's character set or not, depending on how it was once written
  if (!server.mariadb) text = text.replace(/ CHARACTER SET \w+(?= COLLATE )/g, '');
  return text
    .replaceAll(`Database: ${name}\n`, 'Database: x\n')
    .replaceAll(`database '${name}'`, "database 'x'")
    .replaceAll(`ALTER DATABASE \`${name}\``, 'ALTER DATABASE `x`')
    .replaceAll(`\`${name}\`.\``, '`x`.`');
}

/** CHECKSUM TABLE of every table: sees what a dump does not print (digits of a FLOAT, the error value of an ENUM). */
export async function checksums(server: DatabaseServer, name: string): Promise<string> {
  const statements = await server.sql(
    `SELECT CONCAT('SELECT ''', HEX(TABLE_NAME), '''; CHECKSUM TABLE \`', REPLACE(TABLE_NAME, '\`', '\`\`'), '\`;') FROM information_schema.TABLES
     WHERE TABLE_SCHEMA='${name}' AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY HEX(TABLE_NAME)`,
  );
  return (await server.sql(statements, name)).replaceAll(`${name}.`, '');
}
