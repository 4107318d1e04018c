// Product images that the database names and the tree lacks: one pass over the tree, one over the table, a bit for each image.

import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import type { ShopFinding, ShopTables } from '../shop.ts';
import { fine, red, unknown } from './findings.ts';
import { ask, presentTables, tableName } from './tables.ts';

/** Of the table's ids: a bit each is 32 MiB. No shop was seen with a hundredth of it. */
const LARGEST_ID = 2 ** 28;
const IDS_AT_ONCE = 20_000;
/**
 * A database is of today, the files of last Sunday: images that came in between are missing, and shops have some missing of old. More than
 * this share is a tree that was cut off.
 */
export const MISSING_SHARE = 0.01;

export interface ImagesOf {
  readonly host: Host;
  readonly root: string;
  readonly tables: ShopTables;
  /** How many may be missing: as many as were before, where that is known. Default: MISSING_SHARE of all. */
  readonly allowed?: number;
  readonly signal: AbortSignal;
}

/**
 * An image counts as there when its original is a file with something in it, wherever below img/p (each version of PrestaShop has its own
 * folders: 1/2/3/123.jpg, or 45-123.jpg in the old way). Throws E_DB_READ, E_SSH_…, E_TOOL_MISSING, the signal's reason.
 */
export async function checkImages({ host, root, tables, allowed, signal }: ImagesOf): Promise<ShopFinding> {
  if (!(await presentTables(tables, ['image'])).has('image')) {
    return unknown('images', 'E_SHOP_IMAGES', 'there is no table of images');
  }
  const from = tableName(tables, 'image');
  const largest = Number((await ask(tables, 'ps_image', `SELECT MAX(id_image) FROM ${from}`))[0]?.[0] ?? 0);
  if (largest > LARGEST_ID) return unknown('images', 'E_SHOP_IMAGES', `image numbers up to ${largest} are too many to look at`);
  const there = new Uint8Array(Math.floor(largest / 8) + 1);
  const files = largest === 0 ? 0 : await markFiles(host, root, there, largest, signal);
  let images = 0;
  let missing = 0;
  for (let last = 0; ; ) {
    signal.throwIfAborted();
    const rows = await ask(
      tables,
      'ps_image',
      `SELECT id_image FROM ${from} WHERE id_image>${last} ORDER BY id_image LIMIT ${IDS_AT_ONCE}`,
    );
    for (const [text] of rows) {
      last = Number(text);
      images += 1;
      // what came in since the largest was asked for is not judged
      if (last <= largest && ((there[last >> 3] as number) & (1 << (last & 7))) === 0) missing += 1;
    }
    if (rows.length < IDS_AT_ONCE) break;
  }
  const most = allowed ?? Math.floor(images * MISSING_SHARE);
  const figures = { images, files, missing, allowed: most };
  const text = missing === 0 ? `all ${images} images are there` : `${missing} of ${images} images have no file; ${most} may be missing`;
  return missing > most ? red('images', 'E_SHOP_IMAGES', text, figures) : fine('images', text, figures);
}

/** Originals are named by their number alone; what is made of them has the name of a size behind it. */
const ORIGINAL = /^(?:\d+-)?(\d{1,10})\.(?:jpe?g|png|gif|webp|avif)$/;

/** Sets the bit of each image whose file is there; returns how many files were seen. */
async function markFiles(host: Host, root: string, there: Uint8Array, largest: number, signal: AbortSignal): Promise<number> {
  // with a slash behind it: hosters keep the images elsewhere, behind a link; names are all that is read
  const program = host.start(
    ['find', `${join(root, 'img/p')}/`, '-type', 'f', '-size', '+0', '-name', '*[0-9].*', '-printf', '%f\\n'],
    signal,
  );
  program.stdin.end();
  const said: string[] = [];
  createInterface({ input: program.stderr.setEncoding('latin1') }).on('line', (line) => {
    if (said.length < 5) said.push(line);
  });
  let files = 0;
  try {
    for await (const name of createInterface({ input: program.stdout.setEncoding('latin1') })) {
      const id = Number(ORIGINAL.exec(name)?.[1] ?? 0);
      if (id === 0 || id > largest) continue;
      files += 1;
      (there[id >> 3] as number) |= 1 << (id & 7);
    }
    const { status, lost } = await program.ended;
    signal.throwIfAborted();
    if (lost) throw new CoffreError('E_SSH_LOST', `the connection to ${host.name} was lost`);
    // a tree without img/p has no image; any other complaint leaves it open how many there are
    if (status !== 0 && !said.every((line) => line.endsWith('No such file or directory'))) {
      throw new CoffreError('E_FILES_READ', `${host.name}: looking for images: find ended with status ${status}`);
    }
    return files;
  } finally {
    program.kill();
  }
}
