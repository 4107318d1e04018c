// Which tables' rows a dump leaves out: what the configuration names, and the named lists of what a shop can do without.
import type { DatabaseConfig } from '../../config/config.ts';
import { quoteText } from '../../target/mariadb/names.ts';
import { connect, type ServerAddress } from '../../target/mariadb/session.ts';
import { isEphemeral, prestashopPrefixes } from '../prestashop-tables.ts';
import type { Warning } from '../source.ts';
import { readError } from './reading.ts';

export interface Excluded {
  /** Names out of those that were given, in their order. */
  readonly tables: readonly string[];
  /** For the manifest: one for each table that is left out, and for what the configuration names in vain. */
  readonly warnings: readonly Warning[];
}

/**
 * Looks which tables `database` has and decides which of them are dumped without their rows. To be called once, before the snapshot
 * is opened: what is locked and what is read must go by the same answer. Connects only when the configuration leaves out anything.
 * Throws E_DB_CONNECT, E_DB_AUTH, E_DB_PRIVILEGE, E_DB_READ.
 */
export async function findExcluded(
  address: ServerAddress,
  database: string,
  config: Pick<DatabaseConfig, 'excludeData' | 'profile'>,
): Promise<Excluded> {
  if (config.profile === 'none' && config.excludeData.length === 0) return { tables: [], warnings: [] };
  const session = await connect(address, { localInfile: false });
  try {
    const rows = await session.texts(
      `SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=${quoteText(database)}
       AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY BINARY TABLE_NAME`,
    );
    return resolveExcluded(
      config,
      rows.map(([name]) => name ?? ''),
    );
  } catch (error) {
    throw readError(error, `the names of the tables of ${database}`);
  } finally {
    await session.end();
  }
}

/**
 * Decides which of `tableNames` (the base tables of the database) are dumped without their rows. The definitions of all are
 * kept. Pure: the same names give the same answer.
 */
export function resolveExcluded(config: Pick<DatabaseConfig, 'excludeData' | 'profile'>, tableNames: readonly string[]): Excluded {
  const reasons = new Map<string, string>();
  const vain: Warning[] = [];
  if (config.profile === 'prestashop-ephemeral') {
    const prefixes = prestashopPrefixes(tableNames);
    for (const name of tableNames) {
      if (prefixes.some((prefix) => isEphemeral(name, prefix))) reasons.set(name, 'profile prestashop-ephemeral');
    }
    if (prefixes.length === 0) {
      const message = 'no tables of a PrestaShop were found, so the profile leaves out nothing';
      vain.push({ kind: 'other', where: 'profile prestashop-ephemeral', message });
    }
  }
  for (const pattern of config.excludeData) {
    const matches = matcher(pattern);
    const matched = tableNames.filter(matches);
    for (const name of matched) reasons.set(name, pattern === name ? 'excludeData' : `excludeData ${pattern}`);
    if (matched.length === 0) vain.push({ kind: 'other', where: `excludeData ${pattern}`, message: 'no table has this name' });
  }
  const tables = tableNames.filter((name) => reasons.has(name));
  const skipped = tables.map((name): Warning => {
    return { kind: 'skipped', where: name, message: `its rows are left out by the configuration (${reasons.get(name)})` };
  });
  return { tables, warnings: [...skipped, ...vain] };
}

/** Whether a name is `pattern`, where * stands for any characters and ? for one. */
function matcher(pattern: string): (name: string) => boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const expression = new RegExp(`^${source}$`, 'su');
  // the name itself first: a table may be named with a star
  return (name) => name === pattern || expression.test(name);
}
