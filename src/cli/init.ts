// `coffre init`: folders, configuration, keys and the recovery kit of a new installation; overwrites nothing, ends with doctor.
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { Config } from '../config/config.ts';
import { parseConfig } from '../config/load.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { makeDirectory } from '../host/make-directory.ts';
import { makeIdentity, recipientOf } from '../segment/age.ts';
import { createIdentity } from '../segment/identity-store.ts';
import { writeNewFile } from '../segment/key-file.ts';
import { exportPublicKey, fingerprint } from '../segment/signing-key.ts';
import { action, type CliContext } from './context.ts';
import { doctorText, runDoctor } from './doctor.ts';
import { type InitAnswers, initConfigText } from './init-config.ts';
import { askAnswers, defaultAnswers, sshDefaults } from './init-questions.ts';
import { ensureSigningKey } from './keys.ts';
import { recoveryKitText, restoreProcedure } from './recovery-kit.ts';

interface InitOptions {
  readonly timezone?: string;
  readonly stateDir?: string;
  readonly keyDir?: string;
  readonly socket?: string;
  readonly encryption?: 'age' | 'none';
  readonly recovery?: string[];
  readonly kit?: string;
  readonly retention?: string;
  readonly vaultName?: string;
  readonly vaultPath?: string;
  readonly vaultMedia?: string;
  readonly vaultOffsite?: boolean;
  readonly s3Name?: string;
  readonly s3Endpoint?: string;
  readonly s3Region?: string;
  readonly s3Bucket?: string;
  readonly s3Prefix?: string;
  readonly s3Onsite?: boolean;
  readonly s3LockMode?: string;
  readonly s3CredentialsFile?: string;
  readonly s3PruneCredentialsFile?: string;
  readonly shop?: string;
  readonly sshHost?: string;
  readonly sshPort?: string;
  readonly sshUser?: string;
  readonly sshKeyFile?: string;
  readonly sshKnownHostsFile?: string;
  readonly filesRoot?: string;
  readonly filesProfile?: string;
  readonly dbFromShop?: boolean;
  readonly dbName?: string;
  readonly dbUser?: string;
  readonly dbSocket?: string;
  readonly dbHost?: string;
  readonly dbPort?: string;
  readonly dbPasswordFile?: string;
}

