// `coffre init`: folders, configuration, keys and the recovery kit of a new installation; overwrites nothing, ends with doctor.
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { Config } from '../../config/config.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';
import { makeDirectory } from '../../host/make-directory.ts';
import { makeIdentity, recipientOf } from '../../segment/age.ts';
import { createIdentity } from '../../segment/identity-store.ts';
import { writeNewFile } from '../../segment/key-file.ts';
import { exportPublicKey, fingerprint } from '../../segment/signing-key.ts';
import { action, type CliContext } from '../context.ts';
import { handOver, ownerOfState } from '../daemon/hand-over.ts';
import { doctorText, runDoctor } from '../doctor/doctor.ts';
import { ensureSigningKey } from '../keys.ts';
import { bucketCommands, coffreFor, nextSteps } from './advice.ts';
import { initConfigText } from './config.ts';
import { answersFromFlags, type InitOptions } from './flags.ts';
import { parseFlags } from './problems.ts';
import { type Asked, askAgain, askAnswers } from './questions.ts';
import { recoveryKitText, restoreProcedure } from './recovery-kit.ts';

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
    .option('--s3-read-credentials-file <file>', 'the same for asking and reading, when another one may only read: the paper kit’s')
    .addOption(
      new Option('--rto-calendar <calendar>', 'what the hours of a restore’s promise count in (default: 24x7)').choices([
        '24x7',
        'business',
      ]),
    )
    .option('--rto-country <country>', 'country whose public holidays are free, such as FR, with business')
    .option('--find-shops [dir...]', 'adds every PrestaShop and WordPress of this machine, or those under these folders')
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
  coffre init --vault-path /srv/coffre --find-shops
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
        // where to look for shops is no answer yet
        const asks = Object.keys(options).every((name) => name === 'findShops') && context.io.stdin.isTTY === true && !invocation.json;
        if (!asks && Object.keys(options).length === 0) {
          throw new CoffreError('E_USAGE', 'there is nobody to ask and no flag says what to write', {
            hint: 'give flags (coffre init --help), or run it on a terminal without --json',
          });
        }
        const folders = Array.isArray(options.findShops) ? options.findShops.map((folder) => resolve(context.io.cwd, folder)) : null;
        const { answers, secrets }: Asked = asks
          ? await askAnswers(context, file, folders)
          : { answers: await answersFromFlags(options, file, context), secrets: new Map() };

        const newIdentity = answers.encryption === 'age' && options.recovery === undefined ? await makeIdentity() : null;
        if (newIdentity !== null) await refuseOlderKeys(answers.keyDir, kitFile);
        const recovery = newIdentity === null ? (options.recovery ?? []) : [await recipientOf(newIdentity)];
        const text = initConfigText(answers, recovery);
        // Checked before anything is written: a wrong answer leaves nothing behind.
        const config = parseFlags(text, file, context.io.env);

        const procedure = await restoreProcedure();
        await makeFolders(config, file, [answers.keyDir, ...[...secrets.keys()].map((path) => dirname(path))]);
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
        for (const [path, content] of secrets) await writeNewFile(path, content, 0o600);
        // Last: a configuration that exists is one that can be used.
        await writeNewFile(file, text, 0o644);

        const owner = await ownerOfState(config.stateDir);
        const vaultFolders = [...config.vaults.values()].flatMap((vault) => (vault.type === 'filesystem' ? [vault.path] : []));
        const check = async () => {
          const checked = await runDoctor(context, config, { shop: null, waitForExpiry: false });
          // its probes were root's too
          if (owner !== null) await handOver([config.stateDir, ...vaultFolders], owner);
          return checked;
        };
        let doctor = await check();
        while (asks && !doctor.ok) {
          context.io.err(`${doctorText(doctor.checks, context.io)}\n`);
          if (!(await askAgain(context))) break;
          doctor = await check();
        }
        const buckets = [...config.vaults.values()].flatMap((vault) => (vault.type === 's3' ? bucketCommands(vault) : []));
        const next = nextSteps(config, { isGreen: doctor.ok });
        return {
          document: {
            config: file,
            recoveryKit: kitFile,
            recovery,
            signingFingerprint: fingerprint(signingKey),
            shops: [...config.shops.keys()],
            bucketCommands: buckets,
            next,
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
            ...(config.vaults.size === 0
              ? [
                  'The kit names no vault yet, for none is declared. Once one is, print the kit again, and keep both: ' +
                    `${coffreFor(file)} keys recovery-kit`,
                ]
              : []),
            '',
            doctorText(doctor.checks, context.io),
            ...(buckets.length > 0 && !doctor.ok
              ? ['', 'A bucket with Object Lock, if it is not there yet:', ...buckets.map((line) => `  ${line}`)]
              : []),
            '',
            'Next:',
            ...next.map((line) => `  ${line}`),
          ].join('\n'),
          ...(doctor.failure && { failure: doctor.failure }),
        };
      }),
    );
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

async function makeFolders(config: Config, file: string, secretFolders: readonly string[]): Promise<void> {
  const folders = [
    { path: dirname(file), mode: 0o755 },
    ...secretFolders.map((path) => ({ path, mode: 0o700 })),
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
