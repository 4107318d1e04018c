// Makes a PrestaShop-shaped file tree: real directory names, code, incompressible images, and the awkward files a real disk has.
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { Random } from './random.ts';
import { NOUNS, PROSE, slug } from './words.ts';

/** Debian's www-data. */
const WWW_DATA = 33;

export interface ShopFilesOptions {
  readonly seed: string;
  /** Regular files, roughly; at least 200. */
  readonly files: number;
  /** Bytes of them in all, in megabytes of 10^6, roughly. */
  readonly megabytes: number;
  /** The one large file: above what fits a segment, so that it travels as multipart. 0: none. */
  readonly largeFileMB?: number;
  /** Leaves a secret in app/config/parameters.php, as every shop has one. */
  readonly databasePassword?: string;
}

export interface ShopFiles {
  readonly files: number;
  readonly bytes: number;
  readonly largeFile: string | null;
}

/** A path as bytes, one character each (latin1), as the source's index has it. */
const bytePath = (path: string): Buffer => Buffer.from(path, 'latin1');

/** Where the profile `prestashop` says that nothing is worth keeping. */
export const EXCLUDED_DIRECTORIES = ['var/cache', 'cache/smarty/compile', 'cache/smarty/cache', 'img/tmp'] as const;

const MODULES = `ps_banner ps_bestsellers ps_brandlist ps_cashondelivery ps_categorytree ps_checkpayment ps_checkout ps_contactinfo
ps_crossselling ps_currencyselector ps_customeraccountlinks ps_customersignin ps_customtext ps_dataprivacy ps_distributionapiclient
ps_emailalerts ps_emailsubscription ps_facetedsearch ps_faviconnotificationbo ps_featuredproducts ps_googleanalytics ps_imageslider
ps_languageselector ps_linklist ps_mainmenu ps_newproducts ps_searchbar ps_sharebuttons ps_shoppingcart ps_socialfollow ps_specials
ps_supplierlist ps_themecusto ps_viewedproduct ps_wirepayment blockreassurance blockwishlist contactform dashactivity dashgoals
dashproducts dashtrends graphnvd3 gridhtml gsitemap pagesnotfound productcomments psgdpr psxdesign statsbestcategories
statsbestcustomers statsbestproducts statscatalog statsforecast statsnewsletter statssales statssearch colissimo mondialrelay paypal
advsearch loyalty erpconnector`.split(/\s+/);

const CODE_DIRECTORIES = `classes classes/controller classes/order classes/module classes/shop classes/stock classes/tax controllers/admin
controllers/front controllers/front/listing src/Adapter/Product src/Core/Grid src/Core/Domain/Order src/PrestaShopBundle/Controller/Admin
src/PrestaShopBundle/Resources/views install-dev/langs js/jquery js/admin js/tools mails/fr mails/en pdf translations/fr-FR
translations/en-US webservice localization themes/classic/templates/catalog themes/classic/templates/checkout themes/classic/assets/css
themes/classic/assets/js themes/classic/modules themes/dupont/templates themes/dupont/assets vendor/symfony/symfony/src vendor/composer
vendor/doctrine/orm/lib vendor/twig/twig/src vendor/league/tactician/src tools/profiling bin admin7q2x/themes/default/css
admin7q2x/filemanager override/classes override/controllers/front docs`.split(/\s+/);

const EMPTY_DIRECTORIES = ['config/xml/themes', 'var/logs', 'var/sessions', 'admin7q2x/backups', 'img/scenes', 'override/modules'];

/** The sizes in which PrestaShop keeps every image. */
const IMAGE_TYPES = ['', '-home_default', '-large_default', '-medium_default', '-small_default', '-cart_default'] as const;

/** Makes the tree in `root`, which is made too. Equal options give equal trees: names, bytes, modes and times. */
export function createShopFiles(root: string, options: ShopFilesOptions): ShopFiles {
  const tree = new Tree(root, new Random(`${options.seed}/files`));
  const largeBytes = (options.largeFileMB ?? 70) * 1e6;
  fixedFiles(tree, options);
  awkwardFiles(tree);
  const largeFile = largeBytes > 0 ? 'download/9f2c7a31e8b04d65' : null;
  if (largeFile) tree.stream(largeFile, largeBytes);
  const codeFiles = Math.max(20, Math.floor((options.files - tree.files) * 0.6));
  for (let i = 0; i < codeFiles; i++) tree.code(codePath(tree.random, i));
  const imageFiles = Math.max(20, options.files - tree.files);
  const imageBytes = Math.max(imageFiles * 1500, options.megabytes * 1e6 - tree.bytes);
  for (let i = 0; i < imageFiles; i++) tree.image(i, Math.floor(imageBytes / imageFiles));
  tree.settle();
  return { files: tree.files, bytes: tree.bytes, largeFile };
}

