// The paper that brings everything back when this machine is gone: recovery identity, fingerprint, vaults, procedure.
import type { Config } from '../config/config.ts';

export interface KitContents {
  readonly config: Pick<Config, 'vaults' | 'encryption'>;
  /** The secret; null in a kit printed later, because it is on no machine any more. */
  readonly identity: string | null;
  readonly recipients: readonly string[];
  readonly signingFingerprint: string;
  readonly signingPublicKey: string;
  /** Printable, in UTC. */
  readonly madeAt: string;
}

/** Text of the kit. Holds a secret when `identity` is given. */
export function recoveryKitText(kit: KitContents): string {
  const encrypted = kit.config.encryption !== 'none';
  const open = encrypted ? 'age -d -i SHOP.key OBJECT | zstd -d' : 'zstd -d < OBJECT';
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
    '',
    '3. VAULTS',
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
    '4. BRINGING A SHOP BACK',
    "  With coffre: install it, run coffre init with this kit's recipient and vaults, then",
    '    coffre catalog rebuild --from VAULT',
    '    coffre restore SHOP --to-dir DIR --to-database URL',
    "  Without coffre: age, zstd, tar, mariadb, jq and any S3 client. Below each vault's prefix:",
    ...(encrypted
      ? [
          "    a. write the secret of 1. into recovery.txt; the shop's own key is in SHOP/keys/ID.age:",
          '         age -d -i recovery.txt ID.age > SHOP.key',
        ]
      : []),
    `    ${encrypted ? 'b' : 'a'}. the newest object under SHOP/snapshots/ is the manifest (one for the database, one for the files):`,
    `         ${open} | jq .manifest`,
    '       A listing with a delete marker or a second version of a key shows tampering: take the oldest version.',
    `    ${encrypted ? 'c' : 'b'}. compare each object named in .segments with its storedSha256 (sha256sum), then in that order:`,
    `         tar:  ${open} | tar -x -p --numeric-owner -C DIR`,
    `         sql:  ${open} | mariadb DATABASE`,
    `         tsv:  ${open} | mariadb --local-infile=1 --show-warnings DATABASE -e "STATEMENT"`,
    "       STATEMENT is the segment's .load.statement. A warning, or another number of rows than .load.rows, means: do not use it.",
    '',
  ];
  return lines.join('\n');
}
