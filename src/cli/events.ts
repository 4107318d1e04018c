// `coffre events`: every event that coffre logs, with its level and fields.
import type { Command } from 'commander';
import { CoffreError } from '../errors.ts';
import { EVENTS, FIELDS, type FieldName } from '../events.ts';
import { action, type CliContext } from './context.ts';
import { table } from './output.ts';

const HELP = `
A line of the journal is a JSON object: time, level, name (coffre), pid, hostname, msg, event, and the fields of that event. What is not
declared here is never logged.

Example:
  coffre events
  coffre events run.failed
  journalctl -u coffre -o cat | jq -c 'select(.event == "run.failed") | {shop, code, msg}'
`;

export function registerEvents(program: Command, context: CliContext): void {
  program
    .command('events')
    .description('list every event that is logged, with its level, what it means and its fields')
    .argument('[event]', 'only this one, with what its fields mean')
    .addHelpText('after', HELP)
    .action(
      action(context, async (_invocation, wanted: string | undefined) => {
        const rows = Object.entries(EVENTS).flatMap(([name, { fields, level, means, optional }]) => {
          const all: readonly FieldName[] = [...fields, ...optional];
          const described = all.map((field) => ({ field, ...FIELDS[field], always: !optional.some((one) => one === field) }));
          return wanted === undefined || name === wanted ? { event: name, level, means, fields: described } : [];
        });
        const [only] = rows;
        if (only === undefined) throw new CoffreError('E_USAGE', `no event ${wanted}`, { hint: 'coffre events lists them all' });
        const text =
          wanted === undefined
            ? table(
                ['EVENT', 'LEVEL', 'MEANS', 'FIELDS'].map((title) => ({ title })),
                rows.map(({ event, fields, level, means }) => [
                  event,
                  level,
                  means,
                  fields.map(({ always, field }) => (always ? field : `[${field}]`)).join(' '),
                ]),
              )
            : `${only.event} (${only.level}): ${only.means}\n\n${table(
                ['FIELD', 'TYPE', 'MEANS'].map((title) => ({ title })),
                only.fields.map(({ always, field, means, type }) => [field, always ? type : `${type}, or left out`, means]),
                'it has no fields',
              )}`;
        return { document: { events: rows }, text };
      }),
    );
}
