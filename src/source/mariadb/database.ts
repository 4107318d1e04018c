// The source `database`: a MariaDB or MySQL database as schema, rows and programs, from one snapshot.
import type { Duplex } from 'node:stream';
import type { Clock } from '../../clock.ts';
import type { DatabaseConfig } from '../../config/config.ts';
import { quoteName } from '../../target/mariadb/names.ts';
import type { ServerAddress, Session } from '../../target/mariadb/session.ts';
import type { Finding, OpenOptions, Reading, Source } from '../source.ts';
import { checkDatabase } from './check.ts';
import { DatabaseReading } from './database-reading.ts';
import { findExcluded } from './ephemeral.ts';
import { makeGentle } from './gentle.ts';
import type { TableLock } from './locks.ts';
import { measure, type PlannedTable, spread } from './measure.ts';
import { DEFAULT_SIZES, planTable, type Sizes } from './plan.ts';
import { ReadContext, readError } from './reading.ts';
import { openSnapshot, type Snapshot } from './snapshot.ts';

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

  /** Throws E_DB_CONNECT, E_DB_AUTH, E_DB_PRIVILEGE, E_DB_READ, E_DB_CHANGED, E_DB_BUSY, and the signal's reason. */
  async open(options: OpenOptions): Promise<Reading> {
    const { signal } = options;
    await options.previous;
    signal.throwIfAborted();
    const { name } = this.#config;
    let sessions: readonly Session[] = [];
    let context: ReadContext | null = null;
    const gentle = await makeGentle({
      limits: this.#config.gentle,
      address: this.#address,
      clock: this.#clock,
      ownThreads: () => sessions.map((session) => session.threadId),
      tablesHeld: () => {
        const tables = new Set([...(context?.openTables ?? [])].map(({ plan }) => plan.name));
        return [...tables].map((table) => `${quoteName(name)}.${quoteName(table)}`);
      },
    });
    let lock: TableLock | null = null;
    try {
      const excluded = await findExcluded(this.#address, name, this.#config);
      // a busy server is waited for before the snapshot makes it keep old versions of rows
      await gentle.spend(0, 0, signal);
      const snapshot = await openSnapshot(this.#address, name, {
        clock: this.#clock,
        excludeData: excluded.tables,
        connections: this.#config.threads,
        maxBlockMs: this.#config.gentle.maxLockMs,
        signal,
      });
      ({ sessions, lock } = snapshot);
      const pace = {
        // the site waits for tables that are locked: they are read as fast as they can be
        spend: (rows: number, bytes: number) => ((context?.lockedOpen ?? 0) > 0 ? null : gentle.spend(rows, bytes, signal)),
      };
      context = new ReadContext(sessions, snapshot.server.maxAllowedPacket, this.#sizes, pace, lock?.session ?? null);
      context.warnings.push(...excluded.warnings);
      const tables = await this.#measured(snapshot, context, new Set(excluded.tables), signal);
      // Lets go of the metadata locks that looking at the tables took: nobody's ALTER has to wait for the dump.
      await context.letGo(snapshot.session);
      return new DatabaseReading(snapshot, context, tables, gentle);
    } catch (error) {
      for (const session of sessions) session.destroy();
      await lock?.release();
      await gentle.close();
      signal.throwIfAborted();
      throw readError(error, `the tables of ${name}`);
    }
  }

  async #measured(snapshot: Snapshot, context: ReadContext, excluded: ReadonlySet<string>, signal: AbortSignal): Promise<PlannedTable[]> {
    const locked = new Set(snapshot.lock?.tables);
    const tables: PlannedTable[] = [];
    for (const table of snapshot.schema.tables) {
      signal.throwIfAborted();
      if (table.definitionOnly || excluded.has(table.name)) continue;
      if (table.history === 'current') {
        const message = 'only its present rows are kept: this server cannot take history back';
        context.warnings.push({ kind: 'skipped', where: table.name, message });
      }
      const plan = planTable(table, locked.has(table.name), snapshot.server);
      const reader = plan.locked ? (snapshot.lock?.session ?? snapshot.session) : snapshot.session;
      try {
        tables.push(await measure(reader, plan, this.#sizes));
      } catch (error) {
        throw readError(error, `table ${table.name}`, table.name);
      }
    }
    return spread(snapshot.session, tables, snapshot.sessions.length, this.#sizes);
  }

  check(): Promise<readonly Finding[]> {
    return checkDatabase(this.#address, this.#config.name);
  }
}
