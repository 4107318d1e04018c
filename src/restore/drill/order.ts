// A drill from its order to its evidence: which vault's turn it is, which snapshots, who is asked to do it, what is signed and kept.
import type { KeyObject } from 'node:crypto';
import { Temporal } from 'temporal-polyfill';
import { type DrillRow, lastDrills, recordDrill } from '../../catalog/drills.ts';
import type { Catalog } from '../../catalog/open.ts';
import { type RatePhase, rateHost, recordRates } from '../../catalog/rates.ts';
import { finishRun, startRun } from '../../catalog/runs.ts';
import { getSnapshot, listSnapshots, type SnapshotWithCopies } from '../../catalog/snapshots.ts';
import type { Clock } from '../../clock.ts';
import { type Config, DRILL_DEFAULTS, type ShopConfig } from '../../config/config.ts';
import { asCoffreError, CoffreError, type ErrorCode } from '../../errors.ts';
import type { SourceKind } from '../../source/source.ts';
import { chooseSnapshot, demandSource } from '../choose.ts';
import type { DamagedCopy } from '../damaged-copy.ts';
import type { RestoreProgress } from '../progress.ts';
import { pinSnapshot, recordDamage } from '../restore-run.ts';
import type { DrillRequest } from '../unit-protocol.ts';
import { type DrillFacts, type Evidence, evidenceText, makeEvidence, type SignedEvidence, signEvidence } from './evidence.ts';
import { DrillVerdict } from './verdict.ts';

export interface DrillEvents {
  readonly signal: AbortSignal;
  readonly onStep: (step: string) => void;
  readonly onProgress: (progress: RestoreProgress) => void;
}

export interface DrillDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Of this coffre. */
  readonly version: string;
  /** Has the restore unit do it. Throws what the unit says, E_RESTORE_UNIT. */
  readonly ask: (request: DrillRequest, hear: DrillEvents & { readonly onDamaged: (problem: DamagedCopy) => void }) => Promise<DrillFacts>;
  /** The agency's signing key. Throws E_KEY, E_SECRET_MODE. */
  readonly loadKey: () => Promise<KeyObject>;
  readonly signedBy: Evidence['signedBy'];
}

export interface DrillWish extends DrillEvents {
  readonly shop: ShopConfig;
  readonly runId: string;
  readonly who: string;
  /** The vault to read; null: the next one in turn. */
  readonly from: string | null;
  /** Null: database and files, as far as the shop has them. */
  readonly sources: readonly SourceKind[] | null;
  /** This one and nothing else, of the one source where that is named too; null: the newest of each source that a restore from this vault would take. */
  readonly snapshot: string | null;
}

/**
 * Keeps the run, and the evidence of whatever the drill found. `failure`: why it was not passed. Throws what kept it from being a drill: the
 * unit, its scratch space, nothing to drill, a signal.
 */
export async function drillShop(
  deps: DrillDeps,
  wish: DrillWish,
): Promise<{ readonly signed: SignedEvidence; readonly failure: DrillVerdict | null }> {
  const { ask, catalog, clock, config, loadKey, signedBy, version } = deps;
  const { runId, shop, signal, who } = wish;
  const damaged: DamagedCopy[] = [];
  await startRun(catalog, clock, { id: runId, kind: 'drill', shop: shop.name, source: null, who });
  try {
    // before hours of work: what is not signed is no evidence
    const key = await loadKey();
    const vault = vaultInTurn(config, shop, wish.from, await lastDrills(catalog.db, shop.name));
    const snapshots = await chosenSnapshots(catalog, config, wish, vault);
    for (const { id } of snapshots) await pinSnapshot(catalog, runId, id);
    const request: DrillRequest = {
      ...{ kind: 'drill', request: runId, shop: shop.name, from: vault },
      snapshots: snapshots.map(({ id }) => id),
    };
    const facts = await ask(request, { ...wish, onDamaged: (problem) => damaged.push(problem) });
    signal.throwIfAborted();
    const evidence = makeEvidence(facts, { id: runId, shop: shop.name, plan: shop.plan.name, askedBy: who, signedBy, version });
    const signed = signEvidence(evidence, key);
    const failure = failureOf(evidence);
    const { outcome, restoreMs, rto } = evidence;
    await recordDrill(catalog, {
      ...{ drill: runId, shop: shop.name, vault, outcome, restoreMs, targetMs: rto.targetMs },
      startedAt: Temporal.Instant.from(facts.startedAt).epochMilliseconds,
      endedAt: Temporal.Instant.from(facts.endedAt).epochMilliseconds,
      ...{ code: failure?.code ?? null, said: failure?.message ?? null },
      snapshots: request.snapshots,
      document: evidenceText(signed),
    });
    // killed here, the evidence is kept, and the run is called interrupted
    await keepRates(deps, wish, facts);
    const detail = { drill: runId, vault, outcome, codes: evidence.codes, snapshots: request.snapshots, restoreMs, totalMs: facts.totalMs };
    await finishRun(catalog, clock, runId, failure ? 'failed' : 'done', failure, detail);
    return { signed, failure };
  } catch (error) {
    const failure = asCoffreError(error);
    // another drill is under way: nothing is wrong, and it is not over
    const busy = failure.code === 'E_BUSY';
    await finishRun(catalog, clock, runId, 'failed', busy ? new CoffreError('E_INTERRUPTED', failure.message) : failure).catch(() => {});
    if (busy && signedBy === 'daemon') await backToQueue(catalog, runId);
    throw failure;
  } finally {
    for (const problem of damaged) await recordDamage(catalog, clock, problem).catch(() => {});
  }
}

