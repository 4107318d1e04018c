// The source `database`: a MariaDB or MySQL database as schema, rows and programs, from one snapshot.
import type { Duplex } from 'node:stream';
import type { Clock } from '../../clock.ts';
import type { DatabaseConfig } from '../../config/config.ts';
import type { ServerAddress } from '../../target/mariadb/session.ts';
import type { Finding, OpenOptions, Reading, Source } from '../source.ts';
import { checkDatabase } from './check.ts';
import { DatabaseReading } from './database-reading.ts';
import { measure, type PlannedTable } from './measure.ts';
import { DEFAULT_SIZES, planTable, type Sizes } from './plan.ts';
import { ReadContext, readError, SAVEPOINT } from './reading.ts';
import { openSnapshot } from './snapshot.ts';

export interface DatabaseSourceOptions {
  readonly clock: Clock;
  /** A byte stream to the server, where it is reached through a tunnel. */
  readonly stream?: () => Duplex;
  readonly sizes?: Sizes;
}

export class DatabaseSource implements Source {
  readonly kind = 'database';
  readonly #config: DatabaseConfig;
  readonly #address: ServerAddress;
  readonly #clock: Clock;
  readonly #sizes: Sizes;

  constructor(config: DatabaseConfig, options: DatabaseSourceOptions) {
    this.#config = config;
    this.#clock = options.clock;
    this.#sizes = options.sizes ?? DEFAULT_SIZES;
    this.#address = {
      user: config.user,
      password: config.password,
      host: config.host,
      port: config.port,
      socketPath: config.socketPath,
      ...(options.stream ? { stream: options.stream } : {}),
    };
  }

  /** Throws E_DB_CONNECT, E_DB_AUTH, E_DB_PRIVILEGE, E_DB_READ, E_DB_CHANGED, and the signal's reason. */
  async open(options: OpenOptions): Promise<Reading> {
    options.signal.throwIfAborted();
    const { name, excludeData } = this.#config;
    const snapshot = await openSnapshot(this.#address, name, {
      clock: this.#clock,
      excludeData,
      connections: this.#config.threads,
      maxBlockMs: this.#config.gentle.maxLockMs,
      signal: options.signal,
    });
    try {
      const context = new ReadContext(snapshot.sessions, snapshot.server.maxAllowedPacket, this.#sizes, null);
      const locked = new Set(snapshot.lock?.tables);
      const tables: PlannedTable[] = [];
      for (const table of snapshot.schema.tables) {
        options.signal.throwIfAborted();
        if (table.definitionOnly || excludeData.includes(table.name)) continue;
        if (table.history === 'current') {
          const message = 'only its present rows are kept: this server cannot take history back';
          context.warnings.push({ kind: 'skipped', where: table.name, message });
        }
        tables.push(await measure(snapshot.session, planTable(table, locked.has(table.name)), this.#sizes));
      }
      // Lets go of the metadata locks that looking at the tables took: nobody's ALTER has to wait for the dump.
      await snapshot.session.run(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`);
      return new DatabaseReading(snapshot, context, tables, async () => {});
    } catch (error) {
      for (const session of snapshot.sessions) session.destroy();
      await snapshot.lock?.release();
      options.signal.throwIfAborted();
      throw readError(error, `the tables of ${name}`);
    }
  }

  check(): Promise<readonly Finding[]> {
    return checkDatabase(this.#address, this.#config.name);
  }
}
