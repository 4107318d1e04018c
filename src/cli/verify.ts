// `coffre verify`: asks the vaults, and with --read-data reads, whether what was stored is what is there. Runs in the restore unit.
import type { Command } from 'commander';
import { catchUpShop } from '../backup/catch-up.ts';
import { type CatchUpResult, failedCatchUp } from '../backup/catch-up-result.ts';
import { MemoryBudget } from '../backup/memory.ts';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import { finishRun, startRun } from '../catalog/runs.ts';
import { listSnapshots } from '../catalog/snapshots.ts';
import type { ShopConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import type { Identities } from '../restore/fetch.ts';
import { sealedIdentity, shopIdentities, trustedKeys } from '../restore/keys.ts';
import { chooseReading, listShop, type VerifiedCopy, type VerifyDeps, verifyCopy } from '../restore/verify.ts';
import { verifyIdentity } from '../restore/verify-identity.ts';
import { newId } from '../segment/id.ts';
import { checkSkew } from '../vault/clock-skew.ts';
import type { RestoreAdapters } from './adapters.ts';
import { catchUpByDaemon } from './catch-up.ts';
import { type CliContext, type Invocation, unitAction } from './context.ts';
import { operatorName } from './operator.ts';
import { formatBytes, table } from './output.ts';
import { chosenShops } from './shop.ts';

interface VerifyOptions {
  readonly readData?: string | true;
  readonly repair?: boolean;
}

interface VerifiedSnapshot {
  readonly id: string;
  readonly source: string;
  readonly vaults: readonly VerifiedCopy[];
}

const HELP = `
What is found is always reported, and the exit status is not 0 then, mended or not. What is altered or missing is an
incident at once, and its case opens (coffre breach list). Mending takes the object from another vault whose copy has
the right hash. Where versions are kept the damaged one stays, as evidence, until its lock ends; in a folder it is
replaced. The manifests of that vault which name it are written anew.
--read-data=PERCENT takes what was not read for longest first, so that repeated it comes to everything; the daemon reads
a part daily by itself (verify.readWithin of the configuration).

Example:
  coffre verify dupont --read-data=10
  coffre verify dupont --read-data --repair
`;

interface ShopResult {
  readonly shop: string;
  readonly snapshots: readonly VerifiedSnapshot[];
  readonly errors: readonly { readonly vault: string; readonly code: string; readonly message: string }[];
  /** With --repair: what was stored anew, and what could not be. */
  readonly repaired?: CatchUpResult;
}

export function registerVerify(program: Command, context: CliContext): void {
  program
    .command('verify')
    .description('check existence, versions, locks and signatures of what is stored; with --read-data its bytes')
    .argument('[shop]', 'only this shop')
    .option('--read-data [percent]', 'read and hash this share of the bytes, what was not read for longest first (without a number: all)')
    .option('--repair', 'store anew, from another vault, what is missing or altered (as coffre catch-up, and the daemon by itself, do)')
    .addHelpText('after', HELP)
    .action(
      unitAction(context, async (invocation, adapters, shopName: string | undefined, options: VerifyOptions) => {
        const config = invocation.config();
        const percent = parsePercent(options.readData);
        const shops = chosenShops(config, shopName);
        const trusted = await trustedKeys(config);
        await using catalog = await openCatalog(config.stateDir);
        const bar = invocation.progress('verify');
        const results: ShopResult[] = [];
        for (const shop of shops) {
          const runId = newId(context.clock);
          await startRun(catalog, context.clock, {
            id: runId,
            kind: 'verify',
            shop: shop.name,
            source: null,
            who: operatorName(context.io),
          });
          const snapshots = new Map<string, { id: string; source: string; vaults: VerifiedCopy[] }>();
          const errors: { vault: string; code: string; message: string }[] = [];
          let identities: Identities | null;
          let sealed: Awaited<ReturnType<typeof sealedIdentity>> = null;
          try {
            sealed = await sealedIdentity(config, shop.name);
            identities = await shopIdentities(config, shop.name);
          } catch (error) {
            // Without the identity signatures stay unchecked: unknown is red.
            const failure = asCoffreError(error);
            identities = null;
            errors.push({ vault: '', code: failure.code, message: failure.message });
          }
          for (const name of shop.vaults) {
            const vaultConfig = config.vaults.get(name);
            if (!vaultConfig) throw new CoffreError('E_UNKNOWN_VAULT', `no vault ${name}`);
            const reading = await chooseReading(catalog, name, shop.name, percent);
            const deps: VerifyDeps = {
              catalog,
              clock: context.clock,
              identities,
              trusted,
              signal: invocation.signal,
              onProgress: (doneBytes, current) => {
                bar.title(`verify ${shop.name} ${name}`);
                bar.update({ doneBytes, totalBytes: null, current });
              },
            };
            try {
              const vault = await adapters.openVault(vaultConfig);
              try {
                // whether a lock lasts is judged by our clock
                await checkSkew(vault, context.clock, config.limits.clockSkewMs);
                if (sealed !== null) {
                  await verifyIdentity(catalog, vault, { ...sealed, shop: shop.name, signal: invocation.signal }).catch(
                    (error: unknown) => {
                      invocation.signal.throwIfAborted();
                      const failure = asCoffreError(error);
                      errors.push({ vault: name, code: failure.code, message: failure.message });
                    },
                  );
                }
                const listing = await listShop(vault, shop.name);
                for (const snapshot of await listSnapshots(catalog, shop.name)) {
                  const entry = snapshots.get(snapshot.id) ?? { id: snapshot.id, source: snapshot.source, vaults: [] };
                  snapshots.set(snapshot.id, entry);
                  if (!snapshot.copies.some((copy) => copy.vault === name)) continue;
                  entry.vaults.push(await verifyCopy(deps, vault, snapshot, listing, reading));
                }
              } finally {
                await vault.close().catch(() => {});
              }
            } catch (error) {
              invocation.signal.throwIfAborted();
              const failure = asCoffreError(error);
              errors.push({ vault: name, code: failure.code, message: failure.message });
            }
          }
          const result = { shop: shop.name, snapshots: [...snapshots.values()], errors };
          const failure = failureOf([result]);
          await finishRun(catalog, context.clock, runId, failure ? 'failed' : 'done', failure, result);
          results.push(options.repair ? { ...result, repaired: await repair(context, invocation, adapters, catalog, shop) } : result);
        }
        const failure = failureOf(results);
        return {
          document: { ok: failure === null, readPercent: percent, shops: results },
          text: describe(results),
          ...(failure ? { failure } : {}),
        };
      }),
    );
}

/** Never throws but for the signal: what could not be mended is in the result. */
async function repair(
  context: CliContext,
  invocation: Invocation,
  adapters: Pick<RestoreAdapters, 'openVault'>,
  catalog: Catalog,
  shop: ShopConfig,
): Promise<CatchUpResult> {
  const config = invocation.config();
  const { clock } = context;
  const daemon = await invocation.daemon({ asIAm: true });
  if (daemon) {
    const [repaired] = await catchUpByDaemon(daemon, context, invocation, [shop]);
    if (repaired) return repaired;
  }
  const memory = MemoryBudget.forProcess(config.limits.memoryBytes, 1);
  const deps = { config, catalog, clock, openVault: adapters.openVault, log: invocation.log, memory };
  try {
    return await catchUpShop(deps, { shop, signal: invocation.signal });
  } catch (error) {
    invocation.signal.throwIfAborted();
    return failedCatchUp(shop.name, asCoffreError(error));
  }
}

function parsePercent(value: string | true | undefined): number {
  if (value === undefined) return 0;
  if (value === true) return 100;
  const percent = Number(value.replace(/%$/, ''));
  if (!(percent > 0 && percent <= 100))
    throw new CoffreError('E_USAGE', `--read-data takes a percentage above 0 and up to 100, not ${value}`);
  return percent;
}

function failureOf(results: readonly ShopResult[]): CoffreError | null {
  for (const result of results) {
    for (const snapshot of result.snapshots) {
      const bad = snapshot.vaults.flatMap((copy) => copy.errors);
      const [first] = bad;
      if (first) {
        const more = bad.length > 1 ? `, and ${bad.length - 1} more` : '';
        return new CoffreError(
          first.code as 'E_OBJECT_ALTERED',
          `${result.shop} ${snapshot.source} ${snapshot.id}: ${first.message}${more}`,
        );
      }
    }
    const [error] = result.errors;
    if (error) return new CoffreError(error.code as 'E_VAULT_UNREACHABLE', `${result.shop}: ${error.message}`);
    if (result.snapshots.length === 0) return new CoffreError('E_RED', `${result.shop}: there is no snapshot to verify`);
  }
  return null;
}

function describe(results: readonly ShopResult[]): string {
  const rows: string[][] = [];
  const lines: string[] = [];
  for (const { shop, snapshots, errors, repaired } of results) {
    for (const snapshot of snapshots) {
      for (const copy of snapshot.vaults) {
        rows.push([
          shop,
          snapshot.source,
          snapshot.id,
          copy.vault,
          copy.ok ? 'ok' : 'RED',
          String(copy.objects),
          formatBytes(copy.readBytes),
          copy.checked.join(', '),
        ]);
        for (const error of copy.errors) lines.push(`red: ${error.message} [${error.code}]`);
      }
    }
    for (const error of errors) lines.push(`red: ${shop}: ${error.message} [${error.code}]`);
    for (const { snapshot, vault, objects } of repaired?.copied ?? [])
      lines.push(`mended: ${snapshot} in ${vault}: ${objects} objects stored anew`);
    for (const { snapshot, vault, message, code } of repaired?.left ?? [])
      lines.push(`not mended: ${snapshot} in ${vault}: ${message} [${code}]`);
  }
  const titles = ['shop', 'source', 'snapshot', 'vault', 'result', 'objects', 'read', 'checked'];
  return [
    table(
      titles.map((title) => ({ title })),
      rows,
      'no snapshots to verify',
    ),
    ...lines,
  ].join('\n');
}
