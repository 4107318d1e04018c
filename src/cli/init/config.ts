// The configuration that `coffre init` writes: what was answered, with the comments a sysadmin needs to go on from there. Pure.

export interface InitAnswers {
  readonly timezone: string;
  readonly stateDir: string;
  readonly keyDir: string;
  readonly socket: string;
  readonly encryption: 'age' | 'none';
  readonly retention: string;
  readonly filesystem: { readonly name: string; readonly path: string; readonly media: string | null; readonly offsite: boolean } | null;
  readonly s3: {
    readonly name: string;
    readonly endpoint: string;
    readonly region: string | null;
    readonly bucket: string;
    readonly prefix: string | null;
    readonly offsite: boolean;
    readonly lockMode: string;
    readonly credentialsFile: string;
    readonly pruneCredentialsFile: string | null;
    readonly readCredentialsFile: string | null;
  } | null;
  readonly rto: { readonly calendar: string; readonly country: string | null };
  readonly shops: readonly ShopAnswers[];
}

export interface ShopAnswers {
  readonly name: string;
  /** Reached by SSH; null: it is this machine. */
  readonly host: {
    readonly host: string;
    readonly port: string | null;
    readonly user: string;
    readonly keyFile: string;
    readonly knownHostsFile: string;
  } | null;
  readonly filesRoot: string | null;
  readonly filesProfile: string;
  /** `shop`: in the shop's own configuration. */
  readonly database:
    | {
        readonly name: string;
        readonly user: string;
        readonly socketPath: string | null;
        readonly host: string | null;
        readonly port: string | null;
        readonly passwordFile: string | null;
      }
    | 'shop'
    | null;
}

/** Text of a configuration file. `recovery` holds the agency's recipients, unused without encryption. */
export function initConfigText(answers: InitAnswers, recovery: readonly string[]): string {
  const { filesystem, s3, shops, rto } = answers;
  const vaultNames = [filesystem?.name, s3?.name].filter((name) => name !== undefined);
  const lines: (string | null)[] = [
    '# coffre: written by coffre init. config/coffre.example.yaml documents every key; coffre doctor checks this file.',
    '',
    `timezone: ${scalar(answers.timezone)}`,
    `stateDir: ${scalar(answers.stateDir)}`,
    `listen: { socket: ${scalar(answers.socket)} }`,
    '',
    ...(answers.encryption === 'none'
      ? [
          '# Stored in the clear: whoever reads a vault reads the shops.',
          'encryption: none',
          `signing: { keyFile: ${scalar(`${answers.keyDir}/signing.key`)} }`,
        ]
      : [
          "# One identity a shop, sealed to the agency's recovery key, whose secret is on the paper kit only.",
          'encryption:',
          `  keyDir: ${scalar(answers.keyDir)}`,
          '  recovery:',
          ...recovery.map((recipient) => `    - ${scalar(recipient)}`),
        ]),
    '',
    'vaults:',
    ...(filesystem
      ? [
          `  ${filesystem.name}:`,
          '    type: filesystem',
          `    path: ${scalar(filesystem.path)}`,
          filesystem.media === null ? null : `    media: ${scalar(filesystem.media)}`,
          `    offsite: ${filesystem.offsite}`,
        ]
      : ['  # nas: { type: filesystem, path: /srv/coffre }']),
    ...(s3
      ? [
          `  ${s3.name}:`,
          '    type: s3',
          `    endpoint: ${scalar(s3.endpoint)}`,
          s3.region === null ? null : `    region: ${scalar(s3.region)}`,
          `    bucket: ${scalar(s3.bucket)}`,
          s3.prefix === null ? null : `    prefix: ${scalar(s3.prefix)}`,
          `    offsite: ${s3.offsite}`,
          '    # COMPLIANCE cannot be undone by anyone before its date; the bucket needs Object Lock.',
          `    lock: { mode: ${scalar(s3.lockMode)} }`,
          '    # JSON with accessKeyId and secretAccessKey, mode 600.',
          `    credentialsFile: ${scalar(s3.credentialsFile)}`,
          s3.pruneCredentialsFile === null ? null : `    pruneCredentialsFile: ${scalar(s3.pruneCredentialsFile)}`,
          s3.readCredentialsFile === null ? null : `    readCredentialsFile: ${scalar(s3.readCredentialsFile)}`,
        ]
      : [
          '  # offsite: { type: s3, endpoint: https://s3.example.net, region: fr-1, bucket: coffre, offsite: true,',
          '  #            credentialsFile: /etc/coffre/offsite.json }',
        ]),
    '',
    'plans:',
    '  standard:',
    `    retention: ${scalar(answers.retention)}`,
    `    rto: { target: 4h, calendar: ${scalar(rto.calendar)}${rto.country === null ? '' : `, country: ${scalar(rto.country)}`} }`,
    '    schedule: { database: "30 2 * * *", files: "0 3 * * 0", increments: "0 4 * * 1-6" }',
    '',
    'shops:',
    ...(shops.length > 0
      ? shops.flatMap((shop) => shopLines(shop, vaultNames))
      : [
          '  # dupont:',
          '  #   plan: standard',
          `  #   vaults: [${vaultNames.join(', ')}]`,
          '  #   database: { socketPath: /run/mysqld/mysqld.sock, user: coffre, passwordFile: /etc/coffre/dupont.password, name: dupont }',
          '  #   files: { root: /var/www/dupont, profile: prestashop }',
        ]),
    '',
  ];
  return lines.filter((line) => line !== null).join('\n');
}

