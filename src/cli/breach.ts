// `coffre breach`: cases of tampering or loss, the draft of what the client is told, and that it was sent.
import { type Command, Option } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { breachDocument, breachScopes, breachState, findBreach, incidentsOfBreach, listBreaches, stepBreach } from '../catalog/breaches.ts';
import { incidentDocument } from '../catalog/incidents.ts';
import { openCatalog } from '../catalog/open.ts';
import type { Language } from '../document/wording.ts';
import { readBreachDrafts } from '../report/read-breach.ts';
import { timeLeft } from '../schedule/status-breach.ts';
import { action, type CliContext } from './context.ts';
import { parseInstant } from './instant.ts';
import { operatorName } from './operator.ts';
import { formatBytes, formatInstant, table } from './output.ts';
import { keptWords } from './reason.ts';

export function registerBreach(program: Command, context: CliContext): void {
  const breach = program
    .command('breach')
    .description('tampering or loss: within 48 hours the client has to be told; until then it is red');
  breach
    .command('list')
    .description('cases that nobody has sent or closed, with the time that is left')
    .option('--all', 'those that were sent or closed too')
    .addHelpText('after', '\nExample:\n  coffre breach list\n')
    .action(
      action(context, async (invocation, options: { readonly all?: boolean }) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const nowMs = context.clock.nowMs();
        const when = (atMs: number): string => formatInstant(Temporal.Instant.fromEpochMilliseconds(atMs), config.timezone);
        const rows = await listBreaches(catalog.db, { all: options.all === true });
        const scopes = await breachScopes(catalog.db, rows);
        const cases = rows.map((row) => ({ row, ...scopes(row.id) }));
        return {
          document: { cases: cases.map(({ incidents, row, shops }) => ({ ...breachDocument(row, nowMs), shops, incidents })) },
          text: table(
            ['case', 'vault', 'shops', 'incidents', 'opened', 'to be told by', 'state'].map((title) => ({ title })),
            cases.map(({ incidents, row, shops }) => {
              const state = breachState(row, nowMs);
              const left =
                state === 'open'
                  ? `, ${timeLeft(row.deadline - nowMs)} left`
                  : state === 'overdue'
                    ? ` by ${timeLeft(row.deadline - nowMs)}`
                    : '';
              return [row.id, row.vault, shops.join(', '), String(incidents), when(row.openedAt), when(row.deadline), `${state}${left}`];
            }),
            'no case waits',
          ),
        };
      }),
    );
  breach
    .command('show')
    .description('a case, its incidents, and a draft of the notice for each shop')
    .argument('<case>', 'as breach list shows it, or how it begins')
    .addOption(new Option('--lang <language>', 'of the drafts (else that of each shop’s contact)').choices(['fr', 'en']))
    .addHelpText(
      'after',
      '\nEach draft tells one client of their own shop alone. Complete it, send it, then: coffre breach sent.\n\nExample:\n  coffre breach show 01K2J8 --lang fr\n',
    )
    .action(
      action(context, async (invocation, beginning: string, options: { readonly lang?: Language }) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const row = await findBreach(catalog.db, beginning);
        const nowMs = context.clock.nowMs();
        const incidents = await incidentsOfBreach(catalog.db, row.id);
        const drafts = await readBreachDrafts(catalog.db, config, row, options.lang ?? null, nowMs);
        const when = (atMs: number): string => formatInstant(Temporal.Instant.fromEpochMilliseconds(atMs), config.timezone);
        const state = breachState(row, nowMs);
        const head = [
          `case ${row.id}: vault ${row.vault}, opened ${when(row.openedAt)}, ${state}`,
          state === 'open' ? `the client has to be told by ${when(row.deadline)}: ${timeLeft(row.deadline - nowMs)} left` : null,
          state === 'overdue' ? `OVERDUE: the client was to be told by ${when(row.deadline)}` : null,
          row.sentAt === null ? null : `sent ${when(row.sentAt)} by ${row.sentBy}`,
          row.closedAt === null ? null : `closed ${when(row.closedAt)} by ${row.closedBy}: ${row.reason}`,
          ...incidents.map(
            (one) => `  ${one.shop}  ${one.kind}  ${one.key || '-'}  ${formatBytes(one.sizeBytes)}  ${when(one.firstSeenAt)}`,
          ),
        ].filter((line) => line !== null);
        return {
          document: { ...breachDocument(row, nowMs), incidents: incidents.map(incidentDocument), drafts },
          text: [head.join('\n'), ...drafts.map(({ shop, subject, text }) => `--- ${shop} ---\n${subject}\n\n${text.trimEnd()}`)].join(
            '\n\n',
          ),
        };
      }),
    );
  breach
    .command('sent')
    .description('say that the clients were told: the case is not red any more')
    .argument('<case>', 'as breach list shows it, or how it begins')
    .requiredOption('--by <name>', 'who told them', keptWords)
    .requiredOption('--at <instant>', 'when, such as 2026-11-23T16:00:00+01:00')
    .addHelpText('after', '\nExample:\n  coffre breach sent 01K2J8 --by "Marie Durand" --at 2026-11-23T16:00:00+01:00\n')
    .action(
      action(context, async (invocation, beginning: string, options: { readonly by: string; readonly at: string }) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const atMs = parseInstant(options.at, config.timezone).epochMilliseconds;
        const row = await stepBreach(catalog, context.clock, beginning, operatorName(context.io), { verb: 'sent', by: options.by, atMs });
        const late = atMs > row.deadline ? ', after the deadline' : '';
        return { document: breachDocument(row, context.clock.nowMs()), text: `case ${row.id}: sent by ${options.by}${late}` };
      }),
    );
  breach
    .command('close')
    .description('a false alarm, or all is said: the case is not red any more')
    .argument('<case>', 'as breach list shows it, or how it begins')
    .requiredOption('--reason <text>', 'why, for the audit', keptWords)
    .addHelpText('after', '\nExample:\n  coffre breach close 01K2J8 --reason "a test upload of ours: no data was touched"\n')
    .action(
      action(context, async (invocation, beginning: string, options: { readonly reason: string }) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const row = await stepBreach(catalog, context.clock, beginning, operatorName(context.io), {
          verb: 'close',
          reason: options.reason,
        });
        return { document: breachDocument(row, context.clock.nowMs()), text: `case ${row.id}: closed: ${options.reason}` };
      }),
    );
}