function codePath(random: Random, i: number): string {
  const extension = random.pick(['php', 'php', 'php', 'tpl', 'js', 'css', 'twig', 'xlf']);
  const name = `${slug(random.pick(NOUNS))}${i}.${extension}`;
  if (i % 5 < 2) return `${random.pick(CODE_DIRECTORIES)}/${name}`;
  return `modules/${MODULES[i % MODULES.length]}/${random.pick(['', 'classes/', 'controllers/front/', 'translations/', 'views/templates/hook/', 'views/js/', 'upgrade/'])}${name}`;
}

function fixedFiles(tree: Tree, options: ShopFilesOptions): void {
  const password = options.databasePassword ?? 'Tr0ub4dor-et-3';
  tree.write(
    '.htaccess',
    '# ~~start~~ Do not remove this comment\nRewriteEngine on\nRewriteRule ^([0-9])(\\-[_a-zA-Z0-9-]*)?\\.jpg$ img/p/$1/$1$2.jpg [L]\n',
  );
  tree.write('robots.txt', 'User-agent: *\nDisallow: /*?order=\n');
  tree.write('index.php', "<?php\nrequire dirname(__FILE__).'/config/config.inc.php';\nDispatcher::getInstance()->dispatch();\n");
  tree.write('config/config.inc.php', '<?php\n');
  tree.write('config/defines.inc.php', "<?php\ndefine('_PS_MODE_DEV_', false);\n");
  tree.write('app/AppKernel.php', "<?php\nclass AppKernel extends Kernel { const VERSION = '8.1.7'; }\n");
  tree.write(
    'app/config/parameters.php',
    `<?php return array('parameters' => array('database_host' => '127.0.0.1', 'database_name' => 'dupont', 'database_user' => 'dupont',\n  'database_password' => '${password}', 'database_prefix' => 'ps_', 'cookie_key' => '${tree.random.hex(56)}', 'secret' => '${tree.random.hex(56)}'));\n`,
    0o640,
  );
  tree.write('bin/console', '#!/usr/bin/env php\n<?php\n', 0o755);
  for (const module of MODULES) {
    tree.write(`modules/${module}/${module}.php`, `<?php\nclass ${module} extends Module {}\n`);
    tree.write(`modules/${module}/config.xml`, `<?xml version="1.0"?><module><name>${module}</name></module>\n`);
    tree.write(`modules/${module}/logo.png`, tree.random.bytes(tree.random.int(900, 4000)));
  }
  for (const directory of EMPTY_DIRECTORIES) tree.directory(directory);
  for (const directory of EXCLUDED_DIRECTORIES) {
    for (let i = 0; i < 6; i++) tree.write(`${directory}/${tree.random.hex(12)}`, tree.random.bytes(2000));
  }
}

/** Every kind of file that a backup gets wrong. */
function awkwardFiles(tree: Tree): void {
  const { random } = tree;
  const names = [
    'upload/catalogue-\xe9t\xe9.pdf', // Latin-1, as an old FTP client left it: not UTF-8
    'upload/\xff\xfe\x80',
    'upload/facture\nn°2.txt', // a newline, and a Latin-1 degree sign
    'upload/tab\there, "quoted" \\backslash\\ and $(id).txt',
    'upload/-rf',
    'upload/ leading and trailing ',
    'upload/*',
    `upload/${'l'.repeat(251)}.txt`,
    `upload/${'d'.repeat(120)}/${'e'.repeat(120)}/${'f'.repeat(60)}.txt`,
    'upload/empty',
  ];
  for (const name of names) tree.write(name, name.endsWith('empty') ? '' : random.bytes(random.int(1, 3000)));
  tree.write('upload/\xc3\xa9l\xc3\xa9gance-\xf0\x9f\x98\x80.txt', 'a name in UTF-8\n');
  tree.write('upload/e\xcc\x81l\xc3\xa9gance.txt', 'the same letter, decomposed\n');
  tree.write('upload/read-only.txt', 'nobody writes here\n', 0o444);
  // root reads it; anyone else could not, and the snapshot would rightly not be good
  if (process.getuid?.() === 0) tree.write('upload/nobody-reads.txt', 'mode 000\n', 0o000);
  tree.symlink('themes/current', 'classic');
  tree.symlink('upload/absolute-link', '/etc/hostname');
  tree.symlink('upload/dangling-link', '../nowhere/\xe9');
  tree.symlink('config/themes.inc.php', '../themes/current/config.php');
  tree.write('download/invoice-template.odt', random.bytes(40_000));
  tree.hardLink('download/invoice-template.odt', 'mails/fr/invoice.odt');
  tree.hardLink('download/invoice-template.odt', 'mails/en/invoice.odt');
  tree.sparse('download/disk-image.raw', 24 * 1024 * 1024, [0, 9 * 1024 * 1024, 20 * 1024 * 1024]);
}

