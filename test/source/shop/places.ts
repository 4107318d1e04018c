// Shops for tests, as small as they can be: the files that say what a tree is and where its database is.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export function write(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

/** As the installer writes it. */
export function parameters(values: Readonly<Record<string, string>>): string {
  const exported = Object.entries(values).map(([key, value]) => `    '${key}' => '${value.replace(/[\\']/g, '\\$&')}',\n`);
  return `<?php return array (\n  'parameters' => \n  array (\n${exported.join('')}    'ps_caching' => 'CacheMemcache',\n    'ps_cache_enable' => false,\n    'new_cookie_key' => NULL,\n  ),\n);\n`;
}

const KERNEL = (version: string): string =>
  `<?php\nuse Symfony\\Component\\HttpKernel\\Kernel;\n\nclass AppKernel extends Kernel\n{\n    const VERSION = ${version};\n    const MAJOR_VERSION = 17;\n\n    public function registerBundles()\n    {\n        return $bundles;\n    }\n}\n`;

const DATABASE = {
  database_host: '127.0.0.1',
  database_port: '',
  database_name: 'ps',
  database_user: 'ps',
  database_password: "p'w\\",
  database_prefix: 'ps_',
};

/** PrestaShop of three generations. */
export const PRESTASHOP = {
  '8.1.2': {
    'config/defines.inc.php': '<?php\n',
    'app/AppKernel.php': KERNEL('Version::VERSION'),
    'src/Core/Version.php':
      "<?php\nnamespace PrestaShop\\PrestaShop\\Core;\n\nfinal class Version\n{\n    public const VERSION = '8.1.2';\n}\n",
    'app/config/parameters.php': parameters(DATABASE),
    '.env': 'APP_ENV=prod\n',
    'admin7q2x/ajax-tab.php': '<?php\n',
    'admin7q2x/index.php': '<?php\n',
    'admin7q2x/autoupgrade/backup/auto-backupfiles.zip': 'old',
    'admin7q2x/autoupgrade/index.php': '<?php\n',
    'admin7q2x/backups/1700000000-ab12.sql.bz2': 'old',
    'modules/backups/backups.php': '<?php\n',
    'img/backups/kept.jpg': 'kept',
    'var/cache/prod/container.php': 'cache',
    'var/logs/prod.log': 'log',
    'var/sessions/prod/sess_1': 'session',
  },
  '1.7.8.7': {
    'config/defines.inc.php': '<?php\n',
    'app/AppKernel.php': KERNEL("'1.7.8.7'"),
    'app/config/parameters.php': parameters({ ...DATABASE, database_host: 'localhost', database_port: '3306' }),
  },
  '1.6.1.24': {
    'config/defines.inc.php': '<?php\n',
    'config/settings.inc.php':
      "<?php\ndefine('_DB_SERVER_', 'db.example.net:3307');\ndefine('_DB_NAME_', 'ps16');\ndefine('_DB_USER_', 'user16');\ndefine('_DB_PASSWD_', 'old');\ndefine('_DB_PREFIX_', 'old_');\ndefine('_MYSQL_ENGINE_', 'InnoDB');\ndefine('_PS_VERSION_', '1.6.1.24');\n",
    'admin1/get-file-admin.php': '<?php\n',
  },
} as const;

export const WORDPRESS = {
  'wp-includes/version.php': "<?php\n/**\n * @global string $wp_version\n */\n$wp_version = '6.4.2';\n$wp_db_version = 56657;\n",
  'wp-config.php':
    "<?php\n/** The base configuration */\ndefine( 'DB_NAME', 'wp' );\ndefine( 'DB_USER', 'wpuser' );\ndefine( 'DB_PASSWORD', 'w$p' );\ndefine( 'DB_HOST', 'localhost:/run/own.sock' );\n$table_prefix = 'wp_';\nif ( ! defined( 'ABSPATH' ) ) {\n\tdefine( 'ABSPATH', __DIR__ . '/' );\n}\nrequire_once ABSPATH . 'wp-settings.php';\n",
} as const;
