// A shop that is restored where it runs: closed, brought in order, tried and opened again. The steps of the port, each over the files beside this one.
import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import type { FilesConfig } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import { detectShop } from '../../source/shop/detect.ts';
import type {
  Did,
  DomainChange,
  HttpCheck,
  SettingsChoice,
  SettingsScope,
  ShopFinding,
  ShopKind,
  ShopState,
  ShopTables,
  ShopTarget,
  SmokeOptions,
  SwitchState,
} from '../shop.ts';
import { emptyCaches } from './caches.ts';
import { CORE_TABLES, countShop } from './checks.ts';
import { readUrls, setDomains } from './domains.ts';
import { fine, red } from './findings.ts';
import { lookAtEntries, placeGuards, removeGuards } from './guard.ts';
import { GUARDED } from './guard-page.ts';
import { checkImages } from './images.ts';
import { readOwners } from './owners.ts';
import { proveClosed, provePages } from './prove-closed.ts';
import { forgetQueries, readQueryCache } from './query-cache.ts';
import { isFolder, pathsThere } from './script.ts';
import { SETTINGS_FILES, settleSettings } from './settings.ts';
import { smokeTest } from './smoke-test.ts';
import { bearsOurMark, closeSwitch, isOpen, isSameSwitch, readSwitch, setSwitch } from './switch.ts';
import { ask, presentTables, tableName } from './tables.ts';

const NEVER = new AbortController().signal;
const NO_FOLDER: Did = { changed: false, detail: 'no guard: there is no folder' };
const NO_GUARD: Did = { changed: false, detail: 'no guard: coffre does not know what answers for a tree of profile generic' };

export class RunningShop implements ShopTarget {
  readonly #host: Host;
  readonly #files: Pick<FilesConfig, 'root' | 'profile'>;
  readonly #clock: Clock;

  /** `host` stays the caller's to close. */
  constructor(host: Host, files: Pick<FilesConfig, 'root' | 'profile'>, clock: Clock) {
    this.#host = host;
    this.#files = files;
    this.#clock = clock;
  }

