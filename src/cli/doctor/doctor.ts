// `coffre doctor`: one line for each thing that must be right, green or red with a hint.
import type { Command } from 'commander';
import { prepareNewVaults } from '../../backup/first-use.ts';
import { type Catalog, openCatalog } from '../../catalog/open.ts';
import type { Config, ShopConfig } from '../../config/config.ts';
import { declaredHint } from '../../config/problems.ts';
import { CoffreError } from '../../errors.ts';
import { bucketPolicy, POLICY_USERS } from '../../vault/bucket-policy.ts';
import { action, type CliContext } from '../context.ts';
import type { Io } from '../io.ts';
import { printable, type Result } from '../output.ts';
import { becomeStateOwner } from '../state-owner.ts';
import { type Check, redCheck } from './check.ts';
import { checkKeys } from './keys.ts';
import { checkNotify } from './notify.ts';
import { checkPromises } from './promises.ts';
import { checkRestores } from './restore.ts';
import { checkCopies, checkSources } from './shops.ts';
import { checkState } from './state.ts';
import { checkVault } from './vaults.ts';

export interface Diagnosis {
  readonly ok: boolean;
  readonly checks: readonly Check[];
  /** E_RED when not ok. */
  readonly failure: CoffreError | null;
}

export function registerDoctor(program: Command, context: CliContext): void {
  program
    .command('doctor')
    .description(
      'check configuration, keys, state, vaults (with the lock probe), hosts, shops, what restores would need and 3-2-1; exit status 1 when anything is red',
    )
    .argument('[shop]', 'only this shop and what it uses')
    .option('--wait', 'wait until the lock probe has seen its own locks end (about a minute)')
    .option('--policies', 'check nothing: print for each S3 vault the bucket policy that gives its credentials the least rights')
    .addHelpText('after', '\nExample:\n  coffre doctor\n  coffre doctor dupont\n  coffre --json doctor\n  coffre doctor --policies\n')
    .action(
      action(context, async (invocation, shop: string | undefined, options: { wait?: boolean; policies?: boolean }) => {
        if (options.policies) return policiesOf(invocation.config());
        // what its probes leave in a vault is then the daemon's to delete, and what is red is what the daemon would meet
        becomeStateOwner(invocation.config().stateDir, context.io);
        const diagnosis = await runDoctor(context, invocation.config(), { shop: shop ?? null, waitForExpiry: options.wait === true });
        return {
          document: { ok: diagnosis.ok, checks: diagnosis.checks },
          text: doctorText(diagnosis.checks, context.io),
          ...(diagnosis.failure && { failure: diagnosis.failure }),
        };
      }),
    );
}

/** What each bucket's credentials need, to be pasted there. */
function policiesOf(config: Config): Result {
  const policies = [...config.vaults.values()].flatMap((vault) =>
    vault.type === 's3' ? [{ vault: vault.name, bucket: vault.bucket, policy: bucketPolicy(vault) }] : [],
  );
  const users = Object.values(POLICY_USERS).join(', ');
  const lines = policies.flatMap(({ vault, bucket, policy }) => [
    `vault ${vault}: policy of bucket ${bucket}; put your users in the place of ${users}`,
    JSON.stringify(policy, null, 2),
  ]);
  return { document: { policies }, text: lines.length > 0 ? lines.join('\n') : 'no S3 vault is declared' };
}

/** Checks everything, or one shop and what it uses. A check that cannot run is red. Throws E_UNKNOWN_SHOP only. */
export async function runDoctor(
  context: CliContext,
  config: Config,
  { shop: shopName, waitForExpiry }: { readonly shop: string | null; readonly waitForExpiry: boolean },
): Promise<Diagnosis> {
  const only = shopName === null ? null : config.shops.get(shopName);
  if (only === undefined) {
    throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${shopName} in ${config.file}`, {
      hint: declaredHint(shopName ?? '', config.shops.keys(), 'shops'),
    });
  }
  const shops: readonly ShopConfig[] = only ? [only] : [...config.shops.values()];
  const vaults = [...config.vaults.values()].filter((vault) => only === null || only.vaults.includes(vault.name));
  const checks: Check[] = [
    {
      name: 'configuration',
      ok: true,
      detail: `${config.file}: ${counted(config.shops.size, 'shop')}, ${counted(config.vaults.size, 'vault')}`,
    },
    ...config.warnings.map((warning): Check => ({ name: 'configuration', ok: true, detail: warning, warning: true })),
  ];
  if (vaults.length === 0) {
    checks.push({ name: 'vaults', ok: false, detail: 'no vault is declared', hint: 'declare one under vaults:' });
  }
  checks.push(...(await guarded('keys', () => checkKeys(config, shops))));
  checks.push(...(await guarded('state', () => checkState(config.stateDir))));
  checks.push(...checkNotify(config.notify));
  checks.push(...(await guarded('restores', () => checkRestores(context, config, shops))));
  checks.push(...(await checkPromises(shops, context.clock)));
  let catalog: Catalog | null = null;
  try {
    catalog = await openCatalog(config.stateDir);
  } catch (error) {
    checks.push(redCheck('catalog', error));
  }
  try {
    for (const vault of vaults) {
      const name = `vault ${vault.name}`;
      const open = catalog;
      if (open === null) {
        // What the probe stores must be in the ledger: without a catalog it may not run.
        checks.push({ name, ok: false, detail: 'not tried without a catalog', hint: 'repair the catalog first' });
        continue;
      }
      const check = { context, config, catalog: open, vault, waitForExpiry };
      checks.push(
        ...(await guarded(name, async () => {
          const failure = (await prepareNewVaults(context.adapters, config, open, [vault.name])).get(vault.name);
          if (failure !== undefined) throw failure;
          return await checkVault(check);
        })),
      );
    }
    for (const shop of shops) {
      checks.push(...(await guarded(`${shop.name}`, () => checkSources(context, config, shop))));
      checks.push(...(await guarded(`${shop.name} 3-2-1`, () => checkCopies(config, catalog, shop))));
    }
  } finally {
    await catalog?.close();
  }
  const red = checks.filter((check) => !check.ok).length;
  return {
    ok: red === 0,
    checks,
    failure: red === 0 ? null : new CoffreError('E_RED', `${red} of ${checks.length} checks ${red === 1 ? 'is' : 'are'} red`),
  };
}

/** A check that fails in a way nobody foresaw is red like any other. An interruption ends all of it. */
async function guarded(name: string, work: () => Promise<readonly Check[]>): Promise<readonly Check[]> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CoffreError && error.code === 'E_INTERRUPTED') throw error;
    return [redCheck(name, error)];
  }
}

/** One line each; hints below what is red or unwise. Colours on a terminal, unless NO_COLOR is set. */
export function doctorText(checks: readonly Check[], io: Pick<Io, 'stdoutIsTerminal' | 'env'>): string {
  const colours = io.stdoutIsTerminal && !io.env.NO_COLOR;
  const paint = (code: number, text: string): string => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
  const width = Math.max(...checks.map((check) => check.name.length));
  return checks
    .flatMap((check) => {
      const mark = !check.ok ? paint(31, 'RED ') : check.warning ? paint(33, 'warn') : paint(32, 'ok  ');
      const line = `${mark}  ${check.name.padEnd(width)}  ${printable(check.detail)}`;
      return check.hint !== undefined && (!check.ok || check.warning)
        ? [line, `${' '.repeat(width + 8)}HINT: ${printable(check.hint)}`]
        : [line];
    })
    .join('\n');
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}
