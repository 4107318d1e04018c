// The port to a shop that is restored where it runs: its maintenance switch and guard, settings, caches, address, and whether it works again.
import type { ErrorCode } from '../errors.ts';

/** What of a database session is needed here. Throws as the session does. */
export interface ShopSession {
  texts(sql: string): Promise<(string | null)[][]>;
  run(sql: string): Promise<{ readonly affectedRows: number }>;
}

/** The shop's tables: of the running database, of the one loaded beside it, or of a drill's scratch schema. */
export interface ShopTables {
  readonly session: ShopSession;
  /** Stands before every name; null: the session's own database. */
  readonly database: string | null;
  /** Of the tables' names, such as `ps_`. */
  readonly prefix: string;
}

export interface ShopKind {
  readonly application: 'prestashop' | 'wordpress' | 'generic';
  /** null: it is there and does not say, or nothing is there. */
  readonly version: string | null;
  readonly layout: '1.6' | '1.7' | '8' | '9' | 'wordpress' | 'generic';
}

/** One row of ps_configuration as it was; which row it is, is said by its name and whom it is of. */
export interface SwitchRow {
  readonly name: 'PS_SHOP_ENABLE' | 'PS_MAINTENANCE_IP' | 'PS_MAINTENANCE_ALLOW_ADMINS';
  /** Both null: of all shops. */
  readonly groupId: number | null;
  readonly shopId: number | null;
  readonly value: string | null;
}

/**
 * The maintenance switch as it was before anything was changed: a value for SEQ's journal, written there before `closeSwitch` is called.
 * null where there is none (no PrestaShop, or a database without its tables).
 */
export type SwitchState = { readonly rows: readonly SwitchRow[] } | null;

/** One row of ps_shop_url. */
export interface ShopUrl {
  readonly id: number;
  readonly shopId: number;
  readonly domain: string;
  readonly domainSsl: string;
  readonly physicalUri: string;
  readonly virtualUri: string;
  readonly main: boolean;
  readonly active: boolean;
}

export interface ShopState {
  readonly kind: ShopKind;
  readonly switch: SwitchState;
  /** Whether any shop was open to clients by its switch; null where there is none. */
  readonly open: boolean | null;
  /** Files of the tree that a guard stands before now: more than none means that a restore was interrupted here. */
  readonly guarded: readonly string[];
  readonly shops: readonly { readonly id: number; readonly groupId: number; readonly active: boolean }[];
  readonly urls: readonly ShopUrl[];
  /** Files with secrets and settings of this machine that are there, relative to the root. */
  readonly settings: readonly string[];
  /** Of folders that matter: `uid:gid`, by path below the root. */
  readonly owners: Readonly<Record<string, string>>;
  /** Figures that tell whether what comes back is of the same order; null: not there. */
  readonly counts: ShopCounts | null;
  /** Images that the database names and the tree lacks; null: not known. */
  readonly missingImages: number | null;
  /** Tables, without prefix, that every shop of the kind has and this one does not. */
  readonly missingTables?: readonly string[];
}

export interface ShopCounts {
  readonly tables: number;
  readonly products: number;
  readonly images: number;
  readonly orders: number;
}

/** What a step did, for journal and screen. `changed` false: it was so already, or there is nothing to do (`detail` says why). */
export interface Did {
  readonly changed: boolean;
  readonly detail: string;
}

/** What a check found. `ok` null: it could not be made here, which is not green. */
export interface ShopFinding {
  readonly check:
    | 'closed'
    | 'open'
    | 'http'
    | 'marker'
    | 'tables'
    | 'version'
    | 'products'
    | 'images'
    | 'orders'
    | 'settings'
    | 'owners'
    | 'guard'
    | 'caches';
  readonly ok: boolean | null;
  /** null when ok. */
  readonly code: ErrorCode | null;
  /** One sentence without shop data. */
  readonly detail: string;
  readonly figures: Readonly<Record<string, number | string | null>>;
}

/** Which settings files stay. `keep`: this machine's, with those keys that belong to the restored database; `archive`: the archive's. */
export type SettingsChoice = 'keep' | 'archive';

export interface SettingsScope {
  /** The archive's database comes too. */
  readonly databaseRestored: boolean;
  /** The staged tree is to take the root's place; false: it holds what differs, and is moved into it. */
  readonly whole: boolean;
}

/** Replaces a domain wherever the shop's database names it. */
export interface DomainChange {
  /** null: the main domain of the main shop. */
  readonly from: string | null;
  readonly to: string;
  /** null: stays. Such as `/` or `/boutique/`. */
  readonly physicalUri: string | null;
}

