// The configuration after loading: every default filled in, durations in milliseconds, sizes in bytes, paths absolute.
import type { Language } from '../document/wording.ts';
import type { MaintenanceWindow } from './maintenance.ts';

export interface Secret {
  /** Reads the secret now. Throws E_SECRET_MISSING, E_SECRET_MODE. Never kept in the configuration itself. */
  read(): string;
  /** Where it comes from, printable. */
  readonly from: string;
}

export interface S3VaultConfig {
  readonly name: string;
  readonly type: 's3';
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly forcePathStyle: boolean;
  readonly media: string;
  readonly site: string | null;
  readonly offsite: boolean;
  readonly lock: { readonly mode: 'COMPLIANCE' | 'GOVERNANCE' };
  /** JSON {accessKeyId, secretAccessKey[, sessionToken]}. */
  readonly credentials: Secret;
  /** A second credential that may delete versions; null: the first one does it. */
  readonly pruneCredentials: Secret | null;
  /** A credential that only reads; null: the first one does it. */
  readonly readCredentials: Secret | null;
  readonly timeouts: { readonly connectMs: number; readonly requestMs: number };
  /** limits.bandwidth, which all S3 vaults share; null: no limit. */
  readonly uploadBytesPerSecond: number | null;
}

export interface FilesystemVaultConfig {
  readonly name: string;
  readonly type: 'filesystem';
  readonly path: string;
  readonly media: string;
  readonly site: string | null;
  readonly offsite: boolean;
}

export type VaultConfig = S3VaultConfig | FilesystemVaultConfig;

/** How soon a shop is back after its owner's approval, and when the time counts. */
export interface RtoPromise {
  readonly targetMs: number;
  readonly calendar: 'business' | '24x7';
  /** Whose public holidays are free: `FR`, or with a part of it `CH-VD`; null: none are. */
  readonly country: string | null;
  /** The part of it, by its code or name; null: what holds everywhere, or `country` says. */
  readonly region: string | null;
  /** Of `business`. Minutes after midnight in `zone`; 1 is Monday, 7 is Sunday. */
  readonly hours: { readonly fromMinute: number; readonly toMinute: number; readonly days: readonly number[] };
  readonly zone: string;
}

/** Whom the shop's owner is told through. */
export interface ContactConfig {
  /** Empty: nobody is written to. */
  readonly emails: readonly string[];
  readonly language: Language;
  /** How they are addressed; null: not by name. */
  readonly name: string | null;
}

export interface PlanConfig {
  readonly name: string;
  readonly retentionMs: number;
  readonly rto: RtoPromise;
  readonly quotaBytes: number | null;
  readonly full: 'fresh' | 'reread';
  /** Cron expressions in the configured zone. */
  readonly schedule: {
    readonly database: string | null;
    readonly files: string | null;
    readonly increments: string | null;
    readonly server: string | null;
    /** Left out or null: nothing is drilled by itself. */
    readonly drill?: string | null;
  };
  /** How shops of this plan are drilled, by schedule or by hand; left out: DRILL_DEFAULTS. */
  readonly drill?: DrillConfig;
  /** Whether each month's report is sent to the contacts of its shops; left out: no. */
  readonly report?: { readonly monthly: boolean };
  /** No scheduled backup begins inside: its own, and those of the whole configuration. */
  readonly maintenance: readonly MaintenanceWindow[];
}

/** What a drill reads, and what it takes for right. */
export interface DrillConfig {
  /** Vaults of a shop that are read, one each time, each in turn; null: all of the shop's. */
  readonly vaults: readonly string[] | null;
  /** How many of a PrestaShop's images may lack their file, in percent of those that its database names. */
  readonly missingImagesPercent: number;
  /** How old the newest order may be when the snapshot is taken; null: as old as it is. */
  readonly newestOrderMs: number | null;
}

export const DRILL_DEFAULTS: DrillConfig = { vaults: null, missingImagesPercent: 1, newestOrderMs: null };

