// The database server under test: one of our own, or the one that the environment names (COFFRE_TEST_DB_HOST, _PORT, _USER, _PASSWORD).
import { spawn } from 'node:child_process';
import { startMariadb } from '../../servers/mariadb.ts';
import type { Where } from './dumped.ts';

export interface DatabaseServer {
  readonly where: Where;
  /** Runs statements with the `mariadb` client; rows come back tab-separated. */
  sql(text: string | Buffer, database?: string): Promise<string>;
  /** Runs a client program with these arguments after those that reach the server. */
  client(program: string, args: readonly string[], input?: Buffer | string): Promise<Buffer>;
  stop(): Promise<void>;
}

/** `args` are for a server of our own. */
export async function startDatabaseServer(args: readonly string[] = []): Promise<DatabaseServer> {
  const host = process.env.COFFRE_TEST_DB_HOST;
  if (!host) {
    const rig = await startMariadb({ args: ['--local-infile=1', ...args] });
    return server({ socketPath: rig.socketPath }, ['--no-defaults', `--socket=${rig.socketPath}`, '--user=root'], () => rig.stop());
  }
  const port = Number(process.env.COFFRE_TEST_DB_PORT ?? 3306);
  const user = process.env.COFFRE_TEST_DB_USER ?? 'root';
  const password = process.env.COFFRE_TEST_DB_PASSWORD;
  const where: Where = { socketPath: null, host, port, user, ...(password === undefined ? {} : { password }) };
  return server(where, ['--no-defaults', `--host=${host}`, `--port=${port}`, '--protocol=tcp', `--user=${user}`], async () => {});
}

function server(where: Where, reach: readonly string[], stop: () => Promise<void>): DatabaseServer {
  const client = (program: string, args: readonly string[], input: Buffer | string = ''): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const env = { ...process.env, ...(where.password === undefined ? {} : { MYSQL_PWD: where.password }) };
      // Through `cat`: what Node gives a child as its input is a socket, and /dev/stdin of a socket cannot be opened.
      const child = spawn('sh', ['-c', 'cat | "$0" "$@"', program, ...reach, ...args], { stdio: ['pipe', 'pipe', 'pipe'], env });
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
      child.once('error', reject);
      child.once('close', (code) => {
        if (code === 0) resolve(Buffer.concat(out));
        else reject(new Error(`${program} ended with ${code}: ${Buffer.concat(err)}`));
      });
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    });
  return {
    where,
    client,
    async sql(text, database) {
      const flags = ['--batch', '--skip-column-names', '--default-character-set=utf8mb4', '--binary-mode', '--comments', '--raw'];
      return (await client('mariadb', database ? [...flags, database] : flags, text)).toString();
    },
    stop,
  };
}

/** Makes it empty, and again if it is there. */
export async function freshDatabase(server: DatabaseServer, name: string, options = 'CHARACTER SET utf8mb4'): Promise<void> {
  await server.sql(`DROP DATABASE IF EXISTS \`${name}\`; CREATE DATABASE \`${name}\` ${options};`);
}

/** The oracle: what mariadb-dump says of a database, history included, without the database's own name. */
export async function dumpText(server: DatabaseServer, name: string): Promise<string> {
  const flags = ['--skip-dump-date', '--routines', '--triggers', '--events', '--hex-blob', '--default-character-set=utf8mb4'];
  const text = (await server.client('mariadb-dump', [...flags, '--dump-history', name])).toString('latin1');
  return text
    .replaceAll(`Database: ${name}\n`, 'Database: x\n')
    .replaceAll(`database '${name}'`, "database 'x'")
    .replaceAll(`ALTER DATABASE \`${name}\``, 'ALTER DATABASE `x`');
}

/** CHECKSUM TABLE of every table: sees what a dump does not print (digits of a FLOAT, the error value of an ENUM). */
export async function checksums(server: DatabaseServer, name: string): Promise<string> {
  const statements = await server.sql(
    `SELECT CONCAT('SELECT ''', HEX(TABLE_NAME), '''; CHECKSUM TABLE \`', REPLACE(TABLE_NAME, '\`', '\`\`'), '\`;') FROM information_schema.TABLES
     WHERE TABLE_SCHEMA='${name}' AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY HEX(TABLE_NAME)`,
  );
  return (await server.sql(statements, name)).replaceAll(`${name}.`, '');
}
