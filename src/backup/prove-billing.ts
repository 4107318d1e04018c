// Proof of what was billed against what the vaults hold: the marks of their locked checkpoints, and their own listing.

import { ledgerStart } from '../billing/chain.ts';
import { correctionsEnd } from '../billing/check-corrections.ts';
import { BEFORE_FIRST } from '../billing/ledger-page.ts';
import { billingMark } from '../billing/mark.ts';
import type { PeakToProve, PreparedProof } from '../billing/prepare-proof.ts';
import type { Check } from '../billing/prove-ledger.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';
import type { Config, VaultConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { ageNote } from '../segment/age.ts';
import { parseKey, STATE_PREFIX } from '../segment/layout.ts';
import { decodeMark, type LedgerMark, MARK_STANZA } from '../segment/ledger-mark.ts';
import { trustedFingerprints } from '../segment/signing-key.ts';
import type { ListedVersion, Vault } from '../vault/vault.ts';
import type { OpenVault } from './admit.ts';
import { proveStore } from './prove-store.ts';
import { openCheckpointVersion, readVersion } from './rebuild-read.ts';

export interface ProveDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly openVault: OpenVault;
}

/** The document of `billing prove`. */
export interface ProofResult {
  readonly month: string;
  /** Nothing is broken. What could not be checked is in `checks`, and is no defect. */
  readonly ok: boolean;
  readonly contracts: readonly {
    readonly contract: string;
    readonly vault: string;
    readonly peakBytes: number | null;
    readonly at: string | null;
  }[];
  readonly checks: readonly Check[];
}

/** A vault that does not answer is unchecked. Throws E_KEY, E_STATE and the signal's reason. */
export async function proveInVaults(deps: ProveDeps, prepared: PreparedProof, signal: AbortSignal): Promise<ProofResult> {
  const checks: Check[] = [...prepared.checks];
  for (const name of prepared.vaults) {
    const peaks = prepared.peaks.filter(({ vault }) => vault === name);
    try {
      const config = deps.config.vaults.get(name);
      if (!config) throw new CoffreError('E_UNKNOWN_VAULT', `vault ${name} is not in ${deps.config.file} any more`);
      checks.push(...(await proveInVault(deps, config, peaks, signal)));
    } catch (error) {
      signal.throwIfAborted();
      const { message } = asCoffreError(error);
      for (const check of ['checkpoint', 'store'] as const)
        checks.push({ name: check, vault: name, outcome: 'unchecked', detail: message, findings: [] });
    }
  }
  const contracts = prepared.peaks.map(({ at, contract, peakBytes, vault, why }) => {
    return { contract, vault, peakBytes: why === null ? peakBytes : null, at: why === null ? at : null };
  });
  return { month: prepared.month, ok: checks.every(({ outcome }) => outcome !== 'broken'), contracts, checks };
}

async function proveInVault(deps: ProveDeps, config: VaultConfig, peaks: readonly PeakToProve[], signal: AbortSignal): Promise<Check[]> {
  const vault = await deps.openVault(config);
  try {
    const checks = [await proveMarks(deps, vault, signal)];
    for (const peak of peaks) checks.push(...(await proveStore(deps.catalog, vault, peak, deps.config.shops.keys(), signal)));
    if (peaks.length === 0) {
      const detail = 'no contract of it ran then: it was not asked what it holds';
      checks.push({ name: 'store', vault: vault.name, outcome: 'unchecked', detail, findings: [] });
    }
    return checks;
  } finally {
    await vault.close().catch(() => {});
  }
}

/** Reads back every checkpoint that the vault has, and compares what it says of ledger, anchors and statements with the catalog. */
async function proveMarks({ catalog, clock, config }: ProveDeps, vault: Vault, signal: AbortSignal): Promise<Check> {
  const trusted = await trustedFingerprints(config.signing.keyFile);
  const oldest = new Map<string, ListedVersion>();
  // a listing gives a key's newest version first; the oldest one is ours
  for await (const version of vault.listVersions(STATE_PREFIX)) if (!version.isDeleteMarker) oldest.set(version.key, version);
  const findings: string[] = [];
  let [read, without, row, statements, corrections] = [0, 0, 0, 0, 0];
  for (const version of [...oldest.values()].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    signal.throwIfAborted();
    const what = `${vault.name}: ${version.key}`;
    try {
      const mark = await readMark({ vault, clock, signal }, version, trusted, what);
      if (mark === null) without++;
      else {
        read++;
        row = Math.max(row, mark.row);
        statements = Math.max(statements, mark.statements);
        corrections = Math.max(corrections, mark.corrections ?? 0);
        findings.push(...(await compareMark(catalog, mark)).map((text) => `${what}: ${text}`));
      }
    } catch (error) {
      const { code, message } = asCoffreError(error);
      if (!['E_SIGNATURE', 'E_FORMAT', 'E_OBJECT_ALTERED'].includes(code)) throw error;
      findings.push(message);
    }
  }
  const older = without === 0 ? '' : `; ${without} are of an older coffre and say nothing in the clear`;
  const detail = `${read} checkpoints read back and compared with ledger, anchors and statements${older}${await unmarked(catalog, { row, statements, corrections })}`;
  const outcome = findings.length > 0 ? 'broken' : read === 0 ? 'unchecked' : 'proven';
  return { name: 'checkpoint', vault: vault.name, outcome, detail, findings };
}

