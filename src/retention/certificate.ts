// The certificate of a shop's end: what was deleted, what remains locked where and until when; signed, and kept.
import { type KeyObject, sign } from 'node:crypto';
import { type Kysely, sql } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import { listHolds } from '../catalog/holds.ts';
import { IS_LIVE, vaultsHolding } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { readLife, type ShopLife } from '../catalog/shop-life.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { canonicalJson } from '../segment/canonical-json.ts';
import { rawPublicKey } from '../segment/signing-key.ts';
import { hasEnded } from './policy.ts';

/** Instants as RFC 3339 text, sizes in bytes. */
export interface Certificate {
  readonly format: 1;
  readonly kind: 'closing' | 'erasure';
  readonly shop: string;
  readonly at: string;
  readonly orderedAt: string;
  readonly orderedBy: string;
  readonly reason: string | null;
  /** Of a closing shop. */
  readonly endsAt: string | null;
  /** Confirmed by the vaults since the order was given, or, of a closing shop, since its end. */
  readonly deleted: readonly { readonly vault: string; readonly objects: number; readonly bytes: number }[];
  /** What a vault still holds after the end, by the end of its lock; `until` null: without a lock, and the vault has not confirmed yet. */
  readonly remains: readonly {
    readonly vault: string;
    readonly objects: number;
    readonly bytes: number;
    readonly lockMode: string | null;
    readonly until: string | null;
  }[];
  /** When the last lock of what remains ends; null: none is known. */
  readonly remainsUntil: string | null;
  /** Versions on the shop's keys that coffre did not write and does not delete. */
  readonly foreign: readonly { readonly vault: string; readonly objects: number; readonly bytes: number }[];
  /** Reasons of holds in force, which keep what they name beyond the end. */
  readonly holds: readonly string[];
  /** Nothing that coffre wrote for the shop is left in any vault. */
  readonly final: boolean;
}

export interface SignedCertificate {
  readonly certificate: Certificate;
  readonly signature: { readonly algorithm: 'Ed25519'; readonly key: string; readonly value: string };
}

/** `openssl pkeyutl -verify -rawin` over `jq -cSj .certificate` checks it. */
export function signCertificate(certificate: Certificate, privateKey: KeyObject): SignedCertificate {
  const value = sign(null, Buffer.from(canonicalJson(certificate)), privateKey).toString('base64');
  return { certificate, signature: { algorithm: 'Ed25519', key: rawPublicKey(privateKey).toString('base64'), value } };
}

/** Makes, signs and keeps a certificate of how things stand. Throws E_SHOP_STATE for a shop that neither closes nor was erased. */
export async function issueCertificate(catalog: Catalog, clock: Clock, shop: string, privateKey: KeyObject): Promise<SignedCertificate> {
  return await catalog.transaction(async (tx) => {
    const life = await readLife(tx, shop);
    const signed = signCertificate(await readCertificate(tx, clock.nowMs(), shop, life), privateKey);
    const { at, kind, final } = signed.certificate;
    await tx
      .insertInto('certificates')
      .values({ shop, at: Temporal.Instant.from(at).epochMilliseconds, kind, final: final ? 1 : 0, document: canonicalJson(signed) })
      .execute();
    return signed;
  });
}

/**
 * After a prune: the final certificate of a shop that has ended, once nothing of it is left and none says so yet. `loadKey` is called
 * only then. null: nothing to say.
 */
export async function certifyEnd(
  catalog: Catalog,
  clock: Clock,
  shop: string,
  loadKey: () => Promise<KeyObject>,
): Promise<SignedCertificate | null> {
  const life = await readLife(catalog.db, shop);
  if ((life.state !== 'erased' && life.state !== 'closing') || !hasEnded(life, clock.nowMs())) return null;
  const known = await catalog.db
    .selectFrom('certificates')
    .select('id')
    .where('shop', '=', shop)
    .where('at', '>=', life.since)
    .where('final', '=', 1)
    .limit(1)
    .executeTakeFirst();
  if (known) return null;
  if (!(await readCertificate(catalog.db, clock.nowMs(), shop, life)).final) return null;
  return await issueCertificate(catalog, clock, shop, await loadKey());
}

