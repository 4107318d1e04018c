// The file that stands in an entry point's place while a shop is restored: a maintenance page for clients, a way through for our own check.
import type { ShopKind } from '../shop.ts';

/** Names of the real files, beside their places, begin so; nothing that a restore does may remove them. */
export const GUARD_PREFIX = '.coffre-kept-';

/**
 * Every PHP file that the web can start includes the second one: module scripts, the back office, the web service and the API of
 * PrestaShop, log-in, XML-RPC and cron of WordPress. The first is what clients ask for, and comes back last. What includes neither (a module's
 * script with a connection of its own) and static files are not held: nothing of theirs is a page.
 */
export const GUARDED: Readonly<Record<ShopKind['application'], readonly string[]>> = {
  prestashop: ['index.php', 'config/config.inc.php'],
  wordpress: ['index.php', 'wp-load.php'],
  generic: [],
};

/** By its header a guard's answer is known from the shop's own 503. */
export const GUARD_HEADER = 'x-coffre-guard';
export const CHECK_HEADER = 'x-coffre-check';
const RETRY_AFTER_SECONDS = 600;

/**
 * Where our own check seems to come from once it has passed the guard, so that PS_MAINTENANCE_IP lets it on whatever proxies stand before the
 * shop: an address of the block 240.0.0.0/4, which no client can have and no proxy hands on.
 */
export const CHECK_ADDRESS = '250.201.17.83';

export interface Guard {
  /** The real file's name beside it; null: there was none. */
  readonly kept: string | null;
  /** SHA-256 in hex of what a request must bring in CHECK_HEADER to get through; null: nobody does. */
  readonly passSha256: string | null;
  /** Whoever gets through is answered from the database, not from what PHP remembers of it (query-cache.ts). */
  readonly forgetful?: boolean;
}

/** The guard's first line, which says what it keeps. For every PHP since 5.2. */
export function guardLine(kept: string | null): string {
  return `<?php /* coffre-guard 1 kept=${kept ?? 'none'} */`;
}

/** undefined: the line is none of a guard. */
export function keptOf(line: string): string | null | undefined {
  const name = /^<\?php \/\* coffre-guard 1 kept=([\w.-]+) \*\/$/.exec(line)?.[1];
  return name === 'none' ? null : name;
}

/** A guard's text. It includes nothing, asks no database and writes nothing, so that it answers whatever state the shop is in. */
export function guardText({ kept, passSha256, forgetful = false }: Guard): string {
  const pass =
    kept === null || passSha256 === null
      ? ''
      : [
          `if (isset($_SERVER['HTTP_X_COFFRE_CHECK']) && is_string($_SERVER['HTTP_X_COFFRE_CHECK']) && hash('sha256', $_SERVER['HTTP_X_COFFRE_CHECK']) === '${passSha256}') {`,
          `  foreach (array('HTTP_X_FORWARDED_FOR', 'HTTP_CLIENT_IP', 'HTTP_X_REAL_IP', 'HTTP_CF_CONNECTING_IP') as $coffre_header) unset($_SERVER[$coffre_header]);`,
          `  $_SERVER['REMOTE_ADDR'] = '${CHECK_ADDRESS}';`,
          // the shop's own definition, which comes later, does not count then
          ...(forgetful ? [`  if (!defined('_PS_CACHE_ENABLED_')) define('_PS_CACHE_ENABLED_', 0);`] : []),
          `  return require dirname(__FILE__) . '/${kept}';`,
          '}',
          '',
        ].join('\n');
  return `${guardLine(kept)}
if (PHP_SAPI === 'cli') { fwrite(STDERR, "coffre: this shop is being restored\\n"); exit(75); }
${pass}if (!headers_sent()) {
  header('HTTP/1.1 503 Service Unavailable', true, 503);
  header('Retry-After: ${RETRY_AFTER_SECONDS}');
  header('Cache-Control: no-store');
  header('Content-Type: text/html; charset=utf-8');
  header('X-Coffre-Guard: 1');
}
?>
${PAGE}
<?php exit;
`;
}

const PAGE = `<!DOCTYPE html>
<html lang="fr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Maintenance</title>
<style>
body { margin: 0; min-height: 100vh; display: flex; align-items: center; justify-content: center; background: #f6f6f4; color: #222; font: 18px/1.6 system-ui, sans-serif; }
main { max-width: 34em; padding: 2em; text-align: center; }
h1 { font-size: 1.5em; margin: 0 0 .5em; }
hr { width: 4em; margin: 2em auto; border: 0; border-top: 1px solid #bbb; }
</style>
</head>
<body>
<main>
<h1>Nous revenons bientôt</h1>
<p>Notre boutique est fermée quelques instants pour maintenance. Merci de votre patience.</p>
<hr>
<div lang="en">
<h1>We will be back soon</h1>
<p>Our shop is closed for maintenance for a short while. Thank you for your patience.</p>
</div>
</main>
</body>
</html>`;
