// `coffre prune`: what goes and why, what stays and why, what waits for its lock; then does it, unless asked only to say.
import { rm } from 'node:fs/promises';
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { DAEMON_SHOP } from '../backup/prove.ts';
import { indexCopyPath, manifestCopyPath } from '../backup/state-files.ts';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { certifyEnd } from '../retention/certificate.ts';
import { type PruneDeps, type PruneRequest, planShop, pruneShop } from '../retention/prune.ts';
import { failedPrune, type PruneResult, pruneShortfall } from '../retention/result.ts';
import { loadSigningKey } from '../segment/signing-key.ts';
import type { Adapters } from './adapters.ts';
import { action, type CliContext } from './context.ts';
import { formatBytes, formatInstant } from './output.ts';
import { knownShop, undeclaredShops } from './shop.ts';

interface PruneOptions {
  readonly dryRun?: boolean;
}

/** What belongs to no shop (probe objects) has no window: it goes as soon as its lock has ended. */
const DAEMON_RETENTION_MS = 24 * 3600_000;

export function registerPrune(program: Command, context: CliContext): void {
  program
    .command('prune')
    .description('remove what is past its window, and say why everything else stays')
    .argument('[shop]', 'only this shop')
    .option('--dry-run', 'only say what would go, stay and wait')
    .addHelpText('after', '\nExample:\n  coffre prune --dry-run\n  coffre --json prune dupont\n')
    .action(
      action(context, async (invocation, shopName: string | undefined, options: PruneOptions) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        if (shopName !== undefined) await knownShop(config, catalog, shopName);
        const results: PruneResult[] = [];
        const names = shopName === undefined ? await prunedShops(config, catalog) : [shopName];
        const targets = names.map((name) => pruneTarget(config, name));
        for (const target of targets) {
          invocation.signal.throwIfAborted();
          if (options.dryRun) results.push(await planShop(catalog, context.clock, target));
          else {
            // One shop that is busy, or whose prune fails, does not cost the others theirs.
            const pruned = pruneAndCertify(config, catalog, context, { ...target, who: 'cli', signal: invocation.signal });
            results.push(await pruned.catch((error: unknown) => failedPrune(target.shop, asCoffreError(error))));
          }
        }
        const failure = pruneFailure(results);
        return {
          document: { results },
          text: results.map((result) => describe(result, config.timezone)).join('\n'),
          ...(failure ? { failure } : {}),
        };
      }),
    );
}

/** Whatever may hold something: declared shops, those that are declared no more, and the daemon itself. */
export async function prunedShops(config: Config, catalog: Catalog): Promise<readonly string[]> {
  return [...config.shops.keys(), ...(await undeclaredShops(config, catalog)), DAEMON_SHOP];
}

/** Prunes, and says so in a signed certificate once nothing is left of a shop that has ended. */
export async function pruneAndCertify(
  config: Config,
  catalog: Catalog,
  context: Pick<CliContext, 'clock' | 'adapters'>,
  request: PruneRequest,
): Promise<PruneResult> {
  const { clock, adapters } = context;
  const result = await pruneShop(pruneDeps(config, catalog, clock, adapters), request);
  await certifyEnd(catalog, clock, request.shop, () => loadSigningKey(config.signing.keyFile));
  return result;
}

/** What a prune of this shop (or of DAEMON_SHOP) looks at. */
export function pruneTarget(config: Config, name: string): Omit<PruneRequest, 'who' | 'signal'> {
  const shop = config.shops.get(name);
  return {
    shop: name,
    vaults: shop?.vaults ?? [...config.vaults.keys()],
    retentionMs: shop?.plan.retentionMs ?? DAEMON_RETENTION_MS,
    ceilingMs: config.limits.lockCeilingMs,
    clockSkewMs: config.limits.clockSkewMs,
  };
}

/** What a prune needs. */
export function pruneDeps(config: Config, catalog: Catalog, clock: Clock, adapters: Pick<Adapters, 'openVault'>): PruneDeps {
  return {
    catalog,
    clock,
    openVault: async (name) => {
      const vault = config.vaults.get(name);
      if (!vault) {
        throw new CoffreError('E_UNKNOWN_VAULT', `vault ${name} still holds objects and is not in ${config.file}`, {
          hint: 'declare it again until it is empty',
        });
      }
      return await adapters.openVault(vault);
    },
    forgetSnapshot: async (shop, snapshot) => {
      await rm(indexCopyPath(config.stateDir, shop, snapshot), { force: true });
      for (const vault of config.vaults.keys()) await rm(manifestCopyPath(config.stateDir, shop, snapshot, vault), { force: true });
    },
  };
}

/** The first trouble of any shop. */
export function pruneFailure(results: readonly PruneResult[]): CoffreError | null {
  return results.map(pruneShortfall).find((failure) => failure !== null) ?? null;
}

function describe(result: PruneResult, timezone: string): string {
  const when = (instant: string): string => formatInstant(Temporal.Instant.from(instant), timezone);
  const verb = result.dryRun ? 'would go' : 'gone';
  const lines = [`${result.shop}: ${formatBytes(result.releasedBytes)} ${result.dryRun ? 'would be released' : 'released'}`];
  for (const { snapshot, vault, reason } of result.removed) lines.push(`  ${verb}   ${snapshot} in ${vault}: ${reason}`);
  for (const { snapshot, reason, until } of result.kept)
    lines.push(`  stays  ${snapshot}: ${reason}${until === null ? '' : ` (until ${when(until)})`}`);
  for (const { key, vault, until, objects, bytes } of result.waiting) {
    lines.push(
      `  waits  ${vault}: ${key} (${objects} ${objects === 1 ? 'object' : 'objects'}, ${formatBytes(bytes)}) is locked until ${when(until)}`,
    );
  }
  for (const { snapshot, vault, until, objects } of result.extended)
    lines.push(`  locked ${snapshot} in ${vault}: ${objects} locks moved to ${when(until)}`);
  for (const finding of result.foreign) lines.push(`  RED    ${finding.vault}: ${finding.key}: ${finding.what}`);
  for (const { message, code } of result.errors) lines.push(`  RED    ${message} [${code}]`);
  return lines.join('\n');
}
