// `coffre vault`: what is declared, and a new disk in the place of an old one.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { openCatalog } from '../catalog/open.ts';
import { lastProbe } from '../catalog/probes.ts';
import { CoffreError } from '../errors.ts';
import { action, type CliContext } from './context.ts';
import { formatInstant, table } from './output.ts';

export function registerVault(program: Command, context: CliContext): void {
  const vault = program.command('vault').description('list the vaults, prepare a new disk');
  vault
    .command('list', { isDefault: true })
    .description('the declared vaults and what their last lock probe said')
    .addHelpText('after', '\nExample:\n  coffre vault\n')
    .action(
      action(context, async (invocation) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const vaults: { name: string; type: string; place: string; offsite: boolean; probe: string | null; probedAt: string | null }[] = [];
        for (const { name, offsite, ...declared } of config.vaults.values()) {
          const probe = await lastProbe(catalog, name);
          vaults.push({
            name,
            type: declared.type,
            place: declared.type === 's3' ? `${declared.endpoint}/${declared.bucket}/${declared.prefix}` : declared.path,
            offsite,
            probe: probe?.outcome ?? null,
            probedAt: probe === null ? null : Temporal.Instant.fromEpochMilliseconds(probe.at).toString(),
          });
        }
        return {
          document: { vaults },
          text: table(
            ['VAULT', 'TYPE', 'PLACE', 'OFF SITE', 'LAST PROBE', ''].map((title) => ({ title })),
            vaults.map(({ name, type, place, offsite, probe, probedAt }) => [
              name,
              type,
              place,
              offsite ? 'yes' : 'no',
              probe ?? 'never',
              probedAt === null ? '' : formatInstant(Temporal.Instant.from(probedAt), config.timezone),
            ]),
            'no vault is declared',
          ),
        };
      }),
    );
  vault
    .command('prepare')
    .description('make a filesystem vault of its folder: for a new disk in the place of an old one (first use does it by itself)')
    .argument('<name>', 'vault')
    .addHelpText('after', '\nExample:\n  coffre vault prepare nas\n')
    .action(
      action(context, async (invocation, name: string) => {
        const config = invocation.config();
        const declared = config.vaults.get(name);
        if (declared === undefined) {
          throw new CoffreError('E_UNKNOWN_VAULT', `no vault ${JSON.stringify(name)} in ${config.file}`, {
            hint: config.vaults.size > 0 ? `declared are ${[...config.vaults.keys()].join(', ')}` : 'declare it under vaults:',
          });
        }
        if (declared.type !== 'filesystem') {
          throw new CoffreError('E_USAGE', `vault ${name} is of type ${declared.type}: nothing is to be prepared`, {
            hint: 'coffre doctor checks it',
          });
        }
        await context.adapters.prepareVault(declared);
        return { document: { vault: name, path: declared.path }, text: `${declared.path} is a vault` };
      }),
    );
}
