// What the flags of `coffre init` say, as the answers that questions give.
import { resolve } from 'node:path';
import { CoffreError } from '../../errors.ts';
import type { CliContext } from '../context.ts';
import type { InitAnswers, ShopAnswers } from './config.ts';
import { defaultAnswers, foundShop, sshDefaults } from './questions.ts';

/** The command line of `coffre init`. */
export interface InitOptions {
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
  readonly s3ReadCredentialsFile?: string;
  readonly rtoCalendar?: string;
  readonly rtoCountry?: string;
  /** true: where shops usually are. */
  readonly findShops?: string[] | true;
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

/** Throws E_USAGE for flags that do not fit together. */
export async function answersFromFlags(options: InitOptions, file: string, context: CliContext): Promise<InitAnswers> {
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
  const typed: ShopAnswers | null =
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
        };
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
            readCredentialsFile: pathOrNull(options.s3ReadCredentialsFile),
          },
    rto: { calendar: options.rtoCalendar ?? '24x7', country: options.rtoCountry ?? null },
    shops: [...(typed === null ? [] : [typed]), ...(await foundByFlags(options, context))],
  };
}

/** Throws E_USAGE when there is none: whoever wrote the flag expects some. */
async function foundByFlags({ findShops, shop }: InitOptions, context: CliContext): Promise<ShopAnswers[]> {
  if (findShops === undefined) return [];
  const folders = findShops === true ? null : findShops.map((folder) => resolve(context.io.cwd, folder));
  const found = (await context.adapters.findShops(folders)).filter(({ name }) => name !== shop);
  if (found.length === 0) {
    throw new CoffreError('E_USAGE', `no shop was found ${folders === null ? 'where shops usually are' : `under ${folders.join(', ')}`}`, {
      hint: 'name its folder: --find-shops DIR, or --shop NAME --files-root DIR',
    });
  }
  return found.map(foundShop);
}
