// The lock probe with its records: every byte it stores is in the ledger, its result in the catalog. Used before first use, and by doctor.
import { Temporal } from 'temporal-polyfill';
import type { Ledger } from '../billing/ledger.ts';
import type { Catalog } from '../catalog/open.ts';
import { lastProbe, pendingProbeObjects, recordProbe } from '../catalog/probes.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { vaultPlace } from '../config/vault-place.ts';
import { CoffreError, type ErrorCode } from '../errors.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { probeCredentials, probeVault } from '../vault/probe.ts';
import type { PendingProbeObject, ProbeRecorder, ProbeResult } from '../vault/probe-report.ts';
import type { CredentialRights } from '../vault/probe-rights.ts';
import type { Vault } from '../vault/vault.ts';

/** A proof is used this long: the probe runs daily, and a run a little later than that must not wait for one. */
const PROOF_VALID_MS = 26 * 3600_000;

interface ProveDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
}

/** Probes `vault` now (with the credential it was opened with deleting), settles what earlier probes left, and keeps the result. */
export async function proveVault(
  deps: ProveDeps,
  ledger: Ledger,
  vault: Vault,
  signal: AbortSignal,
  waitForExpiry = false,
): Promise<ProbeResult> {
  const { catalog, clock, config } = deps;
  const place = placeOf(config, vault);
  await ledger.resolveIntents(vault, DAEMON_SHOP);
  const rows = new Map<string, number>();
  const pending: PendingProbeObject[] = [];
  for (const row of await pendingProbeObjects(catalog, vault.name)) {
    if (row.versionId === null) continue;
    rows.set(`${row.key}\0${row.versionId}`, row.id);
    pending.push({
      key: row.key,
      versionId: row.versionId,
      sizeBytes: row.sizeBytes,
      lockedUntil: row.retainUntil === null ? null : Temporal.Instant.fromEpochMilliseconds(row.retainUntil),
    });
  }
  const result = await probeVault(vault, clock, {
    pending,
    skewLimitMs: config.limits.clockSkewMs,
    waitForExpiry,
    signal,
    recorder: recorderOf(ledger, vault, rows),
  });
  await recordProbe(catalog, clock, { name: vault.name, place }, result.outcome, result.steps);
  return result;
}

/** Tries what each credential of the vault can really do, every byte in the ledger. Call it before proveVault, which settles what it leaves. */
export async function tryCredentials(
  { config, clock }: Pick<ProveDeps, 'config' | 'clock'>,
  ledger: Ledger,
  vault: Vault,
  signal: AbortSignal,
): Promise<readonly CredentialRights[]> {
  const skewLimitMs = config.limits.clockSkewMs;
  return await probeCredentials(vault, clock, { skewLimitMs, signal, recorder: recorderOf(ledger, vault, new Map()) });
}

/** `rows`: what earlier probes left, by key and version id. */
function recorderOf(ledger: Ledger, vault: Vault, rows: Map<string, number>): ProbeRecorder {
  const intents = new Map<string, number>();
  return {
    async intent(key, expectedBytes) {
      const intent = { vault: vault.name, shop: DAEMON_SHOP, key, kind: 'probe', refId: null, runId: null, expectedBytes } as const;
      intents.set(key, await ledger.intent(intent));
    },
    async stored(object) {
      const id = intents.get(object.key);
      if (id === undefined) throw new CoffreError('E_INTERNAL', `the probe stored ${object.key} without an intent`);
      await ledger.stored(id, object, null);
      rows.set(`${object.key}\0${object.versionId}`, id);
    },
    async released(key, versionId) {
      const id = rows.get(`${key}\0${versionId}`);
      if (id !== undefined) await ledger.released(id, 'probe');
    },
  };
}

function placeOf(config: Config, vault: Vault): string {
  const declared = config.vaults.get(vault.name);
  if (!declared) throw new CoffreError('E_UNKNOWN_VAULT', `no vault ${JSON.stringify(vault.name)} in ${config.file}`);
  return vaultPlace(declared);
}

/** Uses the last proof of the vault's place when it is young enough, else probes. Throws the code that says why the vault may not be trusted. */
export async function requireProven(deps: ProveDeps, ledger: Ledger, vault: Vault, signal: AbortSignal): Promise<void> {
  const last = await lastProbe(deps.catalog, placeOf(deps.config, vault));
  const ageMs = last === null ? Number.POSITIVE_INFINITY : deps.clock.nowMs() - last.at;
  // a proof from the future (the clock was set back) is none
  if (last?.outcome === 'proven' && ageMs >= 0 && ageMs <= PROOF_VALID_MS) return;
  const result = await proveVault(deps, ledger, vault, signal);
  if (result.outcome === 'proven') return;
  throw unproven(vault.name, result.code ?? 'E_LOCK_UNPROVEN', result.steps);
}

/** The error for a vault that a probe did not prove, with the steps that say why. */
export function unproven(vault: string, code: ErrorCode, steps: ProbeResult['steps']): CoffreError {
  // the first one says why; what could not be tried after it says nothing more
  const reason = steps.find((step) => step.outcome === 'failed') ?? steps.find((step) => step.outcome === 'skipped');
  const said = reason === undefined ? 'no step was made' : `${reason.name}: ${reason.detail.replace(/^E_[A-Z_]+: /, '')}`;
  return new CoffreError(code, `${vault}: the lock probe did not pass: ${said}`);
}
