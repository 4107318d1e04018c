// `coffre hold`: legal holds on a shop or on one snapshot.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { pruneDeps, pruneTarget } from '../backup/upkeep-deps.ts';
import { Ledger } from '../billing/ledger.ts';
import { type HoldRow, holdDocument, listHolds, placeHold, releaseHold } from '../catalog/holds.ts';
import { vaultsHolding } from '../catalog/live-objects.ts';
import { openCatalog } from '../catalog/open.ts';
import { getSnapshot } from '../catalog/snapshots.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { type Extension, keepAhead } from '../retention/keep-ahead.ts';
import type { PruneDeps, PruneRequest } from '../retention/prune.ts';
import { newId } from '../segment/id.ts';
import { checkSkew } from '../vault/clock-skew.ts';
import { action, type CliContext } from './context.ts';
import { operatorName } from './operator.ts';
import { formatInstant, table } from './output.ts';
import { keptWords } from './reason.ts';
import { knownShop } from './shop.ts';

interface AddOptions {
  readonly snapshot?: string;
  readonly reason: string;
}

export function registerHold(program: Command, context: CliContext): void {
  const hold = program.command('hold').description('legal holds: what they name is kept, and kept locked, until they are released');
  hold
    .command('add')
    .description('hold a snapshot, or everything of a shop, what is still to come included')
    .argument('<shop>', 'a declared shop')
    .requiredOption('--reason <text>', 'why, for the audit', keptWords)
    .option('--snapshot <id>', 'only this snapshot')
    .addHelpText(
      'after',
      '\nExample:\n  coffre hold add dupont --reason "court order 26/114"\n  coffre hold add dupont --snapshot 01K --reason "invoice dispute"\n',
    )
    .action(
      action(context, async (invocation, shop: string, options: AddOptions) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        await knownShop(config, catalog, shop);
        const snapshotId = options.snapshot === undefined ? null : (await getSnapshot(catalog, options.snapshot)).id;
        const row = await placeHold(catalog, context.clock, {
          ...{ id: newId(context.clock), shop, snapshotId, reason: options.reason },
          who: operatorName(context.io),
        });
        const deps = pruneDeps(config, catalog, context.clock, context.adapters);
        const { extended, failure } = await lockNow(deps, pruneTarget(config, shop), invocation.signal);
        return {
          document: { hold: holdDocument(row), extended: extended.map((it) => ({ ...it, until: it.until.toString() })) },
          text: [
            `held as ${row.id}: ${described(row)}`,
            ...extended.map(
              (it) => `locked ${it.snapshot} in ${it.vault}: ${it.objects} locks moved to ${formatInstant(it.until, config.timezone)}`,
            ),
          ].join('\n'),
          ...(failure ? { failure } : {}),
        };
      }),
    );
  hold
    .command('release')
    .description('lift a hold: what it kept goes by its window from then on')
    .argument('<id>', 'as hold list shows it')
    .requiredOption('--reason <text>', 'why, for the audit', keptWords)
    .addHelpText('after', '\nExample:\n  coffre hold release 01K2J8 --reason "case closed"\n')
    .action(
      action(context, async (invocation, id: string, options: { readonly reason: string }) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const full = await fullId(await listHolds(catalog.db), id);
        const row = await releaseHold(catalog, context.clock, full, { who: operatorName(context.io), reason: options.reason });
        return { document: { hold: holdDocument(row) }, text: `released ${row.id}: ${described(row)}` };
      }),
    );
  hold
    .command('list')
    .description('holds in force')
    .argument('[shop]', 'only of this shop')
    .option('--all', 'released ones too')
    .addHelpText('after', '\nExample:\n  coffre hold list\n  coffre --json hold list dupont --all\n')
    .action(
      action(context, async (invocation, shop: string | undefined, options: { readonly all?: boolean }) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const rows = await listHolds(catalog.db, { shop, released: options.all === true });
        const when = (atMs: number): string => formatInstant(Temporal.Instant.fromEpochMilliseconds(atMs), config.timezone);
        return {
          document: { holds: rows.map(holdDocument) },
          text: table(
            ['id', 'shop', 'holds', 'since', 'by', 'reason', 'released'].map((title) => ({ title })),
            rows.map((row) => [
              ...[row.id, row.shop, row.snapshotId ?? 'everything', when(row.placedAt), row.placedBy, row.reason],
              row.releasedAt === null ? '-' : `${when(row.releasedAt)} by ${row.releasedBy}: ${row.releaseReason}`,
            ]),
            'no holds',
          ),
        };
      }),
    );
}

/** By id or by a beginning that only one has. */
async function fullId(rows: readonly HoldRow[], id: string): Promise<string> {
  const matching = rows.filter((row) => row.id.startsWith(id));
  if (matching.length > 1 && !matching.some((row) => row.id === id)) throw new CoffreError('E_USAGE', `several holds begin with ${id}`);
  return matching.length === 1 ? (matching[0] as HoldRow).id : id;
}

/** The locks of what is held are moved ahead at once, and daily by prune: a hold must not begin with an hour without a lock. */
async function lockNow(
  deps: PruneDeps,
  request: Omit<PruneRequest, 'who' | 'signal'>,
  signal: AbortSignal,
): Promise<{ extended: Extension[]; failure: CoffreError | null }> {
  const { catalog, clock } = deps;
  const ledger = new Ledger(catalog, clock);
  const extended: Extension[] = [];
  let failure: CoffreError | null = null;
  for (const name of await vaultsHolding(catalog.db, request.shop)) {
    try {
      const vault = await deps.openVault(name);
      try {
        await checkSkew(vault, clock, request.clockSkewMs);
        extended.push(...(await keepAhead(catalog, ledger, vault, { ...request, now: clock.now(), signal })));
      } finally {
        await vault.close();
      }
    } catch (error) {
      failure ??= asCoffreError(error, 'E_VAULT_IO', name);
    }
  }
  return { extended, failure };
}

function described({ shop, snapshotId, reason }: HoldRow): string {
  return `${snapshotId === null ? `everything of ${shop}` : `snapshot ${snapshotId} of ${shop}`} (${reason})`;
}
