// `coffre catalog`: the checkpoint of the daemon's state, and the way back from one on an empty machine.
import type { Command } from 'commander';
import { runRebuild } from './catalog-rebuild.ts';
import { runCheckpoint } from './checkpoint.ts';
import { action, type CliContext, unitAction } from './context.ts';
import type { RebuildOptions } from './rebuild-options.ts';

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
  catalog
    .command('rebuild')
    .description('on a machine without state: configuration, catalog, ledger, keys and evidence back from one vault and the recovery kit')
    .requiredOption('--from <vault>', 'the vault, by the name that the recovery kit gives it')
    .option('--endpoint <url>', 'where it is, when no configuration says so: address of the store')
    .option('--bucket <bucket>', 'its bucket')
    .option('--prefix <prefix>', 'before every key', '')
    .option('--region <region>', 'its region', 'us-east-1')
    .option('--virtual-hosted', 'the bucket is part of the host name')
    .option(
      '--credentials-file <file>',
      'mode 600, {"accessKeyId": …, "secretAccessKey": …}; may read and list (else $AWS_ACCESS_KEY_ID, $AWS_SECRET_ACCESS_KEY)',
    )
    .option('--path <dir>', 'or its folder, when it is no S3 store')
    .option('--identity-file <file>', 'mode 600, the recovery identity of the kit (AGE-SECRET-KEY-1…)')
    .option('--fingerprint <fingerprint...>', 'of the signing key, as on the kit; nothing else counts as signed')
    .option('--state-dir <dir>', 'put the state here instead of where the configuration says')
    .option('--key-dir <dir>', 'and the keys here')
    .addHelpText(
      'after',
      `
Nothing is overwritten: a configuration that is there stays, a catalog that is there is refused. Killed, it can be run again.

Example:
  coffre catalog rebuild --from offsite --endpoint https://s3.example.net --region fr-1 --bucket coffre --prefix prod \\
    --credentials-file reading.json --identity-file recovery.key --fingerprint SHA256:…
`,
    )
    .action(unitAction(context, (invocation, adapters, options: RebuildOptions) => runRebuild(context, invocation, adapters, options)));
}
