// `coffre keys`: what is public of the keys, keys for new shops, and the recovery kit once more.
import type { KeyObject } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { createIdentity, loadRecipient } from '../segment/identity-store.ts';
import { writeNewFile } from '../segment/key-file.ts';
import { exportPublicKey, fingerprint, loadSigningKey, makeSigningKey, olderFingerprints, saveSigningKey } from '../segment/signing-key.ts';
import { action, type CliContext } from './context.ts';
import { recoveryKitText, restoreProcedure } from './init/recovery-kit.ts';
import { registerRotate } from './keys-rotate.ts';
import { table } from './output.ts';

export function registerKeys(program: Command, context: CliContext): void {
  const keys = program.command('keys').description('show, make and rotate keys, print the recovery kit');
  keys
    .command('show', { isDefault: true })
    .description('recipients of the shops and of the agency, fingerprint of the signing key')
    .addHelpText('after', '\nExample:\n  coffre keys\n  coffre --json keys show\n')
    .action(action(context, async (invocation) => await showKeys(invocation.config())));
  registerRotate(keys, context);
  keys
    .command('make')
    .description('make the identity of every shop that has none yet, and the signing key when it is missing')
    .argument('[shop]', 'only this shop')
    .addHelpText('after', '\nExample:\n  coffre keys make dupont\n')
    .action(
      action(context, async (invocation, shop: string | undefined) => {
        const config = invocation.config();
        if (shop !== undefined && !config.shops.has(shop)) throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${shop} in ${config.file}`);
        await ensureSigningKey(config.signing.keyFile);
        if (config.encryption !== 'none') {
          const { keyDir, recovery } = config.encryption;
          await makeKeyFolder(keyDir);
          for (const name of shop === undefined ? config.shops.keys() : [shop]) {
            await createIdentity({ keyDir, shop: name, recoveryRecipients: recovery, clock: context.clock });
          }
        }
        return await showKeys(config);
      }),
    );
  keys
    .command('recovery-kit')
    .description('print the recovery kit again, without the recovery identity: that one is on paper only')
    .option('--to <file>', 'write it into a new file (mode 600) instead')
    .addHelpText('after', '\nExample:\n  coffre keys recovery-kit\n  coffre keys recovery-kit --to /root/kit.txt\n')
    .action(
      action(context, async (invocation, options: { to?: string }) => {
        const config = invocation.config();
        const signingKey = await loadSigningKey(config.signing.keyFile);
        const procedure = await restoreProcedure();
        const text = recoveryKitText({
          config,
          identity: null,
          recipients: config.encryption === 'none' ? [] : config.encryption.recovery,
          signingFingerprint: fingerprint(signingKey),
          signingPublicKey: exportPublicKey(signingKey),
          olderFingerprints: await olderFingerprints(config.signing.keyFile),
          madeAt: context.clock.now().toString({ smallestUnit: 'second' }),
          procedure,
        });
        if (options.to === undefined) return { document: { text }, text };
        const file = resolve(context.io.cwd, options.to);
        await writeNewFile(file, text, 0o600);
        return { document: { file }, text: `recovery kit (without the recovery identity) in ${file}` };
      }),
    );
}

/** The signing key that is there, or a new one. Throws E_KEY when there is one that cannot be used, E_SECRET_MODE, E_STATE. */
export async function ensureSigningKey(keyFile: string): Promise<KeyObject> {
  const exists = await stat(keyFile).then(
    () => true,
    () => false,
  );
  if (!exists) {
    await makeKeyFolder(dirname(keyFile));
    await saveSigningKey(keyFile, makeSigningKey());
  }
  return await loadSigningKey(keyFile);
}

async function makeKeyFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw asCoffreError(error, 'E_STATE', `cannot make ${folder}`);
  }
}

async function showKeys(config: Config) {
  const signingKey = await loadSigningKey(config.signing.keyFile);
  const { keyFile } = config.signing;
  const older = await olderFingerprints(keyFile);
  const signing = { keyFile, fingerprint: fingerprint(signingKey), publicKey: exportPublicKey(signingKey), older };
  if (config.encryption === 'none') {
    const document = { encryption: 'none', recovery: [], signing, shops: [] };
    return {
      document,
      text: [`signing key  ${signing.fingerprint}`, ...older.map((one) => `older        ${one}`), 'encryption   none'].join('\n'),
    };
  }
  const { keyDir, recovery } = config.encryption;
  const shops: { shop: string; keyId: string | null; recipient: string | null }[] = [];
  for (const shop of config.shops.keys()) {
    try {
      const { keyId, recipient } = await loadRecipient(keyDir, shop);
      shops.push({ shop, keyId, recipient });
    } catch (error) {
      if (!(error instanceof CoffreError) || error.code !== 'E_KEY') throw error;
      shops.push({ shop, keyId: null, recipient: null });
    }
  }
  const missing = shops.filter((shop) => shop.recipient === null).map(({ shop }) => shop);
  return {
    document: { encryption: 'age', keyDir, recovery, signing, shops },
    text: [
      `signing key  ${signing.fingerprint}`,
      ...older.map((one) => `older        ${one}`),
      ...recovery.map((recipient) => `recovery     ${recipient}`),
      '',
      table(
        [{ title: 'SHOP' }, { title: 'KEY' }, { title: 'RECIPIENT' }],
        shops.map(({ shop, keyId, recipient }) => [shop, keyId ?? '-', recipient ?? 'missing']),
        'no shops yet',
      ),
    ].join('\n'),
    ...(missing.length > 0 && {
      failure: new CoffreError('E_KEY', `no identity for ${missing.join(', ')}`, { hint: 'coffre keys make makes what is missing' }),
    }),
  };
}
