// `coffre catalog`: the checkpoint of the daemon's state, and the way back from one on an empty machine.
import type { Command } from 'commander';
import { runCheckpoint } from './checkpoint.ts';
import { action, type CliContext } from './context.ts';

export function registerCatalog(program: Command, context: CliContext): void {
  const catalog = program.command('catalog').description('checkpoint of what coffre knows, and its rebuilding from a vault');
  catalog
    .command('checkpoint')
    .description(
      'write a checkpoint of configuration, ledger, holds, shop states and audit into every vault now (the daemon does it daily)',
    )
    .option('--vault <name>', 'only this vault')
    .option('--list', 'write none: show those that the vaults have')
    .addHelpText('after', '\nExample:\n  coffre catalog checkpoint\n  coffre --json catalog checkpoint --list\n')
    .action(action(context, (invocation, options: { list?: boolean; vault?: string }) => runCheckpoint(context, invocation, options)));
}
