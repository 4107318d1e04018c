// `coffre incident`: what was found in the vaults that coffre cannot explain, and who has looked into it.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { acknowledgeIncident, type IncidentRow, incidentDocument, listIncidents } from '../catalog/incidents.ts';
import { openCatalog } from '../catalog/open.ts';
import { CoffreError } from '../errors.ts';
import { action, type CliContext } from './context.ts';
import { operatorName } from './operator.ts';
import { formatInstant, table } from './output.ts';

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
    .description('say that an incident was looked into: it is not red any more')
    .argument('<id>', 'as incident list shows it')
    .requiredOption('--reason <text>', 'what it was, for the audit')
    .addHelpText('after', '\nExample:\n  coffre incident acknowledge 01K2J8 --reason "test upload by Marie, credentials changed"\n')
    .action(
      action(context, async (invocation, id: string, options: { readonly reason: string }) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const matching = (await listIncidents(catalog.db, { all: true })).filter((row) => row.id.startsWith(id));
        const exact = matching.find((row) => row.id === id);
        if (!exact && matching.length > 1)
          throw new CoffreError('E_USAGE', `several incidents begin with ${id}`, { hint: 'give more of the id' });
        const by = { who: operatorName(context.io), reason: options.reason };
        const row = await acknowledgeIncident(catalog, context.clock, (exact ?? matching[0])?.id ?? id, by);
        return {
          document: { incident: incidentDocument(row) },
          text: `acknowledged ${row.id}: ${row.shop}: ${row.vault}: ${row.kind} ${row.key}`,
        };
      }),
    );
}
