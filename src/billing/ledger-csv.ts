// Peaks and rows of the ledger as tables for spreadsheets and programs: bytes as whole numbers, instants as RFC 3339 in UTC.
import { Temporal } from 'temporal-polyfill';
import { csvOf, freeText, type Separator } from '../document/csv.ts';
import type { Language } from '../document/wording.ts';
import type { LedgerRow } from './chain.ts';
import { decimalOf, plain } from './money.ts';
import type { MonthPeaks } from './month-peaks.ts';

/**
 * Names of columns are the same in every language: programs read them. `row` is contract or shop; the share is that at its contract's peak;
 * `measured` none: 0 bytes are not known to be 0.
 */
const PEAKS = ['row', 'month', 'contract', 'shop', 'vault', 'peak_bytes', 'peak_tb', 'at', 'share_bytes', 'share_tb', 'measured'] as const;
const LEDGER = ['id', 'at', 'vault', 'shop', 'event', 'bytes', 'key', 'version_id', 'cause', 'hash'] as const;

export function peaksCsv({ contracts, measured, month, shops }: MonthPeaks, language: Language, separator: Separator = ','): string {
  const tb = (bytes: number | null): string | null => {
    if (bytes === null) return null;
    const text = plain(decimalOf(bytes).div('1000000000000'));
    return language === 'fr' ? text.replace('.', ',') : text;
  };
  return csvOf(
    [
      PEAKS,
      ...contracts.map((one) => [
        'contract',
        month,
        one.contract,
        null,
        one.vault,
        String(one.peakBytes),
        tb(one.peakBytes),
        one.at,
        null,
        null,
        measured,
      ]),
      ...shops.map(({ at, peakBytes, shareAtContractPeakBytes: share, shop, vault }) => [
        ...['shop', month, null, shop, vault, String(peakBytes), tb(peakBytes), at],
        ...[share === null ? null : String(share), tb(share), measured],
      ]),
    ],
    separator,
  );
}

export function ledgerCsv(rows: readonly LedgerRow[], separator: Separator = ','): string {
  const cells = rows.map(({ at, bytes, cause, event, hash, id, key, shop, vault, versionId }) => [
    ...[String(id), Temporal.Instant.fromEpochMilliseconds(at).toString(), vault, shop, event, String(bytes)],
    // what others wrote into the bucket has a name of theirs
    ...[freeText(key), freeText(versionId), cause === null ? null : freeText(cause), hash],
  ]);
  return csvOf([LEDGER, ...cells], separator);
}