/** As the daemon left it before the run began: it tries again, under the same id. */
async function backToQueue(catalog: Catalog, runId: string): Promise<void> {
  await catalog.transaction((tx) =>
    tx
      .updateTable('runs')
      .set({ state: 'queued', endedAt: null, errorCode: null, errorMessage: null, errorHint: null })
      .where('id', '=', runId)
      .execute(),
  );
}

/** The vault that was drilled longest ago, of those that the plan names. Pure. Throws E_UNKNOWN_VAULT, E_CONFIG. */
export function vaultInTurn(
  config: Pick<Config, 'vaults' | 'file'>,
  shop: ShopConfig,
  from: string | null,
  last: readonly Pick<DrillRow, 'id' | 'vault'>[],
): string {
  if (from !== null) {
    if (shop.vaults.includes(from) && config.vaults.has(from)) return from;
    throw new CoffreError('E_UNKNOWN_VAULT', `shop ${shop.name} has no vault ${JSON.stringify(from)}`, {
      hint: `its vaults: ${shop.vaults.join(', ')}`,
    });
  }
  const { vaults } = shop.plan.drill ?? DRILL_DEFAULTS;
  const candidates = shop.vaults.filter((vault) => config.vaults.has(vault) && (vaults === null || vaults.includes(vault)));
  const lastOf = (vault: string): number => last.find((row) => row.vault === vault)?.id ?? 0;
  const [first, ...rest] = candidates;
  if (first === undefined) {
    throw new CoffreError('E_CONFIG', `shop ${shop.name} has none of the vaults that its plan ${shop.plan.name} drills`, {
      hint: `plans: ${shop.plan.name}: drill: vaults in ${config.file}; or coffre drill ${shop.name} --from VAULT`,
    });
  }
  return rest.reduce((a, b) => (lastOf(b) < lastOf(a) ? b : a), first);
}

/** Throws E_UNKNOWN_SNAPSHOT. */
async function chosenSnapshots(
  catalog: Catalog,
  config: Config,
  { shop, snapshot, sources }: DrillWish,
  vault: string,
): Promise<readonly SnapshotWithCopies[]> {
  if (snapshot !== null) {
    const one = await getSnapshot(catalog, snapshot);
    if (one.shop === shop.name) demandSource(one, sources?.[0]);
    if (one.shop === shop.name && one.copies.some((copy) => copy.vault === vault)) return [one];
    const others = one.shop === shop.name ? one.copies.map((copy) => copy.vault) : [];
    throw new CoffreError('E_UNKNOWN_SNAPSHOT', `shop ${shop.name} has no snapshot ${snapshot} in ${vault}`, {
      hint:
        others.length > 0 ? `it is in ${others.join(', ')}: --from names one` : `coffre snapshots ${shop.name} lists those that there are`,
    });
  }
  const snapshots = await listSnapshots(catalog, shop.name);
  const tell = (instant: Temporal.Instant): string => instant.toZonedDateTimeISO(config.timezone).toString();
  return (sources ?? drilledSources(shop)).map((source) => {
    const elsewhere = vaultsOf(snapshots, source);
    if (elsewhere.includes(vault)) return chooseSnapshot(snapshots, { shop: shop.name, source, at: null, from: vault, tell });
    throw nothingThere(shop.name, source, vault, elsewhere);
  });
}

/** Those that hold any snapshot of the source. */
const vaultsOf = (snapshots: readonly SnapshotWithCopies[], source: SourceKind): readonly string[] => [
  ...new Set(snapshots.flatMap((one) => (one.source === source ? one.copies.map((copy) => copy.vault) : []))),
];

/** A vault that a shop was given lately has nothing of it until a catch-up has brought it there. Pure. */
export function nothingThere(shop: string, source: SourceKind, vault: string, elsewhere: readonly string[]): CoffreError {
  return new CoffreError('E_UNKNOWN_SNAPSHOT', `${shop}: no snapshot of ${source} in ${vault} yet`, {
    hint:
      elsewhere.length === 0
        ? `coffre backup ${shop} --source ${source} takes one`
        : `coffre catch-up ${shop} copies there what ${elsewhere.join(' and ')} ${elsewhere.length === 1 ? 'has' : 'have'} (the daemon does when it can); until then: coffre drill ${shop} --from ${elsewhere[0]}`,
  });
}

/** A whole machine is restored when it is asked for by name. */
export const drilledSources = (shop: ShopConfig): readonly SourceKind[] =>
  (['database', 'files'] as const).filter((source) => shop[source] !== null);

function failureOf({ checks, from, shop }: Evidence): DrillVerdict | null {
  const failed = checks.filter(({ ok }) => ok === false);
  const [first] = failed;
  if (!first) return null;
  const more = failed.length > 1 ? ` (and ${failed.length - 1} more)` : '';
  const what = first.source === null ? '' : `${first.source}: `;
  return new DrillVerdict((first.code ?? 'E_RED') as ErrorCode, `drill of ${shop} from ${from.name}: ${what}${first.detail}${more}`);
}

/** What was measured is for the estimate; of what did not come to an end nothing can be predicted. */
async function keepRates({ catalog, clock }: DrillDeps, { runId, shop }: DrillWish, { phases, sources }: DrillFacts): Promise<void> {
  for (const { source, restored } of sources) {
    if (restored === null) continue;
    const own = phases.flatMap(({ source: of, phase, ...figures }) => (of === source ? [{ phase: phase as RatePhase, ...figures }] : []));
    const host = rateHost({ type: 'local' });
    await recordRates(catalog, clock, { host, shop: shop.name, source, kind: 'drill', runId, beside: false }, own);
  }
}
