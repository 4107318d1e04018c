// Proof of what was billed against what the vaults hold: the marks of their locked checkpoints, and their own listing.

import { ledgerStart } from '../billing/chain.ts';
import { correctionsEnd } from '../billing/check-corrections.ts';
import { BEFORE_FIRST } from '../billing/ledger-page.ts';
import { billingMark } from '../billing/mark.ts';
import type { PeakToProve, PreparedProof } from '../billing/prepare-proof.ts';
import type { Check } from '../billing/prove-ledger.ts';
import { versionRow } from '../catalog/object-version.ts';
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
    for (const peak of peaks) checks.push(...(await proveStore(deps.catalog, vault, peak, signal)));
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
  let [read, without, statements, corrections] = [0, 0, 0, 0];
  for (const version of [...oldest.values()].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    signal.throwIfAborted();
    const what = `${vault.name}: ${version.key}`;
    try {
      const mark = await readMark({ vault, clock, signal }, version, trusted, what);
      if (mark === null) without++;
      else {
        read++;
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
  const detail = `${read} checkpoints read back and compared with ledger, anchors and statements${older}${await unmarked(catalog, statements, corrections)}`;
  const outcome = findings.length > 0 ? 'broken' : read === 0 ? 'unchecked' : 'proven';
  return { name: 'checkpoint', vault: vault.name, outcome, detail, findings };
}

/** What was issued since the newest mark: nothing but this catalog knows of it. */
async function unmarked({ db }: Catalog, statements: number, corrections: number): Promise<string> {
  const since = {
    statements: (await billingMark(db, BEFORE_FIRST)).statements - statements,
    corrections: (await correctionsEnd(db)).count - corrections,
  };
  const left = Object.entries(since).flatMap(([what, count]) => (count > 0 ? [`${count} ${what}`] : []));
  if (left.length === 0) return '';
  return `; ${left.join(' and ')} in no checkpoint yet: their removal would not be seen (coffre catalog checkpoint writes one)`;
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

/** The objects of the peak that still exist, and all that exist now, in the store's own listing. */
async function proveStore(catalog: Catalog, vault: Vault, peak: PeakToProve, signal: AbortSignal): Promise<Check[]> {
  const named = { name: 'store', vault: vault.name } as const;
  const findings: string[] = [];
  const there = { objects: 0, bytes: 0 };
  const gone = { objects: 0, bytes: 0 };
  let [openingBytes, unsettled, listedObjects] = [0, 0, 0];
  for (const [shop, objects] of Map.groupBy(peak.objects, (object) => object.shop)) {
    const listed = new Map<string, number>();
    for await (const upload of vault.listUploads(`${shop}/`)) listed.set(`${upload.key}\0upload:${upload.uploadId}`, upload.sizeBytes);
    for await (const version of vault.listVersions(`${shop}/`)) {
      signal.throwIfAborted();
      if (!version.isDeleteMarker) listed.set(`${version.key}\0${version.versionId}`, version.sizeBytes);
    }
    listedObjects += listed.size;
    for (const { bytes, bytesNow, key, versionId } of objects) {
      if (key === '') {
        openingBytes += bytes;
        continue;
      }
      const name = `${key}\0${versionId}`;
      const size = listed.get(name);
      listed.delete(name);
      const isUpload = versionId.startsWith('upload:');
      if (size === undefined && bytesNow !== 0 && (await isLive(catalog, vault, key, versionId))) {
        findings.push(`${contractOf(peak)}: ${key} ${versionId}: ${bytesNow} bytes by the ledger, and the store does not list it`);
      } else if (size === undefined && bytes !== 0) {
        gone.objects++;
        gone.bytes += bytes;
      } else if (size !== undefined && size !== bytesNow && !isUpload && bytesNow !== 0) {
        findings.push(`${contractOf(peak)}: ${key} ${versionId}: ${bytesNow} bytes by the ledger, the store lists ${size}`);
      } else if (size !== undefined && bytesNow === 0) {
        findings.push(`${contractOf(peak)}: ${key} ${versionId}: released by the ledger, and the store lists it`);
      } else if (bytes !== 0) {
        there.objects++;
        there.bytes += bytes;
      }
    }
    for (const [name, size] of listed) {
      const [key = '', versionId = ''] = name.split('\0');
      const known = await knownAs(catalog, vault, key, versionId);
      if (known === 'unsettled') unsettled++;
      else if (known === 'unknown')
        findings.push(`${contractOf(peak)}: ${key} ${versionId}: ${size} bytes in the store, and not in the ledger`);
    }
  }
  const of = peak.why === null ? `of ${peak.peakBytes} bytes at the peak of ${peak.contract} (${peak.at})` : `${peak.contract}:`;
  const open = unsettled === 0 ? '' : `; ${unsettled} under way`;
  const proven: Check = {
    ...named,
    outcome: findings.length === 0 ? 'proven' : 'broken',
    detail: `${of} the store lists ${there.bytes} bytes in ${there.objects} objects, as the ledger says; ${listedObjects} listed in all${open}`,
    findings: findings.slice(0, MOST_FINDINGS),
  };
  const left: string[] = peak.why === null ? [] : [`the peak of the period is not known: ${peak.why}`];
  if (gone.objects > 0) left.push(`${gone.bytes} bytes in ${gone.objects} objects were released since: the chain alone proves them`);
  if (openingBytes !== 0) left.push(`${openingBytes} bytes are an opening balance, whose rows are gone: its anchor alone proves them`);
  return left.length === 0
    ? [proven]
    : [proven, { ...named, outcome: 'unchecked', detail: `${of.replace(/:$/, '')}: ${left.join('; ')}`, findings: [] }];
}

const MOST_FINDINGS = 50;
const contractOf = ({ contract }: PeakToProve): string => contract;

/** It may have been released since the ledger was read. */
async function isLive({ db }: Catalog, vault: Vault, key: string, versionId: string): Promise<boolean> {
  const row = await versionRow(db, { vault: vault.name, key, versionId });
  return row === undefined || row.state === 'stored';
}

/** It may have been stored since the ledger was read, or be on its way. */
async function knownAs({ db }: Catalog, vault: Vault, key: string, versionId: string): Promise<'known' | 'unsettled' | 'unknown'> {
  const rows = await db
    .selectFrom('objects')
    .select(['state', 'versionId'])
    .where('vault', '=', vault.name)
    .where('key', '=', key)
    .execute();
  if (rows.some((row) => row.versionId === versionId && (row.state === 'stored' || row.state === 'tombstone'))) return 'known';
  return rows.some((row) => row.state === 'intent') || versionId.startsWith('upload:') ? 'unsettled' : 'unknown';
}
