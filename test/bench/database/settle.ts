// Makes MariaDB finish what one step of the benchmark left behind, so that the next one does not pay for it.
import type { Mariadb } from '../../servers/mariadb.ts';
import { until } from '../../servers/rig.ts';
import { SETTLE_LIMIT_MS, type WatchedServer } from '../measuring/meter.ts';

export const watched = (server: Mariadb): WatchedServer => ({ pid: server.pid, settle: (signal) => settle(server, signal) });

/** Waits until there is no dirty page and no old row version to purge. */
async function settle(server: Mariadb, signal: AbortSignal): Promise<void> {
  const usual = (
    await server.sql('SELECT @@GLOBAL.innodb_max_dirty_pages_pct, @@GLOBAL.innodb_io_capacity, @@GLOBAL.innodb_io_capacity_max')
  )
    .trim()
    .split('\t');
  // else it writes 200 pages a second when nobody asks for more
  await server.sql(
    'SET GLOBAL innodb_io_capacity_max = 40000; SET GLOBAL innodb_io_capacity = 20000; SET GLOBAL innodb_max_dirty_pages_pct = 0',
  );
  try {
    await until(
      'InnoDB has flushed and purged everything',
      SETTLE_LIMIT_MS,
      async () => {
        signal.throwIfAborted();
        const left = await server.sql(
          "SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_buffer_pool_pages_dirty', 'Innodb_history_list_length')",
        );
        const counts = left
          .trim()
          .split('\n')
          .map((line) => Number(line.split('\t')[1]));
        return counts.length === 2 && counts.every((count) => count <= 50);
      },
      200,
    );
  } finally {
    const [dirty, capacity, capacityMax] = usual;
    if (!signal.aborted) {
      await server.sql(
        `SET GLOBAL innodb_max_dirty_pages_pct = ${dirty}; SET GLOBAL innodb_io_capacity = ${capacity}; SET GLOBAL innodb_io_capacity_max = ${capacityMax}`,
      );
    }
  }
}
