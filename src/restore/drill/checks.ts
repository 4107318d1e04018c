// What a drill looks at once a source is restored: whether it counts what its manifest counts, and whether it is a whole shop.
import { Temporal } from 'temporal-polyfill';
import type { DrillConfig, ShopConfig } from '../../config/config.ts';
import type { Host } from '../../host/host.ts';
import type { Manifest } from '../../segment/manifest-types.ts';
import type { SourceKind } from '../../source/source.ts';
import { checkNewestOrder, checkProducts, checkTables, checkVersion, countShop } from '../../target/shop/checks.ts';
import { checkImages } from '../../target/shop/images.ts';
import type { ShopFinding, ShopSession, ShopTables } from '../../target/shop.ts';
import type { RestoredSource } from '../execute.ts';
import type { DrillCheck } from './evidence.ts';
import { countNamed } from './former-images.ts';

/** A restore counts its rows by the index; the manifest, which is signed, must say the same, and the server have as many tables. */
export async function countChecks(restored: RestoredSource, manifest: Manifest, session: ShopSession | null): Promise<DrillCheck[]> {
  const { counts, source } = manifest;
  if (session === null) return [compared(source, 'files', counts.files ?? null, restored.files ?? null)];
  const [[tables] = [null]] = await session.texts(
    "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')",
  );
  return [
    compared(source, 'tables', counts.tables ?? null, Number(tables)),
    compared(source, 'rows', counts.rows ?? null, restored.rows ?? null),
  ];
}

function compared(source: SourceKind, check: string, expected: number | null, found: number | null): DrillCheck {
  const figures = { expected, found };
  // of a snapshot that does not say how many there were nothing is known
  if (expected === null) return { check, source, ok: null, code: null, figures, detail: `the manifest does not count ${check}` };
  return expected === found
    ? { check, source, ok: true, code: null, figures, detail: `${found} ${check}, as the manifest counts` }
    : { check, source, ok: false, code: 'E_DRILL_COUNTS', figures, detail: `${found} ${check}, and the manifest counts ${expected}` };
}

export interface RestoredShop {
  readonly host: Host;
  readonly session: ShopSession | null;
  /** Of the restored tree; null: none was restored. */
  readonly root: string | null;
  readonly shop: ShopConfig;
  readonly rules: DrillConfig;
  /** Of the tree; it says what application was in it. */
  readonly manifest: Manifest | null;
  /** Images without a file in the last drill that was passed; null: there was none. */
  readonly missingBefore: number | null;
  /** Images whose file an older snapshot has and this one has not. */
  readonly formerImages: ReadonlySet<number>;
  /** The instant that the database is of. */
  readonly asOf: Temporal.Instant;
  readonly signal: AbortSignal;
}

/** Of what is no PrestaShop, and of half of one, only what can be said. Throws E_DB_READ, the signal's reason. */
export async function shopChecks(restored: RestoredShop): Promise<DrillCheck[]> {
  const { asOf, host, manifest, root, rules, session, shop, signal } = restored;
  const told = /^PrestaShop(?: (\d[\w.+-]*))?/.exec(manifest?.server?.application ?? '');
  const isDeclared = shop.files?.profile === 'prestashop' || told !== null;
  const tables = session === null ? null : await shopTables(session);
  const findings: ShopFinding[] = [];
  if (session !== null && tables === null && isDeclared) {
    findings.push({ check: 'tables', ok: false, code: 'E_SHOP_TABLES', detail: 'none of a PrestaShop’s tables is there', figures: {} });
  }
  if (root !== null && told?.[1] !== undefined) {
    findings.push(await checkVersion({ tree: { host, root }, tables, expected: told[1] }));
  }
  if (tables !== null) {
    if (isDeclared) findings.push(await checkTables(tables, null), await checkProducts(tables, null));
    const oldest = rules.newestOrderMs === null ? null : Temporal.Duration.from({ milliseconds: rules.newestOrderMs });
    findings.push(await checkNewestOrder(tables, { asOf, oldest, expected: oldest !== null }));
    if (root !== null) findings.push(await imagesBeside({ ...restored, root, tables, host, signal }));
  }
  return findings.map(({ check, ok, code, detail, figures }) => {
    // of a PrestaShop what cannot be looked at is red; of anything else nothing is said by it
    const judged = ok === null && isDeclared ? false : ok;
    return { check, source: null, ok: judged, code: judged === false ? code : null, detail, figures };
  });
}

/**
 * A database is of today, its files of last Sunday: what came in between is missing, at most `missingImagesPercent`. Shops have some missing of
 * old besides: as many as the live shop lacks, and no more than the last drill that was passed. What an older snapshot had, and the database
 * still names, is none of these.
 */
async function imagesBeside(of: RestoredShop & { readonly root: string; readonly tables: ShopTables }): Promise<ShopFinding> {
  const { host, missingBefore, root, rules, shop, signal, tables } = of;
  const images = (await countShop(tables))?.images ?? 0;
  const spare = Math.floor((images * rules.missingImagesPercent) / 100);
  const strict = await checkImages({ host, root, tables, allowed: spare, signal });
  if (strict.ok !== false) return strict;
  const live = shop.host.type === 'local' && shop.files !== null ? await missingFrom({ ...of, root: shop.files.root }, images) : null;
  const lost = await countNamed(tables, of.formerImages);
  if (lost > spare) {
    return { ...strict, detail: `${strict.detail}; ${lost} of them are in an older snapshot`, figures: { ...strict.figures, live, lost } };
  }
  const known = [live, missingBefore].filter((count) => count !== null);
  if (known.length === 0) return strict;
  const judged = await checkImages({ host, root, tables, allowed: Math.min(...known) + spare, signal });
  const told = [
    live === null ? '' : `; the live shop lacks ${live}`,
    missingBefore === null ? '' : `; the last drill that was passed lacked ${missingBefore}`,
  ];
  return { ...judged, detail: `${judged.detail}${told.join('')}`, figures: { ...judged.figures, live, before: missingBefore } };
}

/** Null: it cannot be known. */
async function missingFrom({ host, root, signal, tables }: Parameters<typeof imagesBeside>[0], images: number): Promise<number | null> {
  const found = await checkImages({ host, root, tables, allowed: images, signal }).catch(() => null);
  signal.throwIfAborted();
  const missing = found?.figures.missing;
  return typeof missing === 'number' ? missing : null;
}

/** Tables by which a PrestaShop is known; their names begin with the shop's own prefix, mostly `ps_`. */
const SIGNS = ['configuration', 'shop_url', 'product'] as const;

/** Null: no PrestaShop's tables, or those of several. */
async function shopTables(session: ShopSession): Promise<ShopTables | null> {
  const rows = await session.texts(
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE() AND TABLE_TYPE='BASE TABLE'",
  );
  const names = new Set(rows.map(([name]) => name ?? ''));
  const prefixes = [...names].flatMap((name) => (name.endsWith(SIGNS[0]) ? [name.slice(0, -SIGNS[0].length)] : []));
  const whole = prefixes.filter((prefix) => SIGNS.every((sign) => names.has(`${prefix}${sign}`)));
  return whole.length === 1 ? { session, database: null, prefix: whole[0] as string } : null;
}
