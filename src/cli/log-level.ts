// `coffre log-level`: what the running daemon logs, and how to make it say more while something is looked into.
import { Argument, type Command } from 'commander';
import { CoffreError } from '../errors.ts';
import { LOG_LEVELS, type LogLevel } from '../events.ts';
import { action, type CliContext } from './context.ts';

const HELP = `
It stays so until the daemon is started again, or told another one. Signal SIGUSR2 does without the socket: debug, and back.

Example:
  coffre log-level debug
  journalctl -u coffre -f -o cat
  coffre log-level info
`;

export function registerLogLevel(program: Command, context: CliContext): void {
  program
    .command('log-level')
    .description('show what the running daemon logs, or change it')
    .addArgument(new Argument('[level]', 'from now on').choices([...LOG_LEVELS]))
    .addHelpText('after', HELP)
    .action(
      action(context, async (invocation, wanted: LogLevel | undefined) => {
        const daemon = await invocation.daemon();
        if (daemon === null) {
          throw new CoffreError('E_DAEMON_UNREACHABLE', `no daemon runs on ${invocation.config().stateDir}`, {
            hint: 'a command logs what --log-level or $COFFRE_LOG says',
          });
        }
        const { signal } = invocation;
        const said = wanted === undefined ? daemon.read('/log-level', signal) : daemon.order('/log-level', { level: wanted }, signal);
        const { level } = (await said) as { readonly level: LogLevel };
        return { document: { level }, text: `the daemon logs ${level}` };
      }),
    );
}
