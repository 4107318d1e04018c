// A PrestaShop as small as it can be, whose PHP takes the decisions of the real one: which shop, open or in maintenance, which page.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface PhpShopOptions {
  /** Such as `8.1.2`; decides where settings and caches are. */
  readonly version: string;
  readonly database: { readonly socketPath: string; readonly name: string; readonly user: string; readonly password: string };
  /** Of its tables. Default: `ps_`. */
  readonly prefix?: string;
  readonly cookieKey?: string;
  /** Shown on every page, to tell one tree from another. */
  readonly edition?: string;
}

/** As every version since 1.5 has it. */
const INDEX = "<?php\nrequire dirname(__FILE__).'/config/config.inc.php';\nDispatcher::getInstance()->dispatch();\n";

const CONFIG = `<?php
$currentDir = dirname(__FILE__);
require_once $currentDir.'/defines.inc.php';
if (is_file(_PS_ROOT_DIR_.'/app/config/parameters.php')) {
  $parameters = require _PS_ROOT_DIR_.'/app/config/parameters.php';
  foreach (array('_DB_SERVER_' => 'database_host', '_DB_NAME_' => 'database_name', '_DB_USER_' => 'database_user', '_DB_PASSWD_' => 'database_password', '_DB_PREFIX_' => 'database_prefix', '_COOKIE_KEY_' => 'cookie_key') as $constant => $name) {
    define($constant, $parameters['parameters'][$name]);
  }
  require_once _PS_ROOT_DIR_.'/src/Core/Version.php';
  define('_PS_VERSION_', \\PrestaShop\\PrestaShop\\Core\\Version::VERSION);
} else {
  require_once $currentDir.'/settings.inc.php';
}
require_once _PS_ROOT_DIR_.'/classes/Dispatcher.php';
`;

/** Configuration::get, Tools::getRemoteAddr, FrontController::displayMaintenancePage, as far as it matters here. */
const DISPATCHER = `<?php
class Configuration {
  private static $rows;
  public static $shop = 1;
  public static $group = 1;
  public static function load() {
    list($host, $socket) = explode(':', _DB_SERVER_, 2);
    mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
    $db = new mysqli(null, _DB_USER_, _DB_PASSWD_, _DB_NAME_, 0, $socket);
    $name = $db->real_escape_string(explode(':', $_SERVER['HTTP_HOST'])[0]);
    $url = $db->query('SELECT u.id_shop, s.id_shop_group FROM '._DB_PREFIX_.'shop_url u JOIN '._DB_PREFIX_."shop s USING (id_shop) WHERE u.domain='$name' AND u.active=1")->fetch_row();
    if ($url) { self::$shop = (int) $url[0]; self::$group = (int) $url[1]; }
    self::$rows = array();
    foreach ($db->query('SELECT id_shop_group, id_shop, name, value FROM '._DB_PREFIX_.'configuration ORDER BY id_configuration') as $row) {
      $level = $row['id_shop'] ? 's'.$row['id_shop'] : ($row['id_shop_group'] ? 'g'.$row['id_shop_group'] : 'all');
      self::$rows[$level][$row['name']] = $row['value'];
    }
    return $db;
  }
  public static function get($name) {
    foreach (array('s'.self::$shop, 'g'.self::$group, 'all') as $level) {
      if (isset(self::$rows[$level]) && array_key_exists($name, self::$rows[$level])) return self::$rows[$level][$name];
    }
    return false;
  }
}
class Tools {
  public static function getRemoteAddr() {
    $headers = $_SERVER;
    if (!empty($headers['HTTP_X_FORWARDED_FOR']) && (!isset($_SERVER['REMOTE_ADDR']) || preg_match('/^127\\./', trim($_SERVER['REMOTE_ADDR'])) || preg_match('/^10\\./', trim($_SERVER['REMOTE_ADDR'])))) {
      return explode(',', $headers['HTTP_X_FORWARDED_FOR'])[0];
    }
    return $_SERVER['REMOTE_ADDR'];
  }
}
class Dispatcher {
  public static function getInstance() { return new self(); }
  public function dispatch() {
    $db = Configuration::load();
    if (!(int) Configuration::get('PS_SHOP_ENABLE')) {
      $admin = isset($_COOKIE['psAdmin']) && Configuration::get('PS_MAINTENANCE_ALLOW_ADMINS');
      $allowed = array_map('trim', explode(',', (string) Configuration::get('PS_MAINTENANCE_IP')));
      if (!$admin && !in_array(Tools::getRemoteAddr(), $allowed)) {
        header('HTTP/1.1 503 Service Unavailable');
        header('Retry-After: 3600');
        echo '<h1>We will be back soon (PrestaShop)</h1>';
        exit;
      }
    }
    $class = dirname(__FILE__).'/../var/cache/prod/class_index.php';
    $index = is_file($class) ? require $class : 'fresh';
    $products = $db->query('SELECT COUNT(*) FROM '._DB_PREFIX_.'product')->fetch_row()[0];
    echo '<title>'.htmlspecialchars(Configuration::get('PS_SHOP_NAME'), ENT_QUOTES).'</title>';
    echo '<p>files '._PS_VERSION_.' '._EDITION_.', database '.Configuration::get('PS_VERSION_DB').' '.Configuration::get('EDITION').', classes '.$index.', '.$products.' products</p>';
  }
}
`;