function shopLines(shop: ShopAnswers, vaultNames: readonly string[]): (string | null)[] {
  return [
    `  ${shop.name}:`,
    '    plan: standard',
    `    vaults: [${vaultNames.join(', ')}]`,
    ...(shop.host
      ? [
          '    # Its line in the known_hosts file: ssh-keyscan, compared with what the host itself shows.',
          '    host:',
          '      type: ssh',
          `      host: ${scalar(shop.host.host)}`,
          shop.host.port === null ? null : `      port: ${number(shop.host.port)}`,
          `      user: ${scalar(shop.host.user)}`,
          `      keyFile: ${scalar(shop.host.keyFile)}`,
          `      knownHostsFile: ${scalar(shop.host.knownHostsFile)}`,
        ]
      : []),
    ...(shop.database === 'shop'
      ? ['    # Name, user, password and address stand in the configuration of the shop itself.', '    database: shop']
      : []),
    ...(shop.database && shop.database !== 'shop'
      ? [
          '    database:',
          `      name: ${scalar(shop.database.name)}`,
          `      user: ${scalar(shop.database.user)}`,
          shop.database.socketPath === null ? null : `      socketPath: ${scalar(shop.database.socketPath)}`,
          shop.database.host === null ? null : `      host: ${scalar(shop.database.host)}`,
          shop.database.port === null ? null : `      port: ${number(shop.database.port)}`,
          shop.database.passwordFile === null ? null : `      passwordFile: ${scalar(shop.database.passwordFile)}`,
        ]
      : []),
    ...(shop.filesRoot === null
      ? []
      : ['    files:', `      root: ${scalar(shop.filesRoot)}`, `      profile: ${scalar(shop.filesProfile)}`]),
  ];
}

/** Digits as a number; anything else as the text that the configuration then refuses. */
function number(text: string): string {
  return /^\d+$/.test(text) ? text : scalar(text);
}

/** Plain where YAML reads it as this very text, quoted otherwise. */
function scalar(text: string): string {
  const plain = /^[A-Za-z/][A-Za-z0-9_./:@-]*$/.test(text) && !/:$|^(true|false|null|yes|no|on|off)$/i.test(text);
  return plain || /^\d+[a-z]+$/.test(text) ? text : JSON.stringify(text);
}
