// The tree of the files benchmark: a PrestaShop of 17,000 code files and 48,000 images, the same in every run; and what changes in it.
import { appendFileSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../shop/random.ts';
import { CodeWriter, extensionOf } from './code.ts';

export const SEED = 'bench-files';
export const CODE_FILES = 17_000;
export const PICTURES = 6_000;

/** Each picture in PrestaShop's sizes; 33 KB in the mean, 2 to 96 KB, and nothing compresses them. */
const IMAGE_SIZES: readonly (readonly [suffix: string, lowBytes: number, highBytes: number])[] = [
  ['-small_default', 2_000, 4_000],
  ['-cart_default', 3_000, 8_000],
  ['-medium_default', 5_000, 12_000],
  ['-home_default', 12_000, 24_000],
  ['-category_default', 16_000, 34_000],
  ['-large_default', 36_000, 66_000],
  ['-thickbox_default', 50_000, 94_000],
  ['', 64_000, 96_000],
];

export interface Tree {
  readonly root: string;
  /** Paths below the root, in the order in which they were made. */
  readonly code: string[];
  readonly images: string[];
  readonly bytes: number;
}

/** Makes it in `root`, which must not be there; `scale` 1 is full size: 65,000 files, 1.8 GB. */
export function createTree(root: string, scale: number): Tree {
  const writer = new TreeWriter(root);
  const random = new Random(`${SEED}/code`);
  const text = new CodeWriter(random);
  const code = codePaths(Math.round(CODE_FILES * scale));
  for (const path of code) writer.write(path, text.file(path));
  const images: string[] = [];
  for (let id = 1; id <= Math.round(PICTURES * scale); id++) {
    for (const [suffix, low, high] of IMAGE_SIZES) {
      const path = `img/p/${[...String(id)].join('/')}/${id}${suffix}.jpg`;
      writer.write(path, jpeg(random, random.int(low, high)));
      images.push(path);
    }
  }
  return { root, code, images, bytes: writer.bytes };
}

/** A tree of `count` small files (200 to 2000 bytes), as a shop with a million pictures spreads them. */
export function createSmallFiles(root: string, count: number): Pick<Tree, 'root' | 'bytes'> {
  const writer = new TreeWriter(root);
  const random = new Random(`${SEED}/small`);
  const pool = random.bytes(1 << 20);
  const perPicture = 10;
  for (let file = 0; file < count; file++) {
    const id = 1 + Math.floor(file / perPicture);
    const start = random.int(0, pool.length - 2001);
    writer.write(`img/p/${[...String(id)].join('/')}/${id}-${file % perPicture}.jpg`, pool.subarray(start, start + random.int(200, 2000)));
  }
  return { root, bytes: writer.bytes };
}

/**
 * Changes `count` files of `tree` as days in a shop do: of ten, four code files are edited, four pictures are replaced, one file is new,
 * one goes. `round` makes each call different.
 */
export function changeFiles(tree: Tree, count: number, round: number): void {
  const random = new Random(`${SEED}/change-${round}`);
  const text = new CodeWriter(random);
  const touched = new Set<string>();
  const fresh = (from: readonly string[]): string => {
    for (;;) {
      const path = random.pick(from);
      if (!touched.has(path)) {
        touched.add(path);
        return path;
      }
    }
  };
  for (let n = 0; n < count; n++) {
    const kind = n % 10;
    if (kind < 4) {
      const path = join(tree.root, fresh(tree.code));
      const lines = readFileSync(path, 'utf8').split('\n');
      lines.splice(random.int(0, lines.length), random.int(0, 3), text.line(), text.line());
      writeFileSync(path, lines.join('\n'));
    } else if (kind < 8) {
      writeFileSync(join(tree.root, fresh(tree.images)), jpeg(random, random.int(2_000, 96_000)));
    } else if (kind === 8) {
      const path = `img/p/9/${round}/${n}/9${round}${n}.jpg`;
      mkdirSync(join(tree.root, path, '..'), { recursive: true });
      writeFileSync(join(tree.root, path), jpeg(random, random.int(2_000, 64_000)));
      tree.images.push(path);
    } else {
      const path = fresh(tree.images);
      rmSync(join(tree.root, path));
      tree.images.splice(tree.images.indexOf(path), 1);
    }
  }
}

/** Damages one file in a hundred of a copy of `tree` in `root`: overwritten in the middle, cut, made longer, gone. The same ones each time. */
export function damage(tree: Tree, root: string): number {
  const random = new Random(`${SEED}/damage`);
  let damaged = 0;
  for (const path of [...tree.code, ...tree.images]) {
    if (!random.oneIn(100)) continue;
    const full = join(root, path);
    const { size } = statSync(full);
    if (damaged % 4 === 0) rmSync(full);
    else if (damaged % 4 === 1) truncateSync(full, Math.floor(size / 2));
    else if (damaged % 4 === 2) appendFileSync(full, random.bytes(100));
    else {
      const content = readFileSync(full);
      random.bytes(Math.min(size, 64)).copy(content, Math.floor(size / 2));
      writeFileSync(full, content);
    }
    damaged++;
  }
  return damaged;
}

class TreeWriter {
  readonly #root: string;
  readonly #made = new Set<string>();
  bytes = 0;

  constructor(root: string) {
    this.#root = root;
    mkdirSync(root);
  }

  write(path: string, content: Buffer | string): void {
    const folder = path.slice(0, path.lastIndexOf('/'));
    if (!this.#made.has(folder)) {
      mkdirSync(join(this.#root, folder), { recursive: true });
      this.#made.add(folder);
    }
    writeFileSync(join(this.#root, path), content);
    this.bytes += Buffer.byteLength(content);
  }
}

function jpeg(random: Random, sizeBytes: number): Buffer {
  const content = random.bytes(sizeBytes);
  content.set([0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46]);
  return content;
}

/** Where a PrestaShop keeps its code: a third in `vendor`, a third in a hundred modules, the rest in core, themes and translations. */
function codePaths(count: number): string[] {
  const folders: readonly (readonly [share: number, folder: (n: number) => string, extensions: readonly string[]])[] = [
    [6, (n) => `vendor/package${n % 90}/src/${['Command', 'Event', 'Exception', 'Http', 'Model'][n % 5]}`, ['php']],
    [2, (n) => `modules/module${n % 100}/classes`, ['php']],
    [2, (n) => `modules/module${n % 100}/views/templates/hook`, ['tpl']],
    [1, (n) => `modules/module${n % 100}/views/js`, ['js']],
    [1, (n) => `modules/module${n % 100}/translations`, ['php', 'xlf']],
    [1, (n) => `classes/${['order', 'product', 'cart', 'tax', 'shop'][n % 5]}`, ['php']],
    [2, (n) => `src/Adapter/Domain${n % 40}`, ['php', 'yml']],
    [1, (n) => `themes/classic/${['templates/catalog', 'templates/checkout', 'assets/css', 'assets/js'][n % 4]}`, ['tpl', 'css', 'js']],
    [1, (n) => `translations/default/${['fr-FR', 'de-CH', 'en-GB'][n % 3]}`, ['xlf']],
  ];
  const turns = folders.flatMap(([share, folder, extensions]) => Array.from({ length: share }, () => ({ folder, extensions })));
  return Array.from({ length: count }, (_, n) => {
    const { folder, extensions } = turns[n % turns.length] as (typeof turns)[number];
    return `${folder(n)}/${['Abstract', 'Product', 'Order', 'Cart', 'Hook'][n % 5]}${n}.${extensionOf(extensions, n)}`;
  });
}