export function registerInit(program: Command, context: CliContext): void {
  program
    .command('init')
    .description('write a configuration, make keys and a recovery kit, then run doctor; asks when no flag is given')
    .option('--timezone <zone>', 'zone of the schedules (default: the one of this machine)')
    .option('--state-dir <dir>', 'catalog and indexes (default: /var/lib/coffre)')
    .option('--key-dir <dir>', 'keys (default: keys beside the configuration)')
    .option('--socket <path>', 'socket of the daemon (default: /run/coffre/coffre.sock)')
    .addOption(new Option('--encryption <how>', 'none stores in the clear').choices(['age', 'none']))
    .option('--recovery <recipient...>', 'recovery recipients that you have already, instead of a new one')
    .option('--kit <file>', 'where the recovery kit goes (default: recovery-kit.txt beside the configuration)')
    .option('--retention <duration>', 'how long snapshots stay (default: 14d)')
    .option('--vault-path <dir>', 'adds a filesystem vault')
    .option('--vault-name <name>', 'its name (default: nas)')
    .option('--vault-media <word>', 'its kind of medium (default: disk)')
    .option('--vault-offsite', 'it stands elsewhere than the shops')
    .option('--s3-endpoint <url>', 'adds an S3 vault')
    .option('--s3-name <name>', 'its name (default: offsite)')
    .option('--s3-region <region>', 'its region (default: us-east-1)')
    .option('--s3-bucket <bucket>', 'its bucket, made with Object Lock')
    .option('--s3-prefix <prefix>', 'before every key')
    .option('--s3-onsite', 'it stands beside the shops')
    .addOption(new Option('--s3-lock-mode <mode>', 'lock mode (default: COMPLIANCE)').choices(['COMPLIANCE', 'GOVERNANCE']))
    .option('--s3-credentials-file <file>', 'JSON with accessKeyId and secretAccessKey, mode 600')
    .option('--s3-prune-credentials-file <file>', 'the same for pruning, when another one may delete')
    .option('--shop <name>', 'adds a shop')
    .option('--ssh-host <host>', 'its host, reached by SSH (default: it is on this machine)')
    .option('--ssh-port <port>', 'port of sshd there (default: 22)')
    .option('--ssh-user <user>', 'user there (default: coffre)')
    .option('--ssh-key-file <file>', 'private key for it, mode 600 (default: ssh.key beside the configuration)')
    .option('--ssh-known-hosts-file <file>', 'known_hosts file with its key (default: known_hosts beside the configuration)')
    .option('--files-root <dir>', 'its file tree')
    .addOption(
      new Option('--files-profile <profile>', 'what it runs (default: what is found there, else prestashop)').choices([
        'prestashop',
        'wordpress',
        'generic',
      ]),
    )
    .option('--db-from-shop', 'its database: name, user, password and address are read in the configuration of the shop itself')
    .option('--db-name <name>', 'or its database')
    .option('--db-user <user>', 'database user (default: coffre)')
    .option('--db-socket <path>', 'socket of the database server (default: /run/mysqld/mysqld.sock)')
    .option('--db-host <host>', 'or its host')
    .option('--db-port <port>', 'and port')
    .option('--db-password-file <file>', 'file with its password, mode 600')
    .addHelpText(
      'after',
      `
Example:
  coffre init
  coffre --config /etc/coffre/coffre.yaml init --timezone Europe/Paris \\
    --s3-endpoint https://s3.example.net --s3-bucket coffre --s3-credentials-file /etc/coffre/offsite.json \\
    --shop dupont --files-root /var/www/dupont --db-from-shop
  coffre init --vault-path /srv/coffre --shop martin --ssh-host web2.example.net --ssh-user backup \\
    --ssh-key-file /etc/coffre/martin.key --files-root /var/www/martin --db-from-shop
`,
    )
    .action(
      action(context, async (invocation, options: InitOptions) => {
        const file = resolve(context.io.cwd, invocation.configFile);
        const kitFile = resolve(context.io.cwd, options.kit ?? join(dirname(file), 'recovery-kit.txt'));
        await refuseExisting(file, 'the configuration', 'init never overwrites: edit it, or name another file with --config');
        const asks = Object.keys(options).length === 0;
        if (asks && (invocation.json || context.io.stdin.isTTY !== true)) {
          throw new CoffreError('E_USAGE', 'there is nobody to ask and no flag says what to write', {
            hint: 'give flags (coffre init --help), or run it on a terminal without --json',
          });
        }
        const answers = asks ? await askAnswers(context, file) : await answersFromFlags(options, file, context);

        const newIdentity = answers.encryption === 'age' && options.recovery === undefined ? await makeIdentity() : null;
        if (newIdentity !== null) await refuseOlderKeys(answers.keyDir, kitFile);
        const recovery = newIdentity === null ? (options.recovery ?? []) : [await recipientOf(newIdentity)];
        const text = initConfigText(answers, recovery);
        // Checked before anything is written: a wrong answer leaves nothing behind.
        const config = parseConfig(text, file, context.io.env);

        const procedure = await restoreProcedure();
        await makeFolders(config, file, answers.keyDir);
        for (const vault of config.vaults.values()) if (vault.type === 'filesystem') await context.adapters.prepareVault(vault);
        const signingKey = await ensureSigningKey(config.signing.keyFile);
        // The kit before anything that is sealed to it: die here and no key depends on an identity that nobody has.
        const kit = recoveryKitText({
          config,
          identity: newIdentity,
          recipients: recovery,
          signingFingerprint: fingerprint(signingKey),
          signingPublicKey: exportPublicKey(signingKey),
          olderFingerprints: [],
          madeAt: context.clock.now().toString({ smallestUnit: 'second' }),
          procedure,
        });
        await writeNewFile(kitFile, kit, 0o600);
        if (config.encryption !== 'none') {
          for (const shop of config.shops.keys()) {
            await createIdentity({ keyDir: config.encryption.keyDir, shop, recoveryRecipients: recovery, clock: context.clock });
          }
        }
        // Last: a configuration that exists is one that can be used.
        await writeNewFile(file, text, 0o644);

        const doctor = await runDoctor(context, config, { shop: null, waitForExpiry: false });
        return {
          document: {
            config: file,
            recoveryKit: kitFile,
            recovery,
            signingFingerprint: fingerprint(signingKey),
            doctor: { ok: doctor.ok, checks: doctor.checks },
          },
          text: [
            `configuration  ${file}`,
            `signing key    ${config.signing.keyFile} (${fingerprint(signingKey)})`,
            `recovery kit   ${kitFile}`,
            '',
            newIdentity === null
              ? 'Print the recovery kit, keep it away from this machine, then remove the file.'
              : 'PRINT THE RECOVERY KIT NOW, twice, keep it away from this machine, then remove the file: shred -u ' +
                `${kitFile}\nIt holds the only copy of the recovery identity. Without it, a lost machine means lost backups.`,
            '',
            doctorText(doctor.checks, context.io),
          ].join('\n'),
          ...(doctor.failure && { failure: doctor.failure }),
        };
      }),
    );
}

