// Where a shop's copies are: 3-2-1-1-0, and what some vault lacks. Pure over what was read.
import { type Gap, reasonOf } from '../backup/catch-up-plan.ts';
import type { GapRow } from '../catalog/gaps.ts';
import type { SnapshotCopy, SnapshotWithCopies } from '../catalog/snapshots.ts';
import type { ShopConfig, VaultConfig } from '../config/config.ts';
import { threeTwoOne, type VaultFacts } from '../config/three-two-one.ts';
import { type Alarm, raise } from './alarm.ts';
import { text } from './status-text.ts';

/** What is asked about where a shop's snapshots are. */
export interface CopyFacts {
  readonly nowMs: number;
  readonly timezone: string;
  readonly shop: ShopConfig;
  readonly vaults: readonly VaultConfig[];
  readonly snapshots: readonly SnapshotWithCopies[];
  /** What is known of each vault apart from what it holds. */
  readonly vaultFacts: ReadonlyMap<string, VaultFacts>;
  /** What the vaults lack, and why, as whoever tried last found. */
  readonly lacking: { readonly gaps: readonly Gap[]; readonly reasons: readonly GapRow[] };
}

export interface Copies {
  readonly copies: number;
  readonly media: readonly string[];
  readonly offsite: readonly string[];
  readonly immutable: readonly string[];
  readonly verifyErrors: number;
  readonly ok: boolean;
  /** Each vault of the shop: what it counts for is said above. */
  readonly vaults: readonly VaultCopy[];
}

/** What one vault has of the newest good snapshots. */
export interface VaultCopy {
  readonly vault: string;
  readonly media: string;
  readonly offsite: boolean;
  /** All of them are there. */
  readonly holds: boolean;
  /** Of their manifests, as last read back, the one that ends first; null: nothing is there, or its lock is not known. */
  readonly lock: { readonly mode: string; readonly retainUntil: string } | null;
}

export interface Lacking {
  readonly vault: string;
  /** Newest first. */
  readonly missing: readonly string[];
  readonly damaged: readonly string[];
  /** Why the missing ones are; null: nothing was tried yet. */
  readonly reason: { readonly code: string; readonly message: string; readonly at: string } | null;
}

/** A snapshot that is not in every vault protects less than was ordered, whether or not there is a newer one that is. */
export function whatLacks({ shop, timezone, lacking }: CopyFacts, red: Alarm[]): Lacking[] {
  const { gaps, reasons } = lacking;
  return [...new Set(gaps.map((gap) => gap.vault))].map((vault) => {
    const own = gaps.filter((gap) => gap.vault === vault);
    const missing = own.filter((gap) => gap.damage === null);
    const damaged = own.filter((gap) => gap.damage !== null);
    const why = reasonOf(reasons, vault);
    const remedy = `; the daemon does it when it can, coffre catch-up ${shop.name} now`;
    const named = (of: readonly Gap[]): string => {
      const newest = of[0]?.snapshot;
      return `${of.length} ${of.length === 1 ? 'snapshot' : 'snapshots'} (${of.length === 1 ? '' : 'the newest '}${newest?.source} of ${text(newest?.asOf ?? 0, timezone)})`;
    };
    if (missing.length > 0) {
      const reason =
        why === null ? 'nobody has tried to copy them yet' : `${why.message} [${why.code}], tried at ${text(why.at, timezone)}`;
      const said = `vault ${vault} lacks ${named(missing)}: ${reason}; to be copied there from another vault${remedy}`;
      raise(red, 'lacking', { vault, code: why?.code }, said);
    }
    if (damaged.length > 0) {
      raise(
        red,
        'damaged',
        { vault, code: damaged[0]?.damage },
        `vault ${vault} holds ${named(damaged)} with a damaged object [${damaged[0]?.damage}]: to be stored anew from another vault${remedy}`,
      );
    }
    return {
      vault,
      missing: missing.map((gap) => gap.snapshot.id),
      damaged: damaged.map((gap) => gap.snapshot.id),
      reason: why && { code: why.code, message: why.message, at: text(why.at, timezone) },
    };
  });
}

/** 3-2-1-1-0: what doctor says of the vaults, counted only where the newest good snapshots really are, locked and unharmed. */
export function countCopies(facts: CopyFacts, newestGood: readonly (string | undefined)[], red: Alarm[]): Copies {
  const { nowMs, shop } = facts;
  const newest = newestGood.map((id) => facts.snapshots.find((snapshot) => snapshot.id === id));
  const holds = (vault: VaultConfig): boolean =>
    newest.length > 0 && newest.every((snapshot) => snapshot?.copies.some((copy) => copy.vault === vault.name));
  const isLocked = (vault: VaultConfig): boolean =>
    newest.every((snapshot) =>
      snapshot?.copies.some((copy) => copy.vault === vault.name && copy.lockMode !== 'advisory' && (copy.retainUntil ?? 0) > nowMs),
    );
  const holding = facts.vaults.filter(holds);
  const rule = threeTwoOne(
    { vaults: holding.map((vault) => vault.name) },
    new Map(facts.vaults.map((vault) => [vault.name, vault])),
    new Map(
      holding.map((vault) => {
        const known = facts.vaultFacts.get(vault.name) ?? { sharesDisk: null, lockProven: false };
        return [vault.name, { ...known, lockProven: known.lockProven && isLocked(vault) }];
      }),
    ),
  );
  const verifyErrors = facts.snapshots.flatMap((snapshot) => snapshot.copies).filter((copy) => copy.verifyError !== null).length;
  const which = `; coffre doctor ${shop.name} says which vaults count`;
  for (const reason of rule.reasons) raise(red, 'copies', {}, `${reason}${which}`);
  if (rule.immutable.length === 0) raise(red, 'immutable', {}, `no immutable copy${which}`);
  if (verifyErrors > 0)
    raise(
      red,
      'verification',
      {},
      `${verifyErrors} stored ${verifyErrors === 1 ? 'copy' : 'copies'} failed verification: coffre verify ${shop.name} --read-data`,
    );
  const { copies, media, offsite, immutable } = rule;
  const vaults = facts.vaults.map((vault): VaultCopy => {
    const ends = newest.flatMap((snapshot) => snapshot?.copies.find((copy) => copy.vault === vault.name) ?? []);
    const first = ends.reduce<SnapshotCopy | null>((a, b) => (a === null || (b.retainUntil ?? 0) < (a.retainUntil ?? 0) ? b : a), null);
    const lock =
      first === null || first.lockMode === null || first.retainUntil === null
        ? null
        : { mode: first.lockMode, retainUntil: text(first.retainUntil, facts.timezone) };
    return { vault: vault.name, media: vault.media, offsite: vault.offsite, holds: holds(vault), lock };
  });
  return { copies, media, offsite, immutable, verifyErrors, ok: rule.holds && immutable.length > 0 && verifyErrors === 0, vaults };
}
