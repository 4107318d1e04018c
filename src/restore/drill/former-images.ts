// Product images that an older snapshot of the files had: those that the database still names were lost, by the shop or on the way.
import { type IndexEntry, isFileEntry } from '../../source/source.ts';
import { ask, tableName } from '../../target/shop/tables.ts';
import type { ShopTables } from '../../target/shop.ts';

/** Originals are named by their number: 1/2/3/123.jpg, or 45-123.jpg in the old way. */
const ORIGINAL = /^img\/p\/(?:.*\/)?(?:\d+-)?(\d{1,10})\.(?:jpe?g|png|gif|webp|avif)$/;
const IDS_AT_ONCE = 5000;

/** Numbers of images whose file is in the older index and not in the newer one. */
export async function formerImages(older: AsyncIterable<IndexEntry>, newer: AsyncIterable<IndexEntry>): Promise<ReadonlySet<number>> {
  const had = new Set<number>();
  for await (const id of imagesIn(older)) had.add(id);
  if (had.size > 0) for await (const id of imagesIn(newer)) had.delete(id);
  return had;
}

async function* imagesIn(entries: AsyncIterable<IndexEntry>): AsyncGenerator<number> {
  for await (const entry of entries) {
    if (!isFileEntry(entry) || entry.type !== 'file' || entry.sizeBytes === 0) continue;
    const id = ORIGINAL.exec(entry.path)?.[1];
    if (id !== undefined) yield Number(id);
  }
}

/** How many of these images the database names. Throws E_DB_READ. */
export async function countNamed(tables: ShopTables, images: ReadonlySet<number>): Promise<number> {
  const ids = [...images];
  let named = 0;
  for (let at = 0; at < ids.length; at += IDS_AT_ONCE) {
    const some = ids.slice(at, at + IDS_AT_ONCE).join(',');
    const [[count] = [null]] = await ask(
      tables,
      'ps_image',
      `SELECT COUNT(*) FROM ${tableName(tables, 'image')} WHERE id_image IN (${some})`,
    );
    named += Number(count ?? 0);
  }
  return named;
}
