// `coffre catch-up`: brings snapshots into the vaults that lack them, from the vaults that have them.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { type CatchUpDeps, catchUpShop } from '../backup/catch-up.ts';
import { type CatchUpResult, type CopiedSnapshot, catchUpShortfall, failedCatchUp, previewCatchUp } from '../backup/catch-up-result.ts';
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
          text: results.map((result) => describeCatchUp(result, config.timezone)).join('\n'),
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

/** So many snapshots that were mended in one vault are named, each in a line; of more their sum is told. --json has them all. */
const MOST_NAMED = 3;

/** Pure, for tests. One damaged object may be of dozens of snapshots: it is told once. */
export function describeCatchUp({ shop, dryRun, copied, left, passed, problems }: CatchUpResult, timezone: string): string {
  const lines: string[] = [];
  for (const group of groupsOf(copied, ({ snapshot, vault, mended }) => (mended === null ? snapshot : `${vault} ${mended}`))) {
    if (group.length > MOST_NAMED) lines.push(copiedLine(dryRun, timezone, summed(group)));
    else
      for (const { snapshot, source, ...one } of group) lines.push(copiedLine(dryRun, timezone, { ...one, what: `${source} ${snapshot}` }));
  }
  const told = new Set<string>();
  for (const group of groupsOf(left, ({ vault, code, message }) => `${vault} ${code} ${message}`)) {
    const [{ snapshot, vault, code, message }] = group;
    const which = group.length === 1 ? `${snapshot} is` : `${group.length} snapshots (the first ${snapshot}) are`;
    told.add(`${message} [${code}]`);
    lines.push(`  RED     ${snapshot === '' ? '' : `${which} not in ${vault}: `}${message} [${code}]`);
  }
  for (const { snapshot, vault } of passed) lines.push(`  left    ${snapshot} is not in ${vault}: its window has passed`);
  for (const text of new Set(problems.map(({ message, code }) => `${message} [${code}]`)))
    if (!told.has(text)) lines.push(`  RED     ${text}`);
  if (lines.length === 0) return `${shop}: every snapshot is in every vault`;
  return [`${shop}:`, ...lines].join('\n');
}

interface CopiedAmount extends Omit<CopiedSnapshot, 'snapshot' | 'source'> {
  readonly what: string;
}

function copiedLine(dryRun: boolean, timezone: string, { what, vault, objects, bytes, adopted, lock, mended }: CopiedAmount): string {
  const verb = dryRun ? 'would copy' : 'copied';
  const there = adopted > 0 ? `, ${adopted} were there` : '';
  const why = mended === null ? '' : ` (${mended} there)`;
  const locked = lock === null ? '' : `, ${lock.mode} until ${formatInstant(Temporal.Instant.from(lock.retainUntil), timezone)}`;
  return `  ${verb}  ${what} to ${vault}: ${objects} objects, ${formatBytes(bytes)}${there}${locked}${why}`;
}

/** Of one vault, for one cause; with the lock that ends first. */
function summed(group: Group<CopiedSnapshot>): CopiedAmount {
  const [{ mended, snapshot, source, vault }] = group;
  const total = (pick: (one: CopiedSnapshot) => number): number => group.reduce((sum, one) => sum + pick(one), 0);
  const locks = group.flatMap(({ lock }) => (lock === null ? [] : [lock]));
  const ends = (lock: { readonly retainUntil: string }): Temporal.Instant => Temporal.Instant.from(lock.retainUntil);
  const [lock = null] = locks.sort((a, b) => Temporal.Instant.compare(ends(a), ends(b)));
  return {
    ...{ what: `${group.length} snapshots (the first ${source} ${snapshot})`, vault, mended, lock },
    ...{ objects: total((one) => one.objects), bytes: total((one) => one.bytes), adopted: total((one) => one.adopted) },
  };
}

type Group<T> = readonly [T, ...T[]];

/** In the order of their first ones. */
function groupsOf<T>(all: readonly T[], keyOf: (one: T) => string): readonly Group<T>[] {
  const groups = new Map<string, [T, ...T[]]>();
  for (const one of all) {
    const group = groups.get(keyOf(one));
    if (group) group.push(one);
    else groups.set(keyOf(one), [one]);
  }
  return [...groups.values()];
}
