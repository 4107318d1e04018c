// What commands ask of the outside world: ports, opened by the composition root, which alone knows the adapters behind them.
import type { FilesConfig, FilesystemVaultConfig, HostConfig, Secret, ShopConfig, VaultConfig } from '../config/config.ts';
import type { Host } from '../host/host.ts';
import type { FoundShop } from '../source/shop/find-shops.ts';
import type { ShopPreview } from '../source/shop/preview.ts';
import type { BytePath, FileEntry, Finding, Source, SourceKind } from '../source/source.ts';
import type { ExportOptions, ExportTarget } from '../target/export.ts';
import type { HttpCheck, ShopSession, ShopTables, ShopTarget } from '../target/shop.ts';
import type { DatabaseContents, DatabaseTarget, FilesTarget, HeldDatabase } from '../target/target.ts';
import type { Vault } from '../vault/vault.ts';

export interface Adapters {
  /** Connects to nothing yet: credentials are read and refused at the first request. The caller closes the vault. */
  openVault(vault: VaultConfig): Promise<Vault>;
  /** Makes a vault of a filesystem vault's folder; leaves one that it is already. See first-use.ts. */
  prepareVault(vault: FilesystemVaultConfig): Promise<void>;
  /** Throws E_CONFIG when the shop has no such source. */
  openSource(shop: ShopConfig, kind: SourceKind): Promise<Source>;
  /** What application a folder of this machine holds, or one near it; null: none that coffre knows. */
  previewShop(root: string): Promise<ShopPreview | null>;
  /** Shops of this machine under `folders`; null: where shops usually are. */
  findShops(folders: readonly string[] | null): Promise<readonly FoundShop[]>;
  /** What doctor says about the machine that the shop lives on; nothing about this one. Never throws. */
  checkHost(shop: ShopConfig): Promise<readonly Finding[]>;
  /**
   * Whether the account that restores into the shop's database comes in and may do what that takes; nothing is touched. Says which account it
   * is. Throws E_CONFIG, E_SECRET_…, E_SSH_…, E_DB_AUTH with the place where it stands, E_DB_PRIVILEGE with all statements that are missing.
   */
  tryRestoring(shop: ShopConfig): Promise<string>;
  /** The same of the server of restore.drillDatabase. Throws as tryRestoring, and E_CONFIG for one that runs events. */
  tryDrillDatabase(url: string, password: Secret | null): Promise<string>;
}

export interface FilesTargetOptions {
  /** The machine that the directory is on. */
  readonly host: HostConfig;
  /** Allows a directory that is not empty: it is made equal to the snapshot, and only what differs is fetched and written. */
  readonly overwrite: boolean;
  /** With overwrite: what the snapshot does not have is removed, but for what is not chosen and what the shop's configuration excludes. */
  readonly delete: boolean;
  /** Contents of what is there are read and hashed, whatever size and time say. */
  readonly checksum: boolean;
  /** What --path chose; null: everything. */
  readonly chosen: ((path: BytePath) => boolean) | null;
  /** On a host over SSH, with overwrite: the tree that is swapped out stays beside the directory. */
  readonly keepOld: boolean;
  /** Setuid and setgid bits of files, file capabilities and devices are left out. */
  readonly dropsPrivileges: boolean;
  /** Says what is excluded from the shop's snapshots; null: nothing. */
  readonly files: FilesConfig | null;
}

/** What a restore would do to a directory. `written` and `bytes` null: all of it, nothing is there. */
export interface FilesPreview {
  readonly exists: boolean;
  /** false: the restore would be refused. */
  readonly allowed: boolean;
  readonly written: number | null;
  readonly bytes: number | null;
  readonly unchanged: number;
  readonly deleted: number;
}

/** A files target, and what it did with what was there; read after the restore. */
export interface LandingFiles extends FilesTarget {
  /** What a sysadmin should know of how it went. */
  readonly notes?: readonly string[];
  /** In files; `deleted` counts directories too. Null or absent: everything was written. */
  readonly landing?: {
    readonly written: number;
    /** Content of the files written. */
    readonly bytes: number;
    readonly unchanged: number;
    /** What an interrupted restore of the same had written already. */
    readonly resumed: number;
    readonly deleted: number;
  } | null;
  /** Instead of a restore; touches nothing, and asks for no entry where nothing is there. Throws as prepare. */
  preview?(snapshot: string, entries: AsyncIterable<FileEntry>): Promise<FilesPreview>;
}

