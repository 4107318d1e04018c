// Opens connections to the target database, making the database where it may, and keeps other restores out of it.
import { createHash } from 'node:crypto';
import { CoffreError } from '../../errors.ts';
import { writeError } from './errors.ts';
import { grantPattern, quoteAccount, quoteName, quoteText } from './names.ts';
import { askMissingGrants } from './restore-rights.ts';
import { accessCode, asServerError, connect, type ServerAddress, type Session } from './session.ts';

const UNKNOWN_DATABASE = 1049;
const ACCESS_DENIED = 1044;
/** A killed restore's connections are gone within moments. */
const LOCK_WAIT_SECONDS = 10;
const TABLE_WAIT_SECONDS = 60;

export class TargetOpener {
  readonly #address: ServerAddress;
  readonly #database: string;
  readonly #alone: boolean;
  readonly #beside: readonly string[];
  /** Holds the named lock for as long as it lives. */
  #keeper: Session | null = null;

  /** `alone: false`: whoever opens keeps other restores out by an opener of its own. `beside`: databases that will be needed too. */
  constructor(
    address: ServerAddress,
    database: string,
    { alone = true, beside = [] }: { readonly alone?: boolean; readonly beside?: readonly string[] } = {},
  ) {
    this.#address = address;
    this.#database = database;
    this.#alone = alone;
    this.#beside = beside;
  }

  /** Throws E_DB_…, E_BUSY when another restore writes into the database. `create`: make it when it does not exist. */
  async open(create: boolean): Promise<Session> {
    const session = await this.#connect(create);
    try {
      // The connection that held the lock may have been lost with the server.
      if (this.#alone && (!this.#keeper || this.#keeper.lost)) this.#keeper = await this.#keep();
      return session;
    } catch (error) {
      session.destroy();
      throw error;
    }
  }

  async close(): Promise<void> {
    const keeper = this.#keeper;
    this.#keeper = null;
    await keeper?.end();
  }

  async #keep(): Promise<Session> {
    const keeper = await this.#connect(false);
    // At most 64 characters, whatever the database is called.
    const name = `coffre/${createHash('sha256').update(this.#database).digest('hex').slice(0, 40)}`;
    try {
      // Two at once would each clear away what the other has not finished.
      const got = await keeper.text(`SELECT GET_LOCK(${quoteText(name)}, ${LOCK_WAIT_SECONDS})`);
      if (got !== '1') throw new CoffreError('E_BUSY', `another restore writes into the database ${this.#database}`);
      return keeper;
    } catch (error) {
      keeper.destroy();
      throw writeError(error, `locking the database ${this.#database} against other restores`);
    }
  }

  async #connect(create: boolean): Promise<Session> {
    const session = await connect(this.#address, { localInfile: true }).catch((error: unknown) => {
      // the table's hint is of a shop's own user
      if (!(error instanceof CoffreError) || error.code !== 'E_DB_AUTH') throw error;
      throw new CoffreError(error.code, error.message, {
        cause: error,
        hint: 'check the user in --to-database, and its password in --password-file or $COFFRE_DB_PASSWORD',
      });
    });
    try {
      await this.#useDatabase(session, create);
      // Not written to the binary log where we may choose: a restore would fill it with the whole shop.
      await session.run('SET SESSION sql_log_bin=0').catch(() => {});
      // In a database that others use, a query of theirs may hold a table for hours.
      if (!this.#alone) await session.run(`SET SESSION lock_wait_timeout=${TABLE_WAIT_SECONDS}`);
    } catch (error) {
      session.destroy();
      throw writeError(error, `opening the database ${this.#database}`);
    }
    return session;
  }

  /** What gives the restoring user all it needs. */
  async #grant(session: Session): Promise<string> {
    const missing = await askMissingGrants(session, [this.#database, ...this.#beside], this.#database).catch(() => []);
    if (missing.length > 0) return missing.join(' ');
    const account = await session.text('SELECT CURRENT_USER()').catch(() => null);
    const user = account === null ? 'the user in --to-database' : quoteAccount(account);
    return `GRANT ALL PRIVILEGES ON ${quoteName(grantPattern(this.#database))}.* TO ${user};`;
  }

  async #useDatabase(session: Session, create: boolean): Promise<void> {
    const name = quoteName(this.#database);
    try {
      await session.run(`USE ${name}`);
    } catch (error) {
      const { errno } = asServerError(error);
      if (errno === ACCESS_DENIED) {
        throw new CoffreError('E_DB_PRIVILEGE', `the restoring user may not use the database ${this.#database}`, {
          cause: error,
          hint: `on the target server: CREATE DATABASE IF NOT EXISTS ${name}; ${await this.#grant(session)}`,
        });
      }
      if (!create || errno !== UNKNOWN_DATABASE) throw error;
      const grant = await this.#grant(session);
      await session.run(`CREATE DATABASE ${name}`).catch((refused: unknown) => {
        // a connection that broke says nothing of rights
        if (accessCode(asServerError(refused).errno) !== 'E_DB_PRIVILEGE') throw refused;
        throw new CoffreError('E_DB_PRIVILEGE', `the database ${this.#database} does not exist and cannot be created`, {
          cause: refused,
          hint: `on the target server: CREATE DATABASE ${name}; ${grant}`,
        });
      });
      await session.run(`USE ${name}`);
    }
  }
}
