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
  /** Figures that tell whether what comes back is of the same order; null: not there. */
  readonly counts: ShopCounts | null;
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

/** Replaces a domain wherever the shop's database names it. */
export interface DomainChange {
  readonly from: string;
  readonly to: string;
  /** null: stays. Such as `/` or `/boutique/`. */
  readonly physicalUri: string | null;
}

export interface HttpCheck {
  /** Such as `https://www.dupont.example/`; its host goes into the Host header and TLS. */
  readonly url: string;
  /** Where to connect, as seen from the shop's host; null: where the URL's name leads from here. */
  readonly through: { readonly host: string; readonly port: number } | null;
  readonly timeoutMs: number;
  /** Text that the page must hold; null: the shop's own name, as its database has it. */
  readonly marker: string | null;
}

export interface SmokeOptions {
  readonly tables: ShopTables | null;
  /** null: HTTP is not asked, and the findings say so. */
  readonly http: HttpCheck | null;
  /** Names without prefix that must be there; null: those that every PrestaShop has. */
  readonly expectedTables: readonly string[] | null;
  /** As before the restore, where it is known. */
  readonly before: ShopCounts | null;
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
 * Whoever writes single files into the guarded tree leaves out `GUARDED` paths (guard.ts) or guards what is staged first, and removes nothing
 * whose name begins with GUARD_PREFIX.
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
  /** Brings the settings files of the staged tree to what is chosen. `databaseRestored`: the archive's database comes too. */
  settleSettings(staged: string, choice: SettingsChoice, scope: { readonly databaseRestored: boolean }): Promise<readonly ShopFinding[]>;
  emptyCaches(root?: string): Promise<Did>;
  /** In the database and in the part of .htaccess that PrestaShop writes. */
  setDomains(tables: ShopTables | null, changes: readonly DomainChange[]): Promise<Did>;
  /** Asks without a token: only the guard's answer, or PrestaShop's own maintenance, is ok. */
  proveClosed(http: HttpCheck, signal: AbortSignal): Promise<ShopFinding>;
  smokeTest(options: SmokeOptions): Promise<readonly ShopFinding[]>;
}
