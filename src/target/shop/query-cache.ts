// What PrestaShop keeps of its queries' answers in memory: nobody tells it that rows changed but its own code.
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type Clock, withDeadline } from '../../clock.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import { readHostFile } from '../../source/shop/host-file.ts';
import { type PhpSettings, type PhpValue, phpSettings } from '../../source/shop/php-settings.ts';
import type { ShopTables } from '../shop.ts';
import { ask, presentTables, tableName } from './tables.ts';

/** `memcached`: can be told to forget. `in php`: APC and its like, in the memory of the web server's PHP, where nobody else gets. */
export type QueryCache = 'memcached' | 'in php' | null;

const FLUSH_WITHIN_MS = 5000;

/** null: it is switched off, or of files (caches.ts). A settings file that cannot be read says nothing. Throws E_SSH_…, E_TOOL_MISSING. */
export async function readQueryCache(host: Host, root: string): Promise<QueryCache> {
  for (const [path, read] of PLACES) {
    const content = await readHostFile(host, join(root, path)).catch((error: unknown) => {
      if (error instanceof CoffreError && error.code === 'E_CONFIG') return null;
      throw error;
    });
    const found = content === null ? null : read(settingsOf(content));
    if (found !== null) return found.enabled ? systemOf(found.system) : null;
  }
  return null;
}

interface Found {
  readonly enabled: boolean;
  readonly system: PhpValue | undefined;
}

const PLACES: readonly (readonly [path: string, read: (settings: PhpSettings) => Found | null])[] = [
  [
    'app/config/parameters.php',
    ({ returned }) => {
      const parameters = returned instanceof Map ? returned.get('parameters') : undefined;
      if (!(parameters instanceof Map)) return null;
      return { enabled: isOn(parameters.get('ps_cache_enable')), system: parameters.get('ps_caching') };
    },
  ],
  [
    'config/settings.inc.php',
    ({ constants }) =>
      constants.has('_PS_CACHE_ENABLED_')
        ? { enabled: isOn(constants.get('_PS_CACHE_ENABLED_')), system: constants.get('_PS_CACHING_SYSTEM_') }
        : null,
  ],
];

function settingsOf(content: Buffer): PhpSettings {
  try {
    return phpSettings(content.toString('latin1'));
  } catch (error) {
    if (error instanceof CoffreError && error.code === 'E_FORMAT') return phpSettings('');
    throw error;
  }
}

const isOn = (value: PhpValue | undefined): boolean => value === true || value === 1 || value === '1';

function systemOf(system: PhpValue | undefined): QueryCache {
  if (typeof system !== 'string' || system === 'CacheFs') return null;
  return /^CacheMemcached?$/.test(system) ? 'memcached' : 'in php';
}

/**
 * After rows were changed behind PrestaShop's back. Says what was done, or what somebody else must do; null: there is no such cache. A server
 * that does not answer is no reason to fail: it is said. Throws E_DB_READ.
 */
export async function forgetQueries(host: Host, root: string, tables: ShopTables, clock: Clock): Promise<string | null> {
  const cache = await readQueryCache(host, root);
  if (cache === null) return null;
  if (cache === 'in php') return 'PHP keeps answers of queries in its memory: reload php-fpm, or the shop goes by old ones';
  if (!(await presentTables(tables, ['memcached_servers'])).has('memcached_servers')) return null;
  const servers = await ask(tables, 'ps_memcached_servers', `SELECT DISTINCT ip, port FROM ${tableName(tables, 'memcached_servers')}`);
  const said: string[] = [];
  for (const [ip, port] of servers) {
    const at = ip?.startsWith('/') ? { socketPath: ip } : { host: ip ?? '127.0.0.1', port: Number(port) };
    said.push(
      await flush(host, at, clock).then(
        () => 'Memcached forgot the answers of queries',
        (error: unknown) => `Memcached keeps answers of queries, and could not be told to forget them: ${asCoffreError(error).message}`,
      ),
    );
  }
  return said.length === 0 ? null : [...new Set(said)].join('; ');
}

async function flush(host: Host, at: Parameters<Host['connect']>[0], clock: Clock): Promise<void> {
  let stream: Duplex | null = null;
  try {
    await withDeadline(
      clock,
      FLUSH_WITHIN_MS,
      () => new CoffreError('E_TARGET_WRITE', 'it does not answer'),
      () =>
        new Promise<void>((resolve, reject) => {
          stream = host.connect(at);
          let said = '';
          stream.on('error', (cause: Error & { code?: string }) =>
            reject(new CoffreError('E_TARGET_WRITE', cause.code ?? 'no connection', { cause })),
          );
          stream.on('data', (chunk: Buffer) => {
            said += chunk.toString('latin1');
            if (said.startsWith('OK\r\n')) resolve();
            else if (said.includes('\n')) reject(new CoffreError('E_TARGET_WRITE', 'it refuses'));
          });
          stream.on('end', () => reject(new CoffreError('E_TARGET_WRITE', 'it closed the connection')));
          stream.write('flush_all\r\n');
        }),
    );
  } finally {
    (stream as Duplex | null)?.destroy();
  }
}
