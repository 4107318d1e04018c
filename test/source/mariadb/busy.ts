// What tests of gentle reading share: no limits, and a server that is busy.

import { onTestFinished } from 'vitest';
import type { GentleLimits } from '../../../src/config/config.ts';
import { connect, type ServerAddress, type Session } from '../../../src/target/mariadb/session.ts';
import { until } from '../../servers/rig.ts';
import type { DatabaseServer } from './server.ts';

export const NO_LIMITS: GentleLimits = { rowsPerSecond: null, bytesPerSecond: null, maxRunningQueries: null, maxLockMs: 3000 };

/** Connections that each run a query for a minute, unless they or their test are ended before. */
export async function busy(
  server: DatabaseServer,
  address: ServerAddress,
  count: number,
): Promise<{ readonly sessions: readonly Session[]; end(): Promise<void> }> {
  const sessions = await Promise.all(Array.from({ length: count }, () => connect(address, { localInfile: false })));
  const ids = sessions.map(({ threadId }) => threadId);
  const running = async (): Promise<number> =>
    Number(await server.sql(`SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID IN (${ids}) AND COMMAND='Query'`));
  const end = async (): Promise<void> => {
    // killed first: the server notices only at the end of a query that its client is gone
    await server.client('mariadb', ['--force'], ids.map((id) => `KILL ${id};`).join('\n')).catch(() => {});
    for (const session of sessions) session.destroy();
    await until('the queries are gone', 10_000, async () => (await running()) === 0);
  };
  onTestFinished(end);
  for (const session of sessions) session.cells('SELECT SLEEP(60)').catch(() => {});
  await until('the queries run', 10_000, async () => (await running()) === count);
  return { sessions, end };
}