/** Makes the tree in `root`, which is made too. */
export function makePhpShop(root: string, options: PhpShopOptions): void {
  const { version, edition = 'one' } = options;
  const write = (path: string, content: string, mode = 0o644): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content, { mode });
  };
  write('index.php', INDEX);
  write('config/config.inc.php', CONFIG);
  write('config/defines.inc.php', `<?php\ndefine('_PS_ROOT_DIR_', dirname(dirname(__FILE__)));\ndefine('_EDITION_', '${edition}');\n`);
  write('classes/Dispatcher.php', DISPATCHER);
  write('modules/cron/cron.php', "<?php\nrequire dirname(__FILE__).'/../../config/config.inc.php';\necho 'cron ran';\n");
  write('admin7q2x/index.php', "<?php\nrequire dirname(__FILE__).'/../config/config.inc.php';\necho 'back office';\n");
  write('admin7q2x/get-file-admin.php', '<?php\n');
  write('cache/smarty/compile/index.php', '<?php\n');
  write('cache/smarty/compile/ab/cd.file.tpl.php', 'compiled');
  write('cache/class_index.php', "<?php return 'stale';\n");
  write('img/tmp/product_mini_1_1.jpg', 'old thumbnail');
  write('img/p/index.php', '<?php\n');
  write('.htaccess', htaccess('127.0.0.1'));
  const settings = settingsOf(options);
  if (version.startsWith('1.6')) {
    write('config/settings.inc.php', settings, 0o640);
    write('themes/default-bootstrap/cache/v_1.css', 'old css');
  } else {
    write('app/config/parameters.php', settings, 0o640);
    write(
      'app/AppKernel.php',
      `<?php\nclass AppKernel extends Kernel\n{\n    const VERSION = ${version.startsWith('1.7') ? `'${version}'` : 'Version::VERSION'};\n}\n`,
    );
    write(
      'src/Core/Version.php',
      `<?php\nnamespace PrestaShop\\PrestaShop\\Core;\nfinal class Version\n{\n    const VERSION = '${version}';\n}\n`,
    );
    write('var/cache/prod/class_index.php', "<?php return 'stale';\n");
    write('var/cache/.htaccess', 'deny from all\n');
    write('themes/classic/assets/cache/theme-1.css', 'old css');
    if (!version.startsWith('1.7')) write('.env', 'APP_ENV=prod\n', 0o600);
  }
}

/** The settings file of that version. */
export function settingsOf({ version, database, prefix = 'ps_', cookieKey = 'k'.repeat(56) }: PhpShopOptions): string {
  const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const host = `localhost:${database.socketPath}`;
  if (version.startsWith('1.6')) {
    const constants = {
      _DB_SERVER_: host,
      _DB_NAME_: database.name,
      _DB_USER_: database.user,
      _DB_PASSWD_: database.password,
      _DB_PREFIX_: prefix,
      _MYSQL_ENGINE_: 'InnoDB',
      _COOKIE_KEY_: cookieKey,
      _COOKIE_IV_: 'c00k1eIV',
      _PS_VERSION_: version,
    };
    return `<?php\n${Object.entries(constants)
      .map(([name, value]) => `define('${name}', ${quoted(value)});\n`)
      .join('')}`;
  }
  const parameters = {
    database_host: host,
    database_port: '',
    database_name: database.name,
    database_user: database.user,
    database_password: database.password,
    database_prefix: prefix,
    mailer_host: '127.0.0.1',
    secret: 's3cret',
    cookie_key: cookieKey,
    cookie_iv: 'c00k1eIV',
    new_cookie_key: `def${cookieKey}`,
  };
  return `<?php return array (\n  'parameters' => \n  array (\n${Object.entries(parameters)
    .map(([name, value]) => `    '${name}' => ${quoted(value)},\n`)
    .join('')}    'ps_caching' => 'CacheMemcache',\n    'ps_cache_enable' => false,\n  ),\n);\n`;
}

/** As PrestaShop writes it, with a part of somebody's own. */
export function htaccess(domain: string): string {
  return `# own: www.dupont.example stays here
# ~~start~~ Do not remove this comment, Prestashop will keep automatically the code outside this comment when .htaccess will be generated again
RewriteEngine on
#Domain: ${domain}
RewriteRule . - [E=REWRITEBASE:/]
RewriteCond %{HTTP_HOST} ^${domain}$
RewriteRule ^([0-9])(\\-[_a-zA-Z0-9-]*)?(-[0-9]+)?/.+\\.jpg$ %{ENV:REWRITEBASE}img/p/$1/$1$2$3.jpg [L]
ErrorDocument 404 /index.php?controller=404
# ~~end~~ Do not remove this comment, Prestashop will keep automatically the code outside this comment when .htaccess will be generated again
`;
}