async function answersFromFlags(options: InitOptions, file: string, context: CliContext): Promise<InitAnswers> {
  const path = (value: string): string => resolve(context.io.cwd, value);
  const pathOrNull = (value: string | undefined): string | null => (value === undefined ? null : path(value));
  const needs = (value: string | undefined, flag: string, because: string): string => {
    if (value === undefined) throw new CoffreError('E_USAGE', `${flag} is needed with ${because}`);
    return value;
  };
  const only = (given: boolean, flags: string, because: string): void => {
    if (given) throw new CoffreError('E_USAGE', `${flags} means nothing without ${because}`);
  };
  if (options.s3Endpoint === undefined) only(options.s3Bucket !== undefined, '--s3-bucket', '--s3-endpoint');
  if (options.shop === undefined)
    only(
      options.filesRoot !== undefined || options.dbName !== undefined || options.dbFromShop === true || options.sshHost !== undefined,
      '--files-root, --db-name, --db-from-shop or --ssh-host',
      '--shop',
    );
  if (options.sshHost === undefined) {
    const typed = [options.sshPort, options.sshUser, options.sshKeyFile, options.sshKnownHostsFile];
    only(
      typed.some((value) => value !== undefined),
      'another --ssh- flag',
      '--ssh-host',
    );
  }
  if (options.dbFromShop) {
    needs(options.filesRoot, '--files-root', '--db-from-shop');
    const typed = [options.dbName, options.dbUser, options.dbSocket, options.dbHost, options.dbPort, options.dbPasswordFile];
    only(
      typed.some((value) => value !== undefined),
      'another --db- flag',
      'leaving --db-from-shop out: what is to win over the shop is written into the configuration',
    );
  }
  // what stands on another host is not looked at, and its paths are not this machine's
  const isHere = options.sshHost === undefined;
  const onHost = (value: string): string => (isHere ? path(value) : value);
  const found = options.filesRoot === undefined || !isHere ? null : await context.adapters.previewShop(path(options.filesRoot));
  const defaults = defaultAnswers(file);
  return {
    timezone: options.timezone ?? defaults.timezone,
    stateDir: path(options.stateDir ?? defaults.stateDir),
    keyDir: path(options.keyDir ?? defaults.keyDir),
    socket: path(options.socket ?? defaults.socket),
    encryption: options.encryption ?? 'age',
    retention: options.retention ?? defaults.retention,
    filesystem:
      options.vaultPath === undefined
        ? null
        : {
            name: options.vaultName ?? 'nas',
            path: path(options.vaultPath),
            media: options.vaultMedia ?? null,
            offsite: options.vaultOffsite === true,
          },
    s3:
      options.s3Endpoint === undefined
        ? null
        : {
            name: options.s3Name ?? 'offsite',
            endpoint: options.s3Endpoint,
            region: options.s3Region ?? null,
            bucket: needs(options.s3Bucket, '--s3-bucket', '--s3-endpoint'),
            prefix: options.s3Prefix ?? null,
            offsite: options.s3Onsite !== true,
            lockMode: options.s3LockMode ?? 'COMPLIANCE',
            credentialsFile: path(needs(options.s3CredentialsFile, '--s3-credentials-file', '--s3-endpoint')),
            pruneCredentialsFile: pathOrNull(options.s3PruneCredentialsFile),
          },
    shop:
      options.shop === undefined
        ? null
        : {
            name: options.shop,
            host:
              options.sshHost === undefined
                ? null
                : {
                    ...sshDefaults(file),
                    host: options.sshHost,
                    port: options.sshPort ?? null,
                    ...(options.sshUser === undefined ? {} : { user: options.sshUser }),
                    ...(options.sshKeyFile === undefined ? {} : { keyFile: path(options.sshKeyFile) }),
                    ...(options.sshKnownHostsFile === undefined ? {} : { knownHostsFile: path(options.sshKnownHostsFile) }),
                  },
            filesRoot: options.filesRoot === undefined ? null : onHost(options.filesRoot),
            filesProfile: options.filesProfile ?? found?.profile ?? 'prestashop',
            database: options.dbFromShop
              ? 'shop'
              : options.dbName === undefined
                ? null
                : {
                    name: options.dbName,
                    user: options.dbUser ?? 'coffre',
                    socketPath: options.dbHost === undefined ? onHost(options.dbSocket ?? '/run/mysqld/mysqld.sock') : null,
                    host: options.dbHost ?? null,
                    port: options.dbPort ?? null,
                    passwordFile: pathOrNull(options.dbPasswordFile),
                  },
          },
  };
}

async function refuseExisting(path: string, what: string, hint: string): Promise<void> {
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (exists) throw new CoffreError('E_CONFIG', `${what} ${path} exists already`, { hint });
}

/** A new recovery identity would not open what is sealed to an older one. */
async function refuseOlderKeys(keyDir: string, kitFile: string): Promise<void> {
  const hint = 'give the public part of the kit you have with --recovery age1…';
  await refuseExisting(kitFile, 'a recovery kit', hint);
  const names = await readdir(keyDir).catch(() => []);
  const sealed = names.find((name) => name.endsWith('.age'));
  if (sealed !== undefined) {
    throw new CoffreError('E_KEY', `${join(keyDir, sealed)} is sealed to an older recovery key`, { hint });
  }
}

async function makeFolders(config: Config, file: string, keyDir: string): Promise<void> {
  const folders = [
    { path: dirname(file), mode: 0o755 },
    { path: keyDir, mode: 0o700 },
    { path: config.stateDir, mode: 0o700 },
  ];
  for (const { path, mode } of folders) {
    try {
      await makeDirectory(path, mode);
    } catch (error) {
      throw asCoffreError(error, 'E_STATE', `cannot make ${path}`);
    }
  }
}
