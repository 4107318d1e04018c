// Everything of a proof that the catalog alone gives: in a thread of its own where somebody else waits for this one.
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import { asCoffreError } from '../errors.ts';
import { beforeLedger, ledgerSince } from './ledger-start.ts';
import { type LiveObject, liveAt } from './live-at.ts';
import { calendarPeriod } from './month.ts';
import { partDue, type Running } from './period.ts';
import { contractPeaks, scopeOf } from './period-peaks.ts';
import { type Check, proveLedger } from './prove-ledger.ts';
import { proveStatements } from './prove-statements.ts';

export interface ProofRequest {
  /** YYYY-MM, YYYY-Qn or YYYY. */
  readonly month: string;
  readonly contracts: readonly Running[];
  /** Of these contracts alone; else statements of contracts that are declared no more are looked at too. */
  readonly isNamed: boolean;
}

/** What the store is to be asked about one contract. */
export interface PeakToProve {
  readonly contract: string;
  readonly vault: string;
  readonly peakBytes: number;
  readonly at: string;
  /** Null: rows of the period are gone, or it was over when the ledger began, `why` says since when; what is there now is in `objects` all the same. */
  readonly why: string | null;
  readonly objects: readonly LiveObject[];
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
export async function prepareProof(catalog: Catalog, { contracts, isNamed, month }: ProofRequest): Promise<PreparedProof> {
  const checks = await proveLedger(catalog);
  const peaks: PeakToProve[] = [];
  const [first] = contracts;
  checks.push(
    ...(await proveStatements(
      catalog,
      isNamed ? contracts.map(({ name }) => name) : null,
      calendarPeriod(month, first?.timezone ?? 'UTC'),
    )),
  );
  for (const contract of contracts) {
    const { name, timezone, vault } = contract;
    const period = partDue(contract, calendarPeriod(month, timezone));
    if (period === null) continue;
    let [peakBytes, at, why]: [number, number, string | null] = [0, 0, beforeLedger(await ledgerSince(catalog.db), period)];
    try {
      const { sum } = await contractPeaks(catalog, contract, period);
      [peakBytes, at] = [sum.peakBytes, sum.at];
    } catch (error) {
      const { code, message } = asCoffreError(error);
      if (code !== 'E_LEDGER_PURGED') throw error;
      why = message;
    }
    const objects = await liveAt(catalog.db, vault, (shop) => scopeOf(contract).covers(shop), at);
    peaks.push({ contract: name, vault, peakBytes, at: Temporal.Instant.fromEpochMilliseconds(at).toString(), why, objects });
  }
  return { month, checks, vaults: [...new Set(contracts.map(({ vault }) => vault))], peaks };
}