export interface PhpShopRows {
  readonly version: string;
  readonly prefix?: string;
  readonly edition?: string;
  /** Default: one, at 127.0.0.1. */
  readonly shops?: readonly { readonly id: number; readonly group: number; readonly domain: string; readonly name?: string }[];
  /** Rows of ps_configuration beside those of the version. Default: open. */
  readonly settings?: readonly { readonly name: string; readonly value: string; readonly group?: number; readonly shop?: number }[];
  readonly products?: number;
  /** Numbers of images. */
  readonly images?: readonly number[];
  /** Local times of orders. */
  readonly orders?: readonly string[];
}

/** SQL that makes the tables that every shop has, in the database in use. Those that nothing here asks for have one column. */
export function phpShopSql(rows: PhpShopRows): string {
  const { prefix = 'ps_', shops = [{ id: 1, group: 1, domain: '127.0.0.1' }], products = 3, images = [], orders = [] } = rows;
  const settings = rows.settings ?? [{ name: 'PS_SHOP_ENABLE', value: '1' }];
  const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;
  const table = (name: string): string => `\`${prefix}${name}\``;
  const configured = [
    { name: 'PS_VERSION_DB', value: rows.version },
    { name: 'EDITION', value: rows.edition ?? 'one' },
    { name: 'PS_SHOP_NAME', value: 'Épicerie Dupont & Fils' },
    { name: 'PS_SHOP_DOMAIN', value: shops[0]?.domain ?? '' },
    { name: 'PS_SHOP_DOMAIN_SSL', value: shops[0]?.domain ?? '' },
    { name: 'PS_TIMEZONE', value: 'Europe/Paris' },
    ...shops.flatMap(({ id, name }) => (name === undefined ? [] : [{ name: 'PS_SHOP_NAME', value: name, shop: id }])),
    ...settings,
  ] as NonNullable<PhpShopRows['settings']>;
  const plain = ['address', 'cart', 'category', 'category_lang', 'country', 'currency', 'customer', 'employee', 'hook', 'lang', 'module'];
  const values = (list: readonly string[]): string => list.join(',');
  return [
    `CREATE TABLE ${table('configuration')} (id_configuration int unsigned AUTO_INCREMENT PRIMARY KEY, id_shop_group int unsigned NULL, id_shop int unsigned NULL, name varchar(254) NOT NULL, value text NULL, date_add datetime NOT NULL, date_upd datetime NOT NULL) ENGINE=InnoDB`,
    `CREATE TABLE ${table('shop')} (id_shop int PRIMARY KEY, id_shop_group int, name varchar(64), active tinyint DEFAULT 1, deleted tinyint DEFAULT 0)`,
    `CREATE TABLE ${table('shop_url')} (id_shop_url int AUTO_INCREMENT PRIMARY KEY, id_shop int, domain varchar(150), domain_ssl varchar(150), physical_uri varchar(64) DEFAULT '/', virtual_uri varchar(64) DEFAULT '', main tinyint DEFAULT 1, active tinyint DEFAULT 1, UNIQUE KEY full_shop_url (domain, physical_uri, virtual_uri))`,
    `CREATE TABLE ${table('product')} (id_product int AUTO_INCREMENT PRIMARY KEY, price int DEFAULT 1)`,
    `CREATE TABLE ${table('image')} (id_image int unsigned PRIMARY KEY)`,
    `CREATE TABLE ${table('orders')} (id_order int AUTO_INCREMENT PRIMARY KEY, date_add datetime)`,
    ...[...plain, 'order_detail', 'order_state', 'product_lang', 'product_shop', 'shop_group', 'stock_available', 'smarty_lazy_cache'].map(
      (name) => `CREATE TABLE ${table(name)} (id int)`,
    ),
    `INSERT INTO ${table('smarty_lazy_cache')} VALUES (1)`,
    `INSERT INTO ${table('configuration')} (id_shop_group, id_shop, name, value, date_add, date_upd) VALUES ${values(
      configured.map(({ name, value, group, shop }) => `(${group ?? 'NULL'},${shop ?? 'NULL'},${text(name)},${text(value)},NOW(),NOW())`),
    )}`,
    `INSERT INTO ${table('shop')} (id_shop, id_shop_group, name) VALUES ${values(shops.map(({ id, group }) => `(${id},${group},'shop ${id}')`))}`,
    `INSERT INTO ${table('shop_url')} (id_shop, domain, domain_ssl) VALUES ${values(shops.map(({ id, domain }) => `(${id},${text(domain)},${text(domain)})`))}`,
    ...(products > 0 ? [`INSERT INTO ${table('product')} (price) VALUES ${values(Array.from({ length: products }, () => '(1)'))}`] : []),
    ...(images.length > 0 ? [`INSERT INTO ${table('image')} VALUES ${values(images.map((id) => `(${id})`))}`] : []),
    ...(orders.length > 0 ? [`INSERT INTO ${table('orders')} (date_add) VALUES ${values(orders.map((at) => `('${at}')`))}`] : []),
  ]
    .map((statement) => `${statement};`)
    .join('\n');
}