/** Newest first. */
export async function listCertificates(db: Kysely<Tables>, shop: string): Promise<SignedCertificate[]> {
  const rows = await db.selectFrom('certificates').select('document').where('shop', '=', shop).orderBy('id', 'desc').execute();
  return rows.map((row) => JSON.parse(row.document) as SignedCertificate);
}

async function readCertificate(db: Kysely<Tables>, nowMs: number, shop: string, life: ShopLife): Promise<Certificate> {
  if (life.state !== 'erased' && life.state !== 'closing') {
    throw new CoffreError('E_SHOP_STATE', `${shop} is ${life.state}: there is nothing to certify`, {
      hint: 'coffre shop close or coffre shop erase issues a certificate',
    });
  }
  const end = life.endsAt ?? life.since;
  const held = await heldBy(db, shop);
  const isForeign = (row: Held): boolean => row.kind === 'foreign';
  // before its end a closing shop promises: what no lock keeps longer goes on that day
  const own = held.filter((row) => !isForeign(row) && (nowMs > end || (row.retainUntil ?? 0) > end));
  const ends = own.flatMap((row) => row.retainUntil ?? []);
  return {
    format: 1,
    kind: life.state === 'erased' ? 'erasure' : 'closing',
    shop,
    at: text(nowMs),
    orderedAt: text(life.since),
    orderedBy: life.who,
    reason: life.reason,
    endsAt: life.endsAt === null ? null : text(life.endsAt),
    deleted: await deletedSince(db, shop, end),
    remains: own.map(({ vault, objects, bytes, lockMode, retainUntil }) => ({
      ...{ vault, objects, bytes },
      // a lock that is over protects nothing: what it was on only waits to be deleted
      ...(retainUntil !== null && retainUntil > nowMs ? { lockMode, until: text(retainUntil) } : { lockMode: null, until: null }),
    })),
    remainsUntil: ends.length === 0 ? null : text(Math.max(...ends)),
    foreign: held.filter(isForeign).map(({ vault, objects, bytes }) => ({ vault, objects, bytes })),
    holds: (await listHolds(db, { shop })).map((hold) => hold.reason),
    final: nowMs > end && !held.some((row) => !isForeign(row)),
  };
}

interface Held {
  readonly vault: string;
  readonly kind: 'own' | 'foreign';
  readonly lockMode: string | null;
  readonly retainUntil: number | null;
  readonly objects: number;
  readonly bytes: number;
}

/** Added up by the day on which locks end, each day at its latest instant: a line for each second would say no more. */
async function heldBy(db: Kysely<Tables>, shop: string): Promise<Held[]> {
  const held: Held[] = [];
  for (const vault of await vaultsHolding(db, shop)) {
    const { rows } = await sql<Omit<Held, 'vault'>>`
      select case "kind" when 'foreign' then 'foreign' else 'own' end as "kind", "lockMode", max("retainUntil") as "retainUntil",
        count(*) as "objects", sum("sizeBytes") as "bytes"
      from "objects" where "vault" = ${vault} and "shop" = ${shop} and ${IS_LIVE}
      group by 1, "lockMode", "retainUntil" / 86400000 order by 1 desc, "retainUntil"`.execute(db);
    for (const row of rows) held.push({ vault, ...row });
  }
  return held;
}

async function deletedSince(db: Kysely<Tables>, shop: string, sinceMs: number): Promise<Certificate['deleted']> {
  const rows = await db
    .selectFrom('ledger')
    .select(['vault', (eb) => eb.fn.countAll<number>().as('objects'), (eb) => eb.fn.sum<number>('bytes').as('bytes')])
    .where('shop', '=', shop)
    .where('at', '>=', sinceMs)
    .where('event', '=', 'release')
    .groupBy('vault')
    .orderBy('vault')
    .execute();
  return rows.map(({ vault, objects, bytes }) => ({ vault, objects, bytes: -bytes }));
}

function text(epochMs: number): string {
  return Temporal.Instant.fromEpochMilliseconds(epochMs).toString();
}
