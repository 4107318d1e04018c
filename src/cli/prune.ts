// `coffre prune`: what goes and why, what stays and why, what waits for its lock; then does it, unless asked only to say.

import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { pruneAndCertify, pruneTarget } from '../backup/upkeep-deps.ts';
import { undeclaredShops } from '../catalog/live-objects.ts';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import type { Config } from '../config/config.ts';
import { asCoffreError, type CoffreError } from '../errors.ts';
import { planShop } from '../retention/prune.ts';
import { failedPrune, type PruneResult, pruneShortfall } from '../retention/result.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { action, type CliContext, type Invocation } from './context.ts';
import type { DaemonClient } from './daemon/client.ts';
import { operatorName } from './operator.ts';
import { formatBytes, formatInstant } from './output.ts';
import { knownShop } from './shop.ts';

interface PruneOptions {
  readonly dryRun?: boolean;
}

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
        // what would go is read from the catalog, whoever else writes into it
        const daemon = options.dryRun ? null : await invocation.daemon();
        const names = await prunedNames(config, shopName);
        const results = await (daemon
          ? pruneByDaemon(daemon, context, invocation, names)
          : pruneAlone(context, invocation, names, options.dryRun === true));
        const failure = pruneFailure(results);
        return {
          document: { results },
          text: results.map((result) => describe(result, config.timezone)).join('\n'),
          ...(failure ? { failure } : {}),
        };
      }),
    );
}

async function pruneAlone(context: CliContext, invocation: Invocation, names: readonly string[], dryRun: boolean): Promise<PruneResult[]> {
  const config = invocation.config();
  const { signal } = invocation;
  const { adapters, clock, io } = context;
  await using catalog = await openCatalog(config.stateDir);
  const results: PruneResult[] = [];
  for (const target of names.map((name) => pruneTarget(config, name))) {
    signal.throwIfAborted();
    if (dryRun) {
      results.push(await planShop(catalog, clock, target));
      continue;
    }
    // One shop that is busy, or whose prune fails, does not cost the others theirs.
    const pruned = pruneAndCertify(config, catalog, clock, adapters, { ...target, who: operatorName(io), signal });
    results.push(await pruned.catch((error: unknown) => failedPrune(target.shop, asCoffreError(error))));
  }
  return results;
}

/** The same results as alone. Throws E_DAEMON_…, E_DETACHED. */
export async function pruneByDaemon(
  daemon: DaemonClient,
  { clock }: CliContext,
  invocation: Invocation,
  names: readonly string[],
): Promise<PruneResult[]> {
  const tasks = names.map((shop) => ({ kind: 'prune', shop }) as const);
  const { failureOf, perform } = await import('./daemon/runs.ts');
  return (await perform(daemon, invocation, clock, tasks)).map((one) =>
    one.detail === null ? failedPrune(one.task.shop, failureOf(one)) : (one.detail as PruneResult),
  );
}

/** The shop named, or whatever may hold something: the catalog is asked only for what is not declared. Throws E_UNKNOWN_SHOP. */
export async function prunedNames(config: Config, name: string | undefined): Promise<readonly string[]> {
  if (name !== undefined && config.shops.has(name)) return [name];
  await using catalog = await openCatalog(config.stateDir);
  if (name === undefined) return await prunedShops(config, catalog);
  await knownShop(config, catalog, name);
  return [name];
}

/** Whatever may hold something: declared shops, those that are declared no more, and the daemon itself. */
async function prunedShops(config: Config, catalog: Catalog): Promise<readonly string[]> {
  return [...config.shops.keys(), ...(await undeclaredShops(config, catalog)), DAEMON_SHOP];
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