/** What has been written so far, and when it shall seem to have been written. */
class Tree {
  readonly random: Random;
  readonly #root: string;
  readonly #made = new Set<string>();
  /** Parents before children, the root ('') first. */
  readonly #paths: string[] = [''];
  files = 0;
  bytes = 0;

  constructor(root: string, random: Random) {
    this.#root = root;
    this.random = random;
    mkdirSync(root, { recursive: true });
  }

  #full(path: string): Buffer {
    return Buffer.concat([Buffer.from(`${this.#root}/`), bytePath(path)]);
  }

  directory(path: string, mode = 0o755): void {
    if (path === '' || this.#made.has(path)) return;
    this.directory(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
    mkdirSync(this.#full(path), { mode });
    this.#made.add(path);
    this.#paths.push(path);
  }

  #parent(path: string): void {
    this.directory(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
  }

  #count(path: string, sizeBytes: number): void {
    this.files += 1;
    this.bytes += sizeBytes;
    this.#paths.push(path);
  }

  write(path: string, content: Buffer | string, mode = 0o644): void {
    this.#parent(path);
    writeFileSync(this.#full(path), content, { mode });
    this.#count(path, Buffer.byteLength(content));
  }

  symlink(path: string, target: string): void {
    this.#parent(path);
    symlinkSync(bytePath(target), this.#full(path));
    this.#paths.push(path);
  }

  hardLink(from: string, to: string): void {
    this.#parent(to);
    linkSync(this.#full(from), this.#full(to));
    this.files += 1;
  }

  /** A file of `sizeBytes` with a little data at each of `offsets` and holes between. */
  sparse(path: string, sizeBytes: number, offsets: readonly number[]): void {
    this.#parent(path);
    const file = openSync(this.#full(path), 'w', 0o644);
    for (const offset of offsets) writeSync(file, this.random.bytes(4096), 0, 4096, offset);
    ftruncateSync(file, sizeBytes);
    closeSync(file);
    this.#count(path, 0);
  }

  /** A large file of incompressible bytes. */
  stream(path: string, sizeBytes: number): void {
    this.#parent(path);
    const file = openSync(this.#full(path), 'w', 0o644);
    for (let at = 0; at < sizeBytes; at += 1 << 20) writeSync(file, this.random.bytes(Math.min(1 << 20, sizeBytes - at)));
    closeSync(file);
    this.#count(path, sizeBytes);
  }

  code(path: string): void {
    this.write(path, codeText(this.random));
  }

  /** Image `i`: six sizes of one picture lie together in a directory made of the digits of its id. */
  image(i: number, meanBytes: number): void {
    const id = 1 + Math.floor(i / IMAGE_TYPES.length);
    const type = IMAGE_TYPES[i % IMAGE_TYPES.length] ?? '';
    // the original is the largest; the mean stays `meanBytes`
    const share = type === '' ? 2.5 : type === '-large_default' ? 1.5 : 0.5;
    const sizeBytes = Math.max(200, Math.floor(meanBytes * share * (0.7 + this.random.int(0, 600) / 1000)));
    const jpeg = this.random.bytes(sizeBytes);
    jpeg.set([0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46]);
    this.write(`img/p/${[...String(id)].join('/')}/${id}${type}.jpg`, jpeg);
  }

  /** Owners and times, last: the order in which things were written must not show. */
  settle(): void {
    if (process.getuid?.() === 0) for (const path of this.#paths) lchownSync(this.#full(path), WWW_DATA, WWW_DATA);
    // children before their directories; a link's time is its own
    for (const path of this.#paths.reverse()) {
      const seconds = this.random.int(1_680_000_000, 1_780_000_000) + this.random.int(0, 999_999) / 1e6;
      lutimesSync(this.#full(path), seconds, seconds);
    }
    // Node's utimes loses nanoseconds, touch keeps them: the few files of the shop's root get real ones
    for (const path of this.#paths.filter((path) => path !== '' && !path.includes('/'))) {
      const nanoseconds = String(this.random.int(0, 999_999_999)).padStart(9, '0');
      execFileSync('touch', ['-hd', `@${this.random.int(1_680_000_000, 1_780_000_000)}.${nanoseconds}`, '--', `${this.#root}/${path}`]);
    }
  }
}

function codeText(random: Random): string {
  const lines = Array.from(
    { length: random.int(20, 160) },
    () =>
      `        $this->${slug(random.pick(NOUNS))}['${random.hex(6)}'] = Tools::getValue('${random.pick(PROSE)}', ${random.int(0, 9999)});`,
  );
  return `<?php\n/**\n * ${random.words(PROSE, 20)}\n */\nclass C${random.hex(8)} extends ObjectModel\n{\n    public function run()\n    {\n${lines.join('\n')}\n    }\n}\n`;
}
