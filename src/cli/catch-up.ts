// `coffre catch-up`: brings snapshots into the vaults that lack them, from the vaults that have them.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { type CatchUpDeps, catchUpShop } from '../backup/catch-up.ts';
import { type CatchUpResult, catchUpShortfall, failedCatchUp, previewCatchUp } from '../backup/catch-up-result.ts';
import { prepareNewVaults } from '../backup/first-use.ts';
import { MemoryBudget } from '../backup/memory.ts';
import { openCatalog } from '../catalog/open.ts';
import type { ShopConfig } from '../config/config.ts';
import { asCoffreError } from '../errors.ts';
import { action, type CliContext, type Invocation } from './context.ts';
import type { DaemonClient } from './daemon/client.ts';
import { formatBytes, formatInstant } from './output.ts';
import { chosenShops } from './shop.ts';

interface CatchUpOptions {
  readonly dryRun?: boolean;
}

const HELP = `
A vault that was down during a backup lacks that snapshot: it is degraded, and status is red, until it was copied
there. So is every older snapshot in its window when a shop gets a further vault in the configuration: its history
is copied. Also a stored object that verify or prune found missing or altered is stored anew in that vault.
Everything is read from the other vaults (nearest first, the next one when a copy is damaged), checked against its
hash on the way, and locked as the snapshot promised. Snapshots past their window are left to prune. The daemon does
this by itself; stopped in the middle, it goes on where it was. Backups of the shop wait until it has ended.

Example:
  coffre catch-up --dry-run
  coffre --json catch-up dupont
`;

export function registerCatchUp(program: Command, context: CliContext): void {
  program
    .command('catch-up')
    .description('copy snapshots into the vaults that lack them, and store anew what was found damaged')
    .argument('[shop]', 'only this shop')
    .option('--dry-run', 'only say what would be copied')
    .addHelpText('after', HELP)
    .action(
      action(context, async (invocation, shopName: string | undefined, options: CatchUpOptions) => {
        const config = invocation.config();
        const shops = chosenShops(config, shopName);
        // what would be copied is read from the catalog, whoever else writes into it
        const daemon = options.dryRun ? null : await invocation.daemon();
        const results = await (daemon
          ? catchUpByDaemon(daemon, context, invocation, shops)
          : catchUpAlone(context, invocation, shops, options.dryRun === true));
        const failure = results.map(catchUpShortfall).find((candidate) => candidate !== null) ?? null;
        return {
          document: { ok: failure === null, results },
          text: results.map((result) => describe(result, config.timezone)).join('\n'),
          ...(failure ? { failure } : {}),
        };
      }),
    );
}

async function catchUpAlone(
  { adapters, clock }: CliContext,
  invocation: Invocation,
  shops: readonly ShopConfig[],
  dryRun: boolean,
): Promise<CatchUpResult[]> {
  const config = invocation.config();
  await using catalog = await openCatalog(config.stateDir);
  const bar = invocation.progress('catch-up');
  const deps: CatchUpDeps = {
    config,
    catalog,
    clock,
    openVault: adapters.openVault,
    log: invocation.log,
    memory: MemoryBudget.forProcess(config.limits.memoryBytes, 1),
    onProgress: ({ shop, vault, snapshot, doneBytes, totalBytes }) => {
      bar.title(`${shop} to ${vault}`);
      bar.update({ doneBytes, totalBytes, current: snapshot });
    },
  };
  const results: CatchUpResult[] = [];
  for (const shop of shops) {
    invocation.signal.throwIfAborted();
    if (dryRun) {
      results.push(await previewCatchUp(catalog, clock, config, shop));
      continue;
    }
    await prepareNewVaults(adapters, config, catalog, shop.vaults);
    try {
      results.push(await catchUpShop(deps, { shop, signal: invocation.signal }));
    } catch (error) {
      // One shop that is busy does not cost the others theirs.
      invocation.signal.throwIfAborted();
      results.push(failedCatchUp(shop.name, asCoffreError(error)));
    }
  }
  return results;
}

/** The same results as alone. Throws E_DAEMON_…, E_DETACHED. */
export async function catchUpByDaemon(
  daemon: DaemonClient,
  { clock }: CliContext,
  invocation: Invocation,
  shops: readonly ShopConfig[],
): Promise<CatchUpResult[]> {
  const tasks = shops.map(({ name }) => ({ kind: 'catch-up', shop: name }) as const);
  const { perform } = await import('./daemon/runs.ts');
  const results: CatchUpResult[] = [];
  for (const { task, detail, error } of await perform(daemon, invocation, clock, tasks)) {
    if (detail !== null) results.push(detail as CatchUpResult);
    else if (error !== null) results.push(failedCatchUp(task.shop, error));
    // nothing was lacking: no more is kept of it
    else results.push({ shop: task.shop, dryRun: false, copied: [], left: [], passed: [], problems: [] });
  }
  return results;
}

function describe({ shop, dryRun, copied, left, passed, problems }: CatchUpResult, timezone: string): string {
  const lines: string[] = [];
  for (const { snapshot, source, vault, objects, bytes, adopted, lock, mended } of copied) {
    const verb = dryRun ? 'would copy' : 'copied';
    const there = adopted > 0 ? `, ${adopted} were there` : '';
    const why = mended === null ? '' : ` (${mended} there)`;
    const locked = lock === null ? '' : `, ${lock.mode} until ${formatInstant(Temporal.Instant.from(lock.retainUntil), timezone)}`;
    lines.push(`  ${verb}  ${source} ${snapshot} to ${vault}: ${objects} objects, ${formatBytes(bytes)}${there}${locked}${why}`);
  }
  for (const { snapshot, vault, code, message } of left) {
    lines.push(`  RED     ${snapshot === '' ? '' : `${snapshot} is not in ${vault}: `}${message} [${code}]`);
  }
  for (const { snapshot, vault } of passed) lines.push(`  left    ${snapshot} is not in ${vault}: its window has passed`);
  for (const { message, code } of problems) lines.push(`  RED     ${message} [${code}]`);
  if (lines.length === 0) return `${shop}: every snapshot is in every vault`;
  return [`${shop}:`, ...lines].join('\n');
}
