// What doctor asks a database server: reachability, rights, version.
import { asCoffreError } from '../../errors.ts';
import { quoteName } from '../../target/mariadb/names.ts';
import { connect, type ServerAddress } from '../../target/mariadb/session.ts';
import type { Finding } from '../source.ts';
import { readError } from './reading.ts';
import { readServer } from './schema.ts';

/** Never throws. */
export async function checkDatabase(address: ServerAddress, database: string): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  try {
    const session = await connect(address, { localInfile: false });
    try {
      await session.run(`USE ${quoteName(database)}`).catch((error: unknown) => {
        throw readError(error, `the database ${database}`);
      });
      const server = await readServer(session);
      findings.push({ name: 'database connection', ok: true, detail: `${database} on ${server.version}` });
    } finally {
      await session.end();
    }
  } catch (error) {
    const { message, hint } = asCoffreError(error, 'E_DB_CONNECT');
    findings.push({ name: 'database connection', ok: false, detail: message, hint });
  }
  return findings;
}