  async inspect(tables: ShopTables | null, signal?: AbortSignal): Promise<ShopState> {
    const { root } = this.#files;
    const isThere = await this.#isThere();
    const [kind, entries, owners] = await Promise.all([
      this.#kind(signal),
      isThere ? lookAtEntries(this.#host, root, this.#guarded) : [],
      isThere ? readOwners(this.#host, root) : {},
    ]);
    const settings = SETTINGS_FILES[this.#files.profile].map(({ path }) => path);
    const state = await readSwitch(tables);
    const shops = tables === null || state === null ? [] : await readShops(tables);
    return {
      kind,
      switch: state,
      open: isOpen(state, shops),
      guarded: entries.filter(({ is }) => is === 'guard').map(({ path }) => path),
      shops,
      urls: tables === null || state === null ? [] : await readUrls(tables),
      settings: isThere ? await pathsThere(this.#host, root, settings) : [],
      owners,
      counts: tables === null ? null : await countShop(tables),
      missingTables: tables === null || state === null || kind.application !== 'prestashop' ? [] : await missingTables(tables),
      missingImages: isThere && kind.application === 'prestashop' ? await this.#missingImages(tables, signal ?? NEVER) : null,
    };
  }

  async guard(root?: string): Promise<Did> {
    if (this.#guarded.length === 0) return NO_GUARD;
    if (!(await this.#isThere(root))) return NO_FOLDER;
    // a staged tree may hold no more than what differs: a guard of its own would hide the real file that the root keeps
    const always = root === undefined || root === this.#files.root;
    return await placeGuards(this.#host, root ?? this.#files.root, this.#guarded, { always });
  }

  async unguard(root: string = this.#files.root): Promise<Did> {
    if (this.#guarded.length === 0) return NO_GUARD;
    if (!(await this.#isThere(root))) return NO_FOLDER;
    return await removeGuards(this.#host, root, this.#guarded);
  }

  readSwitch(tables: ShopTables | null): Promise<SwitchState> {
    return readSwitch(tables);
  }

  async closeSwitch(tables: ShopTables | null): Promise<Did> {
    return await this.#forgotten(tables, await closeSwitch(tables));
  }

  async setSwitch(tables: ShopTables | null, state: SwitchState): Promise<Did> {
    return await this.#forgotten(tables, await setSwitch(tables, state));
  }

  settleSettings(staged: string, choice: SettingsChoice, scope: SettingsScope): Promise<readonly ShopFinding[]> {
    const { root, profile: application } = this.#files;
    return settleSettings({ host: this.#host, application, root, staged, choice, ...scope });
  }

  async emptyCaches(tables: ShopTables | null): Promise<Did> {
    const { layout } = await this.#kind();
    const did = await emptyCaches(this.#host, this.#files.root, (await this.#isThere()) ? layout : 'generic', tables);
    return await this.#forgotten(tables, did);
  }

  async setDomains(tables: ShopTables | null, changes: readonly DomainChange[]): Promise<Did> {
    return await setDomains(this.#host, this.#files.root, tables, changes);
  }

  proveClosed(tables: ShopTables | null, http: HttpCheck, signal: AbortSignal): Promise<ShopFinding> {
    return proveClosed({ host: this.#host, clock: this.#clock, tables, http, signal });
  }

  async proveOpen(tables: ShopTables | null, to: SwitchState, http: HttpCheck | null, signal: AbortSignal): Promise<ShopFinding> {
    const { root } = this.#files;
    const state = await readSwitch(tables);
    if (to !== null && !isSameSwitch(state, to)) {
      return red('open', 'E_SHOP_CLOSED', 'PrestaShop’s maintenance switch in the database is not what it was set to');
    }
    if (bearsOurMark(state)) return red('open', 'E_SHOP_CLOSED', 'PrestaShop’s maintenance is still as coffre set it, closed to clients');
    const guards = (await this.#isThere()) ? (await lookAtEntries(this.#host, root, this.#guarded)).filter(({ is }) => is === 'guard') : [];
    if (guards.length > 0)
      return red('open', 'E_SHOP_CLOSED', `the guard still stands before ${guards.map(({ path }) => path).join(', ')}`);
    const shops = tables === null || state === null ? [] : await readShops(tables);
    const closed = shops.filter((shop) => shop.active && isOpen(state, [shop]) === false).map(({ id }) => id);
    if (state !== null && isOpen(state, shops) === false) return fine('open', 'PrestaShop’s own maintenance is on, as it was', { open: 0 });
    if (http === null) return fine('open', 'neither guard nor maintenance switch keeps clients out', { open: 1 });
    return await provePages({ host: this.#host, clock: this.#clock, tables, http, signal }, closed);
  }

  /** A one-time token lets the check past the guard; it dies with the check. Without a guard it asks as a client does. */
  async smokeTest(options: SmokeOptions): Promise<readonly ShopFinding[]> {
    const { root, profile } = this.#files;
    const isThere = await this.#isThere();
    const stands = isThere && (await lookAtEntries(this.#host, root, this.#guarded)).some(({ is }) => is === 'guard');
    const token = stands && options.http !== null ? randomBytes(32).toString('hex') : null;
    const forgetful = token !== null && profile === 'prestashop' && (await readQueryCache(this.#host, root)) === 'in php';
    const arm = async (passSha256: string | null): Promise<void> => {
      await placeGuards(this.#host, root, this.#guarded, { always: false, passSha256, forgetful });
    };
    if (token !== null) await arm(createHash('sha256').update(token).digest('hex'));
    try {
      // what the check sees, clients are to see: nothing older
      const said = await this.#forgetQueries(options.tables);
      const findings = await smokeTest({ host: this.#host, clock: this.#clock, root: isThere ? root : null, profile, token, ...options });
      return said === null ? findings : [...findings, fine('caches', said)];
    } finally {
      if (token !== null) await arm(null);
    }
  }

  /** Rows were changed, or may have been by a call that was killed. */
  async #forgotten(tables: ShopTables | null, did: Did): Promise<Did> {
    const said = await this.#forgetQueries(tables);
    return said === null ? did : { ...did, detail: `${did.detail}; ${said}` };
  }

  async #forgetQueries(tables: ShopTables | null): Promise<string | null> {
    if (tables === null || this.#files.profile !== 'prestashop') return null;
    return await forgetQueries(this.#host, this.#files.root, tables, this.#clock);
  }

  #isThere(root: string = this.#files.root): Promise<boolean> {
    return isFolder(this.#host, root);
  }

  /** What a shop lacks already is no fault of its restore. null when it cannot be counted. */
  async #missingImages(tables: ShopTables | null, signal: AbortSignal): Promise<number | null> {
    if (tables === null) return null;
    try {
      const { figures } = await checkImages({ host: this.#host, root: this.#files.root, tables, signal });
      return typeof figures.missing === 'number' ? figures.missing : null;
    } catch (error) {
      if (signal.aborted) throw error;
      return null;
    }
  }

  get #guarded(): readonly string[] {
    return GUARDED[this.#files.profile];
  }

  async #kind(signal?: AbortSignal): Promise<ShopKind> {
    const { profile } = this.#files;
    if (profile === 'generic') return { application: 'generic', version: null, layout: 'generic' };
    const { application } = await detectShop(this.#host, this.#files, signal);
    if (profile === 'wordpress') return { application: 'wordpress', version: application?.version ?? null, layout: 'wordpress' };
    const version = application?.version ?? null;
    const layouts: readonly ShopKind['layout'][] = ['1.6', '1.7', '8', '9'];
    // of one that says nothing, and of those to come: the newest has the places of all
    return { application: 'prestashop', version, layout: layouts.find((one) => one === application?.layout) ?? '9' };
  }
}

async function missingTables(tables: ShopTables): Promise<readonly string[]> {
  const there = await presentTables(tables, CORE_TABLES);
  return CORE_TABLES.filter((name) => !there.has(name));
}

async function readShops(tables: ShopTables): Promise<ShopState['shops']> {
  if (!(await presentTables(tables, ['shop'])).has('shop')) return [];
  const rows = await ask(
    tables,
    'ps_shop',
    `SELECT id_shop, id_shop_group, active FROM ${tableName(tables, 'shop')} WHERE deleted=0 ORDER BY id_shop`,
  );
  return rows.map(([id, groupId, active]) => ({ id: Number(id), groupId: Number(groupId), active: active === '1' }));
}

/** What is red or unknown among findings, as the one error of a restore that may not open its shop; null: nothing. */
export function redOf(findings: readonly ShopFinding[]): CoffreError | null {
  const bad = findings.filter(({ ok }) => ok !== true);
  const first = bad[0];
  if (first === undefined) return null;
  return new CoffreError(first.code ?? 'E_RED', bad.map(({ check, detail }) => `${check}: ${detail}`).join('; '));
}
