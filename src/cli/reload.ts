// `coffre reload`: the running daemon takes the configuration file as it is now, or keeps the old one and says why.
import type { Command } from 'commander';
import { CoffreError } from '../errors.ts';
import { action, type CliContext } from './context.ts';

const HELP = `
A configuration that is wrong is refused with its line, exit status 2, and the daemon goes on with the one it has. Runs that are
under way end with the configuration that they began with. systemctl reload coffre does the same.

Example:
  coffre reload
`;

export function registerReload(program: Command, context: CliContext): void {
  program
    .command('reload')
    .description('let the daemon take the configuration file as it is now; a wrong one is refused, and the old one stays')
    .addHelpText('after', HELP)
    .action(
      action(context, async (invocation) => {
        const daemon = await invocation.daemon();
        if (daemon === null) {
          throw new CoffreError('E_DAEMON_UNREACHABLE', `no daemon runs on ${invocation.config().stateDir}`, {
            hint: 'there is nothing to reload: every command reads the configuration itself',
          });
        }
        const document = (await daemon.order('/reload', {}, invocation.signal)) as { readonly config: string; readonly shops: number };
        return {
          document,
          text: `the daemon uses ${document.config} as it is now: ${document.shops} ${document.shops === 1 ? 'shop' : 'shops'}`,
        };
      }),
    );
}
