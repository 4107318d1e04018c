// 3-2-1 for one shop: three copies (production is one), two kinds of media, one off site, and one that nobody can alter. Pure.
import type { ShopConfig, VaultConfig } from './config.ts';

/** Production's own medium: shops live on disks. */
const PRODUCTION_MEDIUM = 'disk';

export interface VaultFacts {
  /** It lies on a disk that also holds the shop: both are lost together, so it is no copy. null: could not be found out. */
  readonly sharesDisk: boolean | null;
  /** The lock probe has shown that nobody can delete. */
  readonly lockProven: boolean;
}

export interface ThreeTwoOne {
  readonly copies: number;
  readonly media: readonly string[];
  readonly offsite: readonly string[];
  readonly immutable: readonly string[];
  /** Of 3-2-1. */
  readonly holds: boolean;
  /** Why not, and what does not count; empty when there is nothing to say. */
  readonly reasons: readonly string[];
}

/** Facts are by vault name; a vault without facts counts as one of which nothing could be found out. */
export function threeTwoOne(
  shop: Pick<ShopConfig, 'vaults'>,
  vaults: ReadonlyMap<string, VaultConfig>,
  facts: ReadonlyMap<string, VaultFacts>,
): ThreeTwoOne {
  const reasons: string[] = [];
  const counted = shop.vaults.flatMap((name) => {
    const vault = vaults.get(name);
    const known = facts.get(name) ?? { sharesDisk: null, lockProven: false };
    if (!vault) return [];
    if (vault.type === 'filesystem' && known.sharesDisk !== false) {
      reasons.push(
        known.sharesDisk ? `${name} is on the shop's own disk and does not count` : `whether ${name} is on the shop's own disk is unknown`,
      );
      return [];
    }
    return [{ vault, known }];
  });
  const copies = 1 + counted.length;
  const media = [...new Set([PRODUCTION_MEDIUM, ...counted.map(({ vault }) => vault.media)])];
  const offsite = counted.filter(({ vault }) => vault.offsite).map(({ vault }) => vault.name);
  const immutable = counted.filter(({ vault, known }) => vault.type === 's3' && known.lockProven).map(({ vault }) => vault.name);
  if (copies < 3)
    reasons.push(copies === 1 ? 'production is the only copy' : `${3 - copies} more ${copies === 2 ? 'copy is' : 'copies are'} needed`);
  if (media.length < 2) reasons.push('a second kind of medium is needed');
  if (offsite.length === 0) reasons.push('no copy is off site');
  return { copies, media, offsite, immutable, holds: copies >= 3 && media.length >= 2 && offsite.length > 0, reasons };
}
