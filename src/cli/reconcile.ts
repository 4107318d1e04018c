// `coffre reconcile`: everything that the vaults hold, against catalog and ledger; the daemon does the same daily.
import type { Command } from 'commander';
import { pruneTarget, watchDeps } from '../backup/upkeep-deps.ts';
import { openCatalog } from '../catalog/open.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { type WatchResult, watchShop, watchShortfall } from '../retention/watch.ts';
import { action, type CliContext, type Invocation } from './context.ts';
import type { DaemonClient } from './daemon/client.ts';
import { operatorName } from './operator.ts';
import { formatBytes, table } from './output.ts';
import { prunedNames } from './prune.ts';

const HELP = `
Lists all versions, delete markers and unfinished uploads of each shop, and of coffre's own _coffre/, in every vault, and
reads every lock back. What coffre itself does not explain is an incident: a foreign version, upload or delete marker, a
folder or object beside the shops, a missing or altered object, one that is there again after its deletion, a lock that is
shorter or weaker than it was (it is given again where the store lets us), a sum of bytes that is not the ledger's.
Incidents are kept, and status is red, until they are gone or somebody acknowledges them; a missing object and a changed
lock until they are acknowledged, set right or not. Exit status 6 while there is any. The daemon does this daily.

Example:
  coffre reconcile
  coffre --json reconcile dupont
`;

export function registerReconcile(program: Command, context: CliContext): void {
  program
    .command('reconcile')
    .description('compare what the vaults hold, and its locks, with catalog and ledger')
    .argument('[shop]', 'only this shop')
    .addHelpText('after', HELP)
    .action(
      action(context, async (invocation, shopName: string | undefined) => {
        const config = invocation.config();
        const daemon = await invocation.daemon();
        const names = await prunedNames(config, shopName);
        const results = await (daemon ? reconcileByDaemon(daemon, context, invocation, names) : reconcileAlone(context, invocation, names));
        const failure = reconcileFailure(results);
        return { document: { ok: failure === null, results }, text: describe(results), ...(failure ? { failure } : {}) };
      }),
    );
}

async function reconcileAlone(
  { adapters, clock, io }: CliContext,
  invocation: Invocation,
  names: readonly string[],
): Promise<WatchResult[]> {
  const config = invocation.config();
  await using catalog = await openCatalog(config.stateDir);
  const { signal } = invocation;
  const bar = invocation.progress('reconcile');
  const results: WatchResult[] = [];
  for (const shop of names) {
    signal.throwIfAborted();
    bar.title(`reconcile ${shop}`);
    const request = { ...pruneTarget(config, shop), who: operatorName(io), signal };
    // one shop that is busy does not cost the others theirs
    results.push(await watchShop(watchDeps(config, catalog, clock, adapters), request).catch((error: unknown) => failed(shop, error)));
  }
  signal.throwIfAborted();
  return results;
}

async function reconcileByDaemon(
  daemon: DaemonClient,
  { clock }: CliContext,
  invocation: Invocation,
  names: readonly string[],
): Promise<WatchResult[]> {
  const tasks = names.map((shop) => ({ kind: 'reconcile', shop }) as const);
  const { failureOf, perform } = await import('./daemon/runs.ts');
  return (await perform(daemon, invocation, clock, tasks)).map((one) =>
    one.detail === null ? failed(one.task.shop, failureOf(one)) : (one.detail as WatchResult),
  );
}

function failed(shop: string, error: unknown): WatchResult {
  const { code, message, hint } = asCoffreError(error);
  return { shop, vaults: [], errors: [{ vault: '', code, message, hint }] };
}

function reconcileFailure(results: readonly WatchResult[]): CoffreError | null {
  for (const { shop, vaults } of results) {
    for (const { vault, found } of vaults) {
      const [first] = found;
      if (!first) continue;
      const more = found.length > 1 ? `, and ${found.length - 1} more` : '';
      return new CoffreError(
        'E_INCIDENT',
        `${shop}: ${vault}: ${first.kind} ${first.key}${first.detail ? `: ${first.detail}` : ''}${more}`,
      );
    }
  }
  return results.map(watchShortfall).find((failure) => failure !== null) ?? null;
}

function describe(results: readonly WatchResult[]): string {
  const rows: string[][] = [];
  const lines: string[] = [];
  for (const { shop, vaults, errors } of results) {
    for (const { vault, versions, storedBytes, ledgerBytes, locks, found } of vaults) {
      const bytes = storedBytes === ledgerBytes ? formatBytes(storedBytes) : `${storedBytes} bytes, ledger ${ledgerBytes}`;
      rows.push([shop, vault, found.length === 0 ? 'ok' : 'RED', String(versions), bytes, String(locks)]);
      for (const { kind, key, versionId, detail } of found) {
        lines.push(
          `red: ${shop}: ${vault}: ${[kind, key, versionId && `version ${versionId}`, detail && `(${detail})`].filter(Boolean).join(' ')}`,
        );
      }
    }
    for (const { message, code } of errors) lines.push(`red: ${shop}: ${message} [${code}]`);
  }
  const titles = ['shop', 'vault', 'result', 'versions', 'bytes', 'locks read'];
  return [
    table(
      titles.map((title) => ({ title })),
      rows,
      'nothing could be compared',
    ),
    ...lines,
  ].join('\n');
}
