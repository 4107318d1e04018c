// The paper that brings everything back when this machine is gone: recovery identity, fingerprint, vaults, procedure.
import { readFile } from 'node:fs/promises';
import type { Config, VaultConfig } from '../../config/config.ts';
import { DEFAULT_CONFIG_FILE } from '../../config/load.ts';
import { CoffreError } from '../../errors.ts';

export interface KitContents {
  readonly config: Pick<Config, 'file' | 'vaults' | 'encryption'>;
  /** The secret; null in a kit printed later, because it is on no machine any more. */
  readonly identity: string | null;
  readonly recipients: readonly string[];
  readonly signingFingerprint: string;
  readonly signingPublicKey: string;
  /** Of the keys that signed before: what they signed is still there. */
  readonly olderFingerprints: readonly string[];
  /** Printable, in UTC. */
  readonly madeAt: string;
  /** From `restoreProcedure`. */
  readonly procedure: string;
}

/**
 * README.md's chapter on restoring without coffre, whose commands the tests follow. On paper because the README may be as far
 * away as the machine that burnt. Throws E_INTERNAL when this installation has no such chapter.
 */
export async function restoreProcedure(): Promise<string> {
  const readme = await readFile(new URL('../../../README.md', import.meta.url), 'utf8').catch(() => '');
  const chapter = /^## Restoring without coffre\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(readme)?.[1];
  if (chapter === undefined) {
    throw new CoffreError('E_INTERNAL', 'README.md with its chapter on restoring without coffre is missing from this installation');
  }
  return chapter.replace(/^<!--.*-->\n/gm, '').trim();
}

/** As one types it at night, from paper. */
function rebuildCommand(vault: VaultConfig, kit: KitContents, encrypted: boolean): string[] {
  const place =
    vault.type === 's3'
      ? [
          `--endpoint ${vault.endpoint} --region ${vault.region}`,
          `--bucket ${vault.bucket}${vault.prefix === '' ? '' : ` --prefix ${vault.prefix}`}${vault.forcePathStyle ? '' : ' --virtual-hosted'}`,
          '--credentials-file reading.json',
        ]
      : [`--path ${vault.path}`];
  const trust = [kit.signingFingerprint, ...kit.olderFingerprints].map((one) => `--fingerprint ${one}`);
  const parts = [...place, ...(encrypted ? ['--identity-file recovery.key'] : []), ...trust];
  return [
    ...(vault.type === 's3' ? [`  echo '{"accessKeyId":"…","secretAccessKey":"…"}' > reading.json`] : []),
    `  coffre ${kit.config.file === DEFAULT_CONFIG_FILE ? '' : `--config ${kit.config.file} `}catalog rebuild --from ${vault.name} \\`,
    ...parts.map((part, at) => `    ${part}${at < parts.length - 1 ? ' \\' : ''}`),
  ];
}

/** A kit that is printed before there is a vault opens the keys, and says of nothing where it lies. */
function noVaults({ config: { file }, identity }: KitContents): string[] {
  return [
    '  NONE WAS DECLARED when this was made: it does not say where the backups are. Once one is declared, print a new kit:',
    `    coffre ${file === DEFAULT_CONFIG_FILE ? '' : `--config ${file} `}keys recovery-kit`,
    ...(identity === null ? [] : ['  and keep this one with it: the new one has no secret of part 1.']),
  ];
}

/** Text of the kit. Holds a secret when `identity` is given. */
export function recoveryKitText(kit: KitContents): string {
  const encrypted = kit.config.encryption !== 'none';
  const lines = [
    'COFFRE RECOVERY KIT',
    '===================',
    `made ${kit.madeAt}`,
    '',
    'Print this twice, keep the prints in two places that do not burn together, then remove the file.',
    ...(encrypted ? ['Whoever holds it can read every shop. Without it, a lost server is lost for good.'] : []),
    '',
    ...(encrypted
      ? [
          '1. RECOVERY IDENTITY (opens the keys of all shops)',
          ...(kit.identity === null ? ['  secret: on the print made by coffre init: it is on no machine'] : [`  secret: ${kit.identity}`]),
          ...kit.recipients.map((recipient) => `  public: ${recipient}`),
        ]
      : ['1. NO RECOVERY IDENTITY: this coffre stores without encryption (encryption: none)']),
    '',
    '2. SIGNING KEY (manifests signed by another one are forged)',
    `  fingerprint: ${kit.signingFingerprint}`,
    `  public key:  ${kit.signingPublicKey}`,
    ...kit.olderFingerprints.map((older) => `  older:       ${older}`),
    '',
    '3. VAULTS',
    ...(kit.config.vaults.size === 0 ? noVaults(kit) : []),
    ...[...kit.config.vaults.values()].flatMap((vault) =>
      vault.type === 's3'
        ? [
            `  ${vault.name}: s3 ${vault.endpoint}, region ${vault.region}`,
            `    bucket ${vault.bucket}, prefix ${vault.prefix === '' ? '(none)' : vault.prefix}`,
            '    a credential that may read (write it in by hand):',
            '    access key ______________________  secret ______________________________________',
          ]
        : [`  ${vault.name}: folder ${vault.path}${vault.site === null ? '' : ` at ${vault.site}`}`],
    ),
    '',
    '4. BRINGING EVERYTHING BACK, on a new machine with coffre',
    '',
    'Configuration, catalog, billing, keys, holds and evidence come back from any one of the vaults (the others can be added afterwards). In an empty folder, as root:',
    '',
    ...(encrypted ? ['  umask 077', "  echo 'AGE-SECRET-KEY-1…' > recovery.key          # part 1"] : ['  umask 077']),
    ...[...kit.config.vaults.values()].flatMap((vault) => ['', ...rebuildCommand(vault, kit, encrypted)]),
    '',
    'It says what is newer than its last checkpoint, what is lost, who tampered with the vault, and which passwords are still to be put',
    'in place. Then: coffre doctor; coffre restore SHOP --to-dir DIR; coffre daemon. Print a new kit: there is a new signing key.',
    '',
    '5. BRINGING A SHOP BACK, with any Linux machine and without coffre',
    '',
    kit.procedure,
  ];
  return lines.join('\n');
}