/** What came since the newest mark: nothing but this catalog knows of it, and the store as long as it lists the objects. */
async function unmarked(
  { db }: Catalog,
  { corrections, row, statements }: { readonly row: number; readonly statements: number; readonly corrections: number },
): Promise<string> {
  const since = {
    statements: (await billingMark(db, BEFORE_FIRST)).statements - statements,
    corrections: (await correctionsEnd(db)).count - corrections,
  };
  const last = await db.selectFrom('ledger').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst();
  const rows = (last?.id ?? 0) - row;
  const left = Object.entries(since).flatMap(([what, count]) => (count > 0 ? [`${count} ${what}`] : []));
  return [
    // the row of the newest checkpoint's own object always is
    rows > 0
      ? `; ${rows === 1 ? '1 row' : `${rows} rows`} of the ledger after the newest one: a removal there shows only by what catalog and store still have`
      : '',
    left.length === 0
      ? ''
      : `; ${left.join(' and ')} in no checkpoint yet: their removal would not be seen (coffre catalog checkpoint writes one)`,
  ].join('');
}

async function readMark(
  from: { readonly vault: Vault; readonly clock: Clock; readonly signal: AbortSignal },
  version: ListedVersion,
  trusted: readonly string[],
  what: string,
): Promise<LedgerMark | null> {
  const parsed = parseKey(version.key);
  if (parsed?.type !== 'state') return null;
  let mark: LedgerMark | null;
  if (parsed.encrypted) {
    const body = ageNote(await readVersion(from, version), MARK_STANZA);
    mark = body === null ? null : decodeMark(body, trusted, what);
  } else mark = (await openCheckpointVersion(from, version, [], trusted)).mark ?? null;
  if (mark !== null && (mark.vault !== from.vault.name || mark.time.replaceAll(/[-:]/g, '') !== parsed.time)) {
    throw new CoffreError('E_OBJECT_ALTERED', `${what}: its mark is of the checkpoint of ${mark.time} in ${mark.vault}`);
  }
  return mark;
}

/** Where the catalog is not what it was when the checkpoint was written. */
async function compareMark({ db }: Catalog, mark: LedgerMark): Promise<string[]> {
  const findings: string[] = [];
  const start = await ledgerStart(db);
  if (mark.row > 0 && (start === null || mark.row >= start.row)) {
    const row =
      mark.row === start?.row ? start : await db.selectFrom('ledger').select('hash').where('id', '=', mark.row).executeTakeFirst();
    if (row === undefined) findings.push(`it knows row ${mark.row} of the ledger, which is not there`);
    else if (row.hash !== mark.head)
      findings.push(`it says that row ${mark.row} of the ledger has the hash ${mark.head}, and it has ${row.hash}`);
  }
  const nth = async (name: 'anchors' | 'statements', count: number): Promise<{ hash: string } | undefined> =>
    await db
      .selectFrom(name as 'anchors')
      .select('hash')
      .orderBy('id')
      .offset(count - 1)
      .limit(1)
      .executeTakeFirst();
  for (const [name, count, hash] of [
    ['anchors', mark.anchors, mark.anchor],
    ['statements', mark.statements, mark.statement],
  ] as const) {
    if (count === 0) continue;
    const row = await nth(name, count);
    if (row === undefined) findings.push(`it knows ${count} ${name}, and there are fewer`);
    else if (row.hash !== hash) findings.push(`it says that the newest of ${count} ${name} has the hash ${hash}, and it has ${row.hash}`);
  }
  const { correction, corrections = 0 } = mark;
  const end = await correctionsEnd(db, corrections);
  if (end.count < corrections) findings.push(`it knows ${corrections} corrections, and there are fewer`);
  else if (corrections > 0 && end.hash !== correction)
    findings.push(`one of the first ${corrections} corrections was altered, removed or moved: it says the hash ${correction}`);
  return findings;
}
