// `coffre keys rotate`: new keys for what is stored from now on; what older keys sealed or signed stays readable and trusted.
import { rename, stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { audit } from '../catalog/audit.ts';
import { openCatalog } from '../catalog/open.ts';
import { lockShop } from '../catalog/shop-lock.ts';
import type { Config } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { rotateIdentity } from '../segment/rotate-identity.ts';
import { fingerprint, loadSigningKey, makeSigningKey, saveSigningKey, trustOlderKey } from '../segment/signing-key.ts';
import { action, type CliContext } from './context.ts';

interface RotateOptions {
  readonly recovery?: boolean;
  readonly signing?: boolean;
}

export function registerRotate(keys: Command, context: CliContext): void {
  keys
    .command('rotate')
    .description('a new identity for a shop (or its present one sealed to changed recovery recipients), or a new signing key')
    .argument('[shop]', 'the shop; with --recovery all shops when left out')
    .option('--recovery', 'keep the identity, seal it to the recipients that encryption.recovery names now')
    .option('--signing', 'a new signing key; manifests of the old one stay trusted')
    .addHelpText(
      'after',
      `
New segments are sealed to the new identity, nothing older is reused. Older identities stay in keyDir/older and, sealed, in the vaults.
After --signing and --recovery print the recovery kit anew: coffre keys recovery-kit

Example:
  coffre keys rotate dupont
  coffre keys rotate --recovery
  coffre keys rotate --signing
`,
    )
    .action(
      action(context, async (invocation, shop: string | undefined, options: RotateOptions) => {
        const config = invocation.config();
        if (options.signing) {
          if (shop !== undefined || options.recovery)
            throw new CoffreError('E_USAGE', '--signing is of the whole installation: no shop, no --recovery');
          return await rotateSigningKey(context, config);
        }
        if (shop === undefined && !options.recovery) throw new CoffreError('E_USAGE', 'which shop? (or --recovery for all, or --signing)');
        if (shop !== undefined && !config.shops.has(shop)) throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${shop} in ${config.file}`);
        return await rotateShops(context, config, shop === undefined ? [...config.shops.keys()] : [shop], options.recovery === true);
      }),
    );
}

async function rotateShops(context: CliContext, config: Config, shops: readonly string[], reseal: boolean) {
  if (config.encryption === 'none') throw new CoffreError('E_USAGE', 'encryption is none: there is no identity to rotate');
  const { keyDir, recovery } = config.encryption;
  await using catalog = await openCatalog(config.stateDir);
  const rotated: { shop: string; keyId: string; recipient: string }[] = [];
  for (const shop of shops) {
    // no run may seal to one identity and store the other
    using _lock = await lockShop(catalog.stateDir, context.clock, shop, 'a rotation of its identity', config.timezone);
    const what = reseal ? 'reseal' : 'new';
    const { keyId, recipient } = await rotateIdentity({ keyDir, shop, recoveryRecipients: recovery, what, clock: context.clock });
    await audit(catalog, context.clock, {
      who: 'cli',
      what: `keys rotate${reseal ? ' --recovery' : ''}`,
      shop,
      detail: { keyId, recipient },
    });
    rotated.push({ shop, keyId, recipient });
  }
  return {
    document: { rotated, recovery },
    text: [
      ...rotated.map(({ shop, keyId, recipient }) => `${shop}  ${keyId}  ${recipient}`),
      'The next backup of each shop stores its key in the vaults, sealed, before anything that needs it.',
      ...(reseal ? ['Print the recovery kit anew (coffre keys recovery-kit). Keep the old one as long as anything stored before is.'] : []),
    ].join('\n'),
  };
}

async function rotateSigningKey(context: CliContext, config: Config) {
  const { keyFile } = config.signing;
  const before = fingerprint(await loadSigningKey(keyFile));
  await using catalog = await openCatalog(config.stateDir);
  const next = `${keyFile}.next`;
  // The old one is trusted on before the new one signs anything: die in between and it is merely named twice.
  if (!(await exists(next))) await saveSigningKey(next, makeSigningKey());
  await trustOlderKey(keyFile, before, `# until ${context.clock.now().toString({ smallestUnit: 'second' })}`);
  const after = fingerprint(await loadSigningKey(next));
  try {
    await rename(next, keyFile);
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', `cannot replace ${keyFile}`);
  }
  await audit(catalog, context.clock, { who: 'cli', what: 'keys rotate --signing', detail: { before, after } });
  return {
    document: { signing: { fingerprint: after, older: before } },
    text: [
      `signing key  ${after}`,
      `older        ${before}: what it signed stays trusted`,
      'Print the recovery kit anew, now: coffre keys recovery-kit. The old one does not trust what is signed from here on.',
    ].join('\n'),
  };
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
