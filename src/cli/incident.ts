// `coffre incident`: what was found in the vaults that coffre cannot explain, and who has looked into it.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { acknowledgeIncidents, type IncidentRow, incidentDocument, listIncidents } from '../catalog/incidents.ts';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import { CoffreError } from '../errors.ts';
import { action, type CliContext } from './context.ts';
import { operatorName } from './operator.ts';
import { formatInstant, table } from './output.ts';
import { keptWords } from './reason.ts';

export function registerIncident(program: Command, context: CliContext): void {
  const incident = program.command('incident').description('what was found in the vaults that coffre cannot explain by what it did itself');
  incident
    .command('list')
    .description('incidents that are open and that nobody has acknowledged')
    .argument('[shop]', 'only of this shop (_coffre: of the daemon’s own objects)')
    .option('--all', 'acknowledged ones and those that are gone too')
    .addHelpText('after', '\nExample:\n  coffre incident list\n  coffre --json incident list dupont --all\n')
    .action(
      action(context, async (invocation, shop: string | undefined, options: { readonly all?: boolean }) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const rows = await listIncidents(catalog.db, { shops: shop === undefined ? undefined : [shop], all: options.all === true });
        const when = (atMs: number): string => formatInstant(Temporal.Instant.fromEpochMilliseconds(atMs), config.timezone);
        const state = (row: IncidentRow): string => {
          const known = row.acknowledgedAt === null ? '' : `${when(row.acknowledgedAt)} by ${row.acknowledgedBy}: ${row.reason}`;
          return [known, row.goneAt === null ? '' : `gone ${when(row.goneAt)}`].filter(Boolean).join('; ') || 'open';
        };
        return {
          document: { incidents: rows.map(incidentDocument) },
          text: table(
            ['id', 'shop', 'vault', 'what', 'object', 'first seen', 'last seen', 'state'].map((title) => ({ title })),
            rows.map((row) => [
              ...[row.id, row.shop, row.vault, row.detail === null ? row.kind : `${row.kind} (${row.detail})`],
              ...[[row.key, row.versionId].filter(Boolean).join(' ') || '-', when(row.firstSeenAt), when(row.lastSeenAt), state(row)],
            ]),
            'no incidents',
          ),
        };
      }),
    );
  incident
    .command('acknowledge')
    .description('say that incidents were looked into: they are not red any more')
    .argument('[id...]', 'as incident list shows them')
    .option('--shop <name>', 'instead of ids: all that are open of this shop (_coffre: of the daemon’s own objects)')
    .requiredOption('--reason <text>', 'what it was, for the audit', keptWords)
    .addHelpText(
      'after',
      `
Example:
  coffre incident acknowledge 01K2J8 --reason "test upload by Marie, credentials changed"
  coffre incident acknowledge --shop dupont --reason "the disk of nas was replaced"
`,
    )
    .action(
      action(context, async (invocation, ids: readonly string[], options: AcknowledgeOptions) => {
        if ((ids.length === 0) === (options.shop === undefined)) {
          throw new CoffreError('E_USAGE', 'ids, or --shop NAME, say which incidents', {
            hint: 'coffre incident list shows those that are open',
          });
        }
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const chosen = options.shop === undefined ? await namedIncidents(catalog, ids) : await openIncidents(catalog, options.shop);
        const by = { who: operatorName(context.io), reason: options.reason };
        const rows = await acknowledgeIncidents(catalog, context.clock, chosen, by);
        return {
          document: { incidents: rows.map(incidentDocument) },
          text: rows.map((row) => `acknowledged ${row.id}: ${row.shop}: ${row.vault}: ${row.kind} ${row.key}`).join('\n'),
        };
      }),
    );
}

interface AcknowledgeOptions {
  readonly shop?: string;
  readonly reason: string;
}

/** Ids of those that `beginnings` name, each once. Throws E_USAGE for one that several begin with. */
async function namedIncidents(catalog: Catalog, beginnings: readonly string[]): Promise<readonly string[]> {
  const all = await listIncidents(catalog.db, { all: true });
  const ids = beginnings.map((beginning) => {
    const matching = all.filter((row) => row.id.startsWith(beginning));
    const exact = matching.find((row) => row.id === beginning);
    if (!exact && matching.length > 1)
      throw new CoffreError('E_USAGE', `several incidents begin with ${beginning}`, { hint: 'give more of the id' });
    return (exact ?? matching[0])?.id ?? beginning;
  });
  return [...new Set(ids)];
}

/** Throws E_USAGE when there is none: a name that was mistyped must not look like work done. */
async function openIncidents(catalog: Catalog, shop: string): Promise<readonly string[]> {
  const rows = await listIncidents(catalog.db, { shops: [shop] });
  if (rows.length === 0)
    throw new CoffreError('E_USAGE', `no incident of ${shop} is open`, { hint: 'coffre incident list shows those that are' });
  return rows.map((row) => row.id);
}
