// `coffre errors`: the table of error codes, exit statuses and hints.
import type { Command } from 'commander';
import { CoffreError, ERRORS, type ErrorKind } from '../errors.ts';
import { action, type CliContext } from './context.ts';
import { table } from './output.ts';

export function registerErrors(program: Command, context: CliContext): void {
  program
    .command('errors')
    .description('list every error code with its exit status, whether trying again helps, and a hint')
    .argument('[code]', 'only this one')
    .addHelpText('after', '\nExample:\n  coffre errors\n  coffre errors E_NO_OBJECT_LOCK\n')
    .action(
      action(context, async (_invocation, code: string | undefined) => {
        const rows = Object.entries<ErrorKind>(ERRORS).filter(([name]) => code === undefined || name === code.toUpperCase());
        if (rows.length === 0) throw new CoffreError('E_USAGE', `no error code ${code}`, { hint: 'coffre errors lists them all' });
        return {
          document: { errors: rows.map(([name, kind]) => ({ code: name, ...kind })) },
          text: table(
            [{ title: 'CODE' }, { title: 'EXIT', align: 'right' }, { title: 'RETRY' }, { title: 'MEANS' }, { title: 'HINT' }],
            rows.map(([name, kind]) => [name, String(kind.exit), kind.retry, kind.means, kind.hint]),
          ),
        };
      }),
    );
}