/** Numbers here are exact decimals of at most 15 digits: money is counted with their text, never with them. Days are ISO dates there. */
export interface ContractConfig {
  readonly name: string;
  readonly vault: string;
  /** What it is called on statements; null: its name alone. */
  readonly title: string | null;
  readonly subscribedTB: number;
  readonly period: 'month' | 'quarter' | 'year';
  /** When the subscribed volume is billed; what is used beyond it always is afterwards. */
  readonly paid: 'arrears' | 'advance';
  /** Month, from 1, with which quarters and years begin. */
  readonly firstMonth: number;
  /** First and last day; the periods that hold them are due whole. null: none is set. */
  readonly start: string | null;
  readonly end: string | null;
  readonly timezone: string;
  readonly price: { readonly perTBMonth: string; readonly currency: string; readonly stepTB: number };
  /** Later prices, by day. `s0`: the index that such a price is of; null: the contract's. */
  readonly prices: readonly { readonly from: string; readonly perTBMonth: string; readonly s0: number | null }[];
  /** null: amounts are before tax alone. */
  readonly taxPercent: string | null;
  /** Later rates, by day: the last day of what is billed says which one counts. */
  readonly taxRates: readonly { readonly from: string; readonly percent: string }[];
  readonly index: {
    readonly s0: number;
    /** The first day on which the price is indexed; each year again. */
    readonly anniversary: string;
    /** By day: each counts from its own on. */
    readonly values: readonly { readonly date: string; readonly value: number }[];
  } | null;
  /** How its cost is divided among the shops. */
  readonly rebill: 'share' | 'peak' | 'flat' | 'none';
  /** auto: the daemon issues each statement when its time has come. */
  readonly issue: 'manual' | 'auto';
  /** Shops it covers; null: every shop that uses its vault. */
  readonly shops: readonly string[] | null;
}

export interface DatabaseConfig {
  readonly name: string;
  readonly user: string;
  readonly host: string | null;
  readonly port: number;
  readonly socketPath: string | null;
  readonly password: Secret | null;
  /** Who writes when the shop is restored in place; absent: the account in the shop's own settings, else the one above. */
  readonly restore?: { readonly user: string; readonly password: Secret | null };
  /** Tables whose rows are left out (structure kept): names, in which * stands for any characters and ? for one. */
  readonly excludeData: readonly string[];
  /** A named list of further tables whose rows are left out. */
  readonly profile: 'none' | 'prestashop-ephemeral';
  /** Connections that read at the same time. */
  readonly threads: number;
  readonly gentle: GentleLimits;
}

/**
 * A database whose settings stand in the shop's own configuration, in its tree: they are read there when the database is opened.
 * What is given here wins; null is found there.
 */
export interface DatabaseFromShopConfig extends Omit<DatabaseConfig, 'name' | 'user' | 'port'> {
  readonly fromShop: true;
  readonly name: string | null;
  readonly user: string | null;
  readonly port: number | null;
}

/** What the reading of a database may cost its server; null: no limit. */
export interface GentleLimits {
  /** Over all connections together. */
  readonly rowsPerSecond: number | null;
  /** Bytes a second from the database server, over all connections together. */
  readonly bytesPerSecond: number | null;
  /** Reading waits while the server runs more queries of others than this. */
  readonly maxRunningQueries: number | null;
  /** The longest that everybody's commits may wait while the snapshots are opened; 0: not at all. */
  readonly maxLockMs: number;
}

export interface FilesConfig {
  readonly root: string;
  readonly profile: 'prestashop' | 'wordpress' | 'generic';
  readonly exclude: readonly string[];
  /** How a restore in place asks for a page of it; null: not at all; absent: at the address that its database has. */
  readonly page?: PageConfig | null;
}

export interface PageConfig {
  /** null: the address that the shop's database has. */
  readonly url: string | null;
  /** Where it connects, as seen from the shop's host; null: where the name leads from here. A port of null is that of http or https. */
  readonly through: { readonly host: string; readonly port: number | null } | null;
  /** What stands on the page; null: the shop's name. */
  readonly marker: string | null;
  readonly timeoutMs: number;
}

/** The whole machine, one file system. */
export interface ServerConfig {
  /** `/`, unless something smaller stands for a machine. */
  readonly root: string;
  readonly exclude: readonly string[];
  /** Absolute paths of coffre's own that are left out: state, vaults, keys. Empty for another machine than ours. */
  readonly own: readonly string[];
}

export type HostConfig =
  | { readonly type: 'local' }
  | {
      readonly type: 'ssh';
      readonly host: string;
      readonly port: number;
      readonly user: string;
      /** Private keys, tried in this order before the agent's; each may be of any type. */
      readonly keys: readonly Secret[];
      /** Opens those keys that are encrypted. */
      readonly passphrase: Secret | null;
      /** An ssh-agent; `socketPath` null: $SSH_AUTH_SOCK was to name it and is not set. */
      readonly agent: { readonly socketPath: string | null } | null;
      readonly knownHostsFile: string;
      /** Until logged in. */
      readonly connectTimeoutMs: number;
    };

export type SshHostConfig = Extract<HostConfig, { readonly type: 'ssh' }>;

