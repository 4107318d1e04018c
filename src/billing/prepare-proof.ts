// Everything of a proof that the catalog alone gives: in a thread of its own where somebody else waits for this one.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import { asCoffreError } from '../errors.ts';
import { beforeLedger, ledgerSince } from './ledger-start.ts';
import { type LiveObject, liveAt } from './live-at.ts';
import { calendarPeriod, type Period } from './month.ts';
import { partDue, type Running } from './period.ts';
import { contractPeaks, scopeOf } from './period-peaks.ts';
import { type Check, proveLedger } from './prove-ledger.ts';
import { proveObjects } from './prove-objects.ts';
import { proveStatements } from './prove-statements.ts';

export interface ProofRequest {
  /** YYYY-MM, YYYY-Qn or YYYY. */
  readonly month: string;
  readonly contracts: readonly Running[];
  /** Of these contracts alone; else statements of contracts that are declared no more are looked at too. */
  readonly isNamed: boolean;
  /** Every statement is computed again, not only those of the month. */
  readonly isAll?: boolean;
}

/** What the store is to be asked about one contract. */
export interface PeakToProve {
  readonly contract: string;
  readonly vault: string;
  readonly peakBytes: number;
  readonly at: string;
  /**
   * Null: the peak is known. Else why it is not: rows of the period are gone, or it was over when the ledger began, or the ledger is broken;
   * what is there now is in `objects` all the same.
   */
  readonly why: string | null;
  /** When the ledger began, where that was within the period. */
  readonly since: string | null;
  /** Null: all of its vault. */
  readonly shops: readonly string[] | null;
  /** Under which it covers anything, by ledger and catalog. */
  readonly held: readonly string[];
  readonly objects: readonly LiveObject[];
  /** Last row of the ledger that is in `objects`. */
  readonly row: number;
}

export interface PreparedProof {
  readonly month: string;
  readonly checks: readonly Check[];
  /** Of the contracts: each is asked for its checkpoints, whether a contract ran then or not. */
  readonly vaults: readonly string[];
  /** Of those contracts of which a period was due then. */
  readonly peaks: readonly PeakToProve[];
}

/** Throws E_USAGE for what is no month. */
export async function prepareProof(catalog: Catalog, { contracts, isAll, isNamed, month }: ProofRequest): Promise<PreparedProof> {
  const checks = await proveLedger(catalog);
  const isSound = checks.every(({ outcome }) => outcome !== 'broken');
  checks.push(await proveObjects(catalog));
  const peaks: PeakToProve[] = [];
  const [first] = contracts;
  const named = isNamed ? contracts.map(({ name }) => name) : null;
  const period = isAll ? null : calendarPeriod(month, first?.timezone ?? 'UTC');
  checks.push(...(await proveStatements(catalog, { contracts: named, period, isSound })));
  for (const contract of contracts) {
    const due = partDue(contract, calendarPeriod(month, contract.timezone));
    if (due !== null) peaks.push(await peakToProve(catalog, contract, due, isSound));
  }
  return { month, checks, vaults: [...new Set(contracts.map(({ vault }) => vault))], peaks };
}

async function peakToProve(catalog: Catalog, contract: Running, period: Period, isSound: boolean): Promise<PeakToProve> {
  const { db } = catalog;
  const { name, shops, vault } = contract;
  const sinceMs = await ledgerSince(db);
  const startMs = period.start.epochMilliseconds;
  let [peakBytes, at, why]: [number, number, string | null] = [0, startMs, beforeLedger(sinceMs, period)];
  try {
    const { sum } = await contractPeaks(catalog, contract, period);
    [peakBytes, at] = [sum.peakBytes, sum.at];
  } catch (error) {
    const { code, message } = asCoffreError(error);
    if (code !== 'E_LEDGER_PURGED') throw error;
    why = message;
  }
  if (!isSound) why ??= 'the ledger is broken, and no peak follows from it';
  const covers = (shop: string): boolean => scopeOf(contract).covers(shop);
  const row = (await db.selectFrom('ledger').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst())?.id ?? 0;
  let objects = await liveAt(db, vault, covers, at);
  // a peak that the period opened with stood just before its first instant
  if (at === startMs && sumOf(objects) !== peakBytes) objects = await liveAt(db, vault, covers, at - 1);
  const rows = await db.selectFrom('objects').select('shop').distinct().where('vault', '=', vault).execute();
  const held = new Set([...rows.map(({ shop }) => shop), ...(shops ?? [])].filter(covers));
  for (const { shop } of objects) held.add(shop);
  const since = sinceMs !== null && sinceMs > startMs ? instantText(sinceMs) : null;
  return { contract: name, vault, peakBytes, at: instantText(at), why, since, shops, held: [...held].sort(), objects, row };
}

/** What was there at the peak. */
export const sumOf = (objects: readonly LiveObject[]): number => objects.reduce((sum, { bytes }) => sum + bytes, 0);

const instantText = (epochMs: number): string => Temporal.Instant.fromEpochMilliseconds(epochMs).toString();
