// `coffre vault`: what is declared, and a new disk in the place of an old one.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { openCatalog } from '../catalog/open.ts';
import { lastProbe } from '../catalog/probes.ts';
import { lockShop } from '../catalog/shop-lock.ts';
import { declaredHint } from '../config/problems.ts';
import { vaultPlace } from '../config/vault-place.ts';
import { CoffreError } from '../errors.ts';
import { forgetReplacedDisk, type LostWithDisk, shopsIn } from '../retention/replaced-disk.ts';
import { LOCKS_FOLDER, MARKER_FILE } from '../vault/vault-path.ts';
import { action, type CliContext } from './context.ts';
import { formatBytes, formatInstant, table } from './output.ts';

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
        for (const declared of config.vaults.values()) {
          const { name, offsite } = declared;
          const probe = await lastProbe(catalog, vaultPlace(declared));
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
            hint: declaredHint(name, config.vaults.keys(), 'vaults'),
          });
        }
        if (declared.type !== 'filesystem') {
          throw new CoffreError('E_USAGE', `vault ${name} is of type ${declared.type}: nothing is to be prepared`, {
            hint: 'coffre doctor checks it',
          });
        }
        await using catalog = await openCatalog(config.stateDir);
        const shops = (await holdsNothing(declared.path)) ? await shopsIn(catalog, name) : [];
        using locks = new DisposableStack();
        for (const shop of shops) {
          locks.use(await lockShop(config.stateDir, context.clock, shop, `the replacement of vault ${name}`, config.timezone));
        }
        // First the vault: die here, and the next call finds it as empty as it was and writes down the rest.
        await context.adapters.prepareVault(declared);
        if (shops.length === 0) return { document: { vault: name, path: declared.path }, text: `${declared.path} is a vault` };
        const gone = await forgetReplacedDisk(catalog, context.clock, name, 'cli');
        return { document: { vault: name, path: declared.path, gone }, text: describe(declared.path, gone) };
      }),
    );
}

/** No file but what a vault has from its first moment; the folders that a probe leaves behind hold none. */
async function holdsNothing(folder: string, fromTheStart: readonly string[] = ['lost+found', MARKER_FILE, LOCKS_FOLDER]): Promise<boolean> {
  try {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (fromTheStart.includes(entry.name)) continue;
      if (!entry.isDirectory() || !(await holdsNothing(join(folder, entry.name), []))) return false;
    }
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

function describe(path: string, { objects, bytes, elsewhere, lost }: LostWithDisk): string {
  const lines = [`${path} is a vault`, `${objects} objects (${formatBytes(bytes)}) that the old disk held are written down as gone`];
  if (elsewhere > 0)
    lines.push(`${elsewhere} snapshots are in other vaults only, degraded until the daemon, or coffre catch-up now, has copied them here`);
  if (lost > 0) lines.push(`${lost} snapshots were on that disk only and are lost`);
  return lines.join('\n');
}