export interface ShopConfig {
  readonly name: string;
  readonly plan: PlanConfig;
  readonly vaults: readonly string[];
  readonly host: HostConfig;
  readonly database: DatabaseConfig | DatabaseFromShopConfig | null;
  readonly files: FilesConfig | null;
  /** Off unless asked for. */
  readonly server: ServerConfig | null;
  /** Left out or null: notices go to the operators alone, in English. */
  readonly contact?: ContactConfig | null;
  /** In place of the plan's; left out or null: as the plan says. */
  readonly report?: { readonly monthly: boolean } | null;
}

export interface Limits {
  readonly concurrency: number;
  /** What is due at the same time begins spread over this. */
  readonly jitterMs: number;
  /** Bytes a second to all vaults together; null: no limit. */
  readonly bandwidthBytes: number | null;
  readonly memoryBytes: number;
  /** No lock may end later than this after now. */
  readonly lockCeilingMs: number;
  /** A run that lasts longer is stopped; also half of what a provisional lock is made of. */
  readonly runDeadlineMs: number;
  /** While a source is being read: a vault that takes longer over one segment leaves the run. */
  readonly vaultDeadlineMs: number;
  /** No segment is reused beyond this age. */
  readonly reuseMaxAgeMs: number | null;
  /** Difference between our clock and a store's that is still accepted. */
  readonly clockSkewMs: number;
}

/** Where a web address comes from: written plainly, or a secret because it holds a token. Both are read when used. */
export interface NotifyConfig {
  /** What is red for less is not told; what turns red meanwhile is told together. */
  readonly delayMs: number;
  /** What stays red is told again after this; null: never. */
  readonly reminderMs: number | null;
  readonly mail: {
    readonly host: string;
    readonly port: number;
    readonly security: 'starttls' | 'tls' | 'none';
    readonly user: string | null;
    readonly password: Secret | null;
    /** Certificates (PEM) that the server's is signed by; null: the system's. */
    readonly caFile: string | null;
    readonly from: string;
    readonly to: readonly string[];
  } | null;
  readonly webhook: {
    readonly url: Secret;
    /** Signs each message; null: they are not signed. */
    readonly key: Secret | null;
  } | null;
  readonly ping: {
    readonly url: Secret;
    readonly everyMs: number;
    /** Whether `/fail` is called while something is red; else nothing is called then. */
    readonly fail: boolean;
  } | null;
}

export interface Config {
  /** The file it came from. */
  readonly file: string;
  readonly timezone: string;
  readonly stateDir: string;
  readonly listen: {
    readonly socket: string | null;
    /** `host:port`; null: no TCP. */
    readonly http: string | null;
    /** PEM files; null: not encrypted. */
    readonly tls: { readonly certFile: string; readonly key: Secret } | null;
    /** Addresses or networks (CIDR) of proxies, which say for whom they ask. */
    readonly proxies: readonly string[];
  };
  readonly encryption: { readonly keyDir: string; readonly recovery: readonly string[] } | 'none';
  readonly signing: { readonly keyFile: string };
  readonly vaults: ReadonlyMap<string, VaultConfig>;
  readonly plans: ReadonlyMap<string, PlanConfig>;
  readonly contracts: ReadonlyMap<string, ContractConfig>;
  readonly shops: ReadonlyMap<string, ShopConfig>;
  readonly limits: Limits;
  readonly restore: {
    /** Where the restore unit is asked; null: nowhere. */
    readonly socket: string | null;
    /** The daemon may ask for a restore into a shop by itself. */
    readonly unattended: boolean;
    /** What is restored for a look (drills, exports) comes here; its owner is who the unit becomes for that. */
    readonly scratchDir: string;
    /** Whose it must be, by name or number; null: the package's user, nobody's, or a number that is nobody else's. */
    readonly scratchUser: string | null;
    /** How long an export that somebody asked the daemon for can be downloaded. */
    readonly keepExportsMs: number;
    /** A server in which drills load databases, each into a schema of its own (`coffre_drill_…`), as this account; null: one of the drill's own. */
    readonly drillDatabase: { readonly url: string; readonly password: Secret | null } | null;
  };
  /** Everything stored is read once within this time; null: nobody asks for it. */
  readonly verify: { readonly readWithinMs: number | null };
  /** How long ended runs are told of; restores and drills longer (catalog/forget.ts). */
  readonly runs: { readonly keepMs: number };
  readonly audit: { readonly keepMs: number };
  readonly notify: NotifyConfig;
  /** Things that are allowed and unwise (retention in seconds, encryption none …): doctor prints them. */
  readonly warnings: readonly string[];
}
