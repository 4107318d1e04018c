// Whether a server takes LOAD DATA LOCAL, and what allowing it would win.
import type { Finding } from '../../source/source.ts';
import type { Session } from './session.ts';

export const REFUSED_LOCAL_INFILE = 'the server refuses LOAD DATA LOCAL (local_infile=0)';

/**
 * For doctor, asked of the server that is dumped, which as a rule is the one that is restored into. Not an error: rows then go in as
 * INSERTs. What that costs is measured in README's words on LOAD DATA.
 * Throws ServerError.
 */
export async function checkLocalInfile(session: Session): Promise<Finding> {
  const remedy = 'SET GLOBAL local_infile=1 for the time of a restore, or local_infile=1 under [mysqld]';
  const allowed = (await session.text('SELECT @@GLOBAL.local_infile')) === '1';
  return {
    name: 'fast load',
    ok: true,
    detail: allowed
      ? 'the server takes LOAD DATA LOCAL: a restore into it loads rows the fast way'
      : // doctor prints hints below what is red alone
        `${REFUSED_LOCAL_INFILE}: a restore into this server loads rows as INSERTs, nearly twice as slowly; faster with ${remedy}`,
    ...(allowed ? {} : { hint: remedy }),
  };
}