export interface DatabaseTargetOptions {
  /** The machine from which the URL's address is meant. */
  readonly host: HostConfig;
  /** Allows a database that is not empty: loaded beside it, then swapped. */
  readonly overwrite: boolean;
  /** Leaves what was swapped out in a database of its own. */
  readonly keepOld: boolean;
  /** `keep`, `strip` or an account; null: keep. */
  readonly definers: string | null;
  /** Where the password is; null: in the environment, or none is needed. */
  readonly passwordFile: string | null;
  readonly onWarning: (message: string) => void;
}

/** A database target, and what it did with what was there; read after the restore. */
export interface LandingDatabase extends DatabaseTarget {
  readonly landing: {
    /** The database held something, which the restored tables replaced. */
    readonly overwrote: boolean;
    /** The database that holds the old tables now; null: none was asked for. */
    readonly keptOld: string | null;
    /** Tables that an interrupted restore of the same had finished, and that were not loaded again. */
    readonly resumedTables: number;
  };
}

/** A shop where it runs, for a restore in place; nothing of it is changed by opening it. */
export interface OpenShop {
  readonly target: ShopTarget;
  /** Of the running database, or of the one loaded beside it; null: the shop's database is not opened, or its kind is not known. */
  tables(where: 'running' | 'beside'): ShopTables | null;
  /** How a page of it is asked for; null: not at all. */
  readonly http: HttpCheck | null;
  /** Loads beside the shop's database, and holds what it replaces. The caller closes it, and may open it again. Throws E_DB_…. */
  openDatabase(onWarning: (message: string) => void): HeldDatabase;
  /** Removes what interrupted restores had fetched of files and not put in place. Throws E_BUSY, E_TARGET_WRITE, E_SSH_…. */
  discardFiles(): Promise<void>;
  /** Bytes free where the tree and the database's files are; null: not known from here. */
  free(): Promise<{ readonly files: number | null; readonly database: number | null }>;
  close(): Promise<void>;
}

/** What only the restore unit has: where a restore writes. */
export interface RestoreAdapters extends Pick<Adapters, 'openVault'> {
  /** `directory` is absolute. Throws E_SSH_…. */
  openFilesTarget(directory: string, options: FilesTargetOptions): Promise<LandingFiles>;
  /** `url` as --to-database takes it. Throws E_USAGE, E_SECRET_MODE, E_SECRET_MISSING. */
  openDatabaseTarget(url: string, options: DatabaseTargetOptions): Promise<LandingDatabase>;
  /**
   * The running shop with its database, reached by the account for restores: the configured one, else the shop's own.
   * Throws E_CONFIG, E_SECRET_…, E_DB_…, E_SSH_….
   */
  openShop(shop: ShopConfig, options: { readonly database: boolean }): Promise<OpenShop>;
  /** An export into a file of this machine. Throws E_TARGET_NOT_EMPTY, E_TARGET_SPACE, E_TARGET_WRITE. */
  openExport(options: ExportOptions): Promise<ExportTarget>;
  /** What is there now, nothing touched; null when the database does not exist. Throws as openDatabaseTarget, and E_DB_…. */
  describeDatabase(url: string, options: Pick<DatabaseTargetOptions, 'passwordFile' | 'host'>): Promise<DatabaseContents | null>;
  /** A database that does not exist yet, for a look at it; programs belong to the account that loads it. Throws E_USAGE. */
  openScratchDatabase(url: string, password: Secret | null): Promise<DatabaseTarget>;
  /** A session in that database. Throws E_USAGE, E_DB_…. */
  openDatabaseSession(url: string, password: Secret | null): Promise<ShopSession & { close(): Promise<void> }>;
  /** This machine. */
  readonly host: Host;
}

/**
 * Restores and verifications read identities, so they run in a process of their own (restore-main.ts), which alone has the
 * adapters for it; everywhere else the command line hands them over.
 */
export type RestoreSide =
  | { readonly here: true; readonly adapters: RestoreAdapters }
  | { readonly here: false /** Turns this process into that one, for this same command line. */; become(): never };