export interface HttpCheck {
  /** Such as `https://www.dupont.example/`; its host goes into the Host header and TLS. null: each shop's main address, as its database has it. */
  readonly url: string | null;
  /**
   * Where to connect, as seen from the shop's host (`port` null: that of http or https); the certificate is not looked at then. null: where
   * the URL's name leads from here.
   */
  readonly through: { readonly host: string; readonly port: number | null } | null;
  /** Of one request. */
  readonly timeoutMs: number;
  /** For how long another answer than the wanted one is asked again: PHP looks at files every two seconds, or so (opcache). Default: 15 s. */
  readonly patienceMs?: number;
  /** Text that the page must hold; null: the shop's own name, as its database has it. */
  readonly marker: string | null;
}

export interface SmokeOptions {
  readonly tables: ShopTables | null;
  /** null: HTTP is not asked, and the findings say so. */
  readonly http: HttpCheck | null;
  /** Full names, as the manifest has them, that must be there; null: those that every PrestaShop has. */
  readonly expectedTables: readonly string[] | null;
  /** As it was before the restore, where that was a shop to compare with. */
  readonly before: ShopState | null;
  readonly signal: AbortSignal;
}

/**
 * Every method can be repeated after a kill, and does then what is left to do. Order of a whole shop's restore:
 *
 *   inspect                       keep what it returns before going on
 *   guard(root), closeSwitch      closed; then proveClosed where HTTP can be asked
 *   readSwitch(beside)            keep it, then closeSwitch(beside): the restored database does not reopen at its swap
 *   settleSettings, guard(staged) before files are swapped: the new tree is closed when it comes
 *   … both swaps …
 *   guard(root)                   again: whatever came into the tree
 *   emptyCaches, setDomains
 *   smokeTest                     passes the guard and the switch, clients do not
 *   setSwitch, unguard(root)      open: index.php is whole last
 *
 * A staged tree that holds only what differs is guarded too, then moved in: its guards and kept files go over the old ones, and the newest
 * kept file counts. Nothing whose name begins with GUARD_PREFIX (guard-page.ts) may be removed meanwhile, and a comparison finds the files that
 * it GUARDED different until `unguard`.
 *
 * Throws E_SHOP_GUARD, E_SHOP_SETTINGS, E_TARGET_WRITE, E_TARGET_SPACE, E_TOOL_MISSING, E_SSH_…, E_DB_… .
 */
export interface ShopTarget {
  /** Changes nothing. */
  inspect(tables: ShopTables | null, signal?: AbortSignal): Promise<ShopState>;
  /** Puts the guard before the entry points of a tree: the shop's root (default) or a staged one beside it. */
  guard(root?: string): Promise<Did>;
  /** Puts the real files back, index.php last. Throws E_SHOP_GUARD when one of them is lost. */
  unguard(root?: string): Promise<Did>;
  readSwitch(tables: ShopTables | null): Promise<SwitchState>;
  /** PrestaShop's own maintenance, for every shop and group; one transaction. */
  closeSwitch(tables: ShopTables | null): Promise<Did>;
  /** Back to `state`, exactly its rows; one transaction. */
  setSwitch(tables: ShopTables | null, state: SwitchState): Promise<Did>;
  /** Brings the settings files of the staged tree to what is chosen. */
  settleSettings(staged: string, choice: SettingsChoice, scope: SettingsScope): Promise<readonly ShopFinding[]>;
  /** Of the tree, and what Smarty keeps in tables. Throws E_TARGET_WRITE when something of them stays. */
  emptyCaches(tables: ShopTables | null): Promise<Did>;
  /** In the database and in the part of .htaccess that PrestaShop writes. */
  setDomains(tables: ShopTables | null, changes: readonly DomainChange[]): Promise<Did>;
  /** Asks as a client does: only the guard's answer, or PrestaShop's own maintenance, is ok. `tables`: for a URL that is not given. */
  proveClosed(tables: ShopTables | null, http: HttpCheck, signal: AbortSignal): Promise<ShopFinding>;
  /**
   * Asks as a client does, once guard and switch are off: a page of each shop whose switch says that it is open. `http` null: the switch in the
   * database is looked at alone, and what stands at the entry points. Throws the signal's reason.
   */
  proveOpen(tables: ShopTables | null, to: SwitchState, http: HttpCheck | null, signal: AbortSignal): Promise<ShopFinding>;
  smokeTest(options: SmokeOptions): Promise<readonly ShopFinding[]>;
}
