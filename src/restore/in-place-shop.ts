// What is done to the running shop around the swap: closed, brought in order, looked at, opened. Each step may be done again after a kill.
import type { SnapshotWithCopies } from '../catalog/snapshots.ts';
import { CoffreError } from '../errors.ts';
import { CORE_TABLES } from '../target/shop/checks.ts';
import { redOf } from '../target/shop/running-shop.ts';
import type { HttpCheck, SettingsChoice, ShopFinding, ShopState, ShopTables, ShopTarget, SwitchState } from '../target/shop.ts';
import type { FilesTarget, HeldDatabase } from '../target/target.ts';

/** The shop as it runs, and how its parts are opened. Who opens something closes it. */
export interface RunningShop {
  /** Its tree, on its own host, whether files are restored or not; null: it has none. */
  readonly root: string | null;
  readonly target: ShopTarget;
  /** Of the running database, or of the one loaded beside; null: the shop has no database, or nobody knows what its tables are called. */
  tables(where: 'running' | 'beside'): ShopTables | null;
  /** `remove`: what the snapshot does not have goes. */
  openFiles(snapshot: SnapshotWithCopies, paths: readonly string[], remove: boolean): Promise<FilesTarget>;
  openDatabase(): Promise<HeldDatabase>;
  /** What was fetched of files, and is not to be put in place any more, goes. */
  discardFiles(): Promise<void>;
  /** How a page of the shop is asked for; null: not at all. */
  readonly http: HttpCheck | null;
}

const NEVER = new AbortController().signal;

export class ShopSteps {
  /** What was found right, and what was not but did not matter, in words. */
  readonly checks: string[] = [];
  readonly warnings: string[] = [];
  /** After `open`; false: its owner had closed it. */
  isOpen = false;
  readonly #shop: RunningShop;
  readonly #signal: AbortSignal;

  constructor(shop: RunningShop, signal: AbortSignal) {
    this.#shop = shop;
    this.#signal = signal;
  }

  inspect(): Promise<ShopState> {
    return this.#shop.target.inspect(this.#shop.tables('running'), this.#signal);
  }

  /** The maintenance page, by PrestaShop's own switch and by a guard that a restored database cannot open. Throws when clients see another. */
  async close(): Promise<void> {
    const { root, target, http } = this.#shop;
    if (root !== null) await target.guard();
    await target.closeSwitch(this.#shop.tables('running'));
    if (http === null) return;
    const finding = await target.proveClosed(this.#shop.tables('running'), http, this.#signal);
    this.#tell([finding]);
    const red = redOf([finding]);
    if (red !== null)
      throw new CoffreError(red.code, `the maintenance page is not what clients see: ${finding.detail}`, { hint: red.hint });
  }

  /** The switch of the database that was loaded beside, as the snapshot has it. */
  switchBeside(): Promise<SwitchState> {
    return this.#shop.target.readSwitch(this.#shop.tables('beside'));
  }

  /**
   * Killed anywhere, whoever restores into it next, by whatever order, finds no switch there but a snapshot's: the table is noted as one to be
   * loaded again before it is closed.
   */
  async closeBeside(database: Pick<HeldDatabase, 'willAlter'>): Promise<void> {
    const beside = this.#shop.tables('beside');
    if (beside === null) return;
    await database.willAlter([`${beside.prefix}configuration`]);
    await this.#shop.target.closeSwitch(beside);
  }

  /** What is staged keeps the settings chosen, and is closed when it comes. `whole`: it is a whole tree, not what differs. */
  async arrange(staged: readonly string[], choice: SettingsChoice, databaseRestored: boolean, whole: boolean): Promise<void> {
    const { target } = this.#shop;
    for (const folder of staged) {
      this.#tell(await target.settleSettings(folder, choice, { databaseRestored, whole }));
      await target.guard(folder);
    }
  }

  async finish(domain: string | null): Promise<void> {
    const { root, target } = this.#shop;
    if (root !== null) {
      // whatever came into the tree by itself meanwhile
      await target.guard();
      await target.emptyCaches(this.#shop.tables('running'));
    }
    if (domain !== null) await target.setDomains(this.#shop.tables('running'), [{ from: null, to: domain, physicalUri: null }]);
  }

  /** `before`: to compare with; null: it was another shop's state. `lacking`: core tables that it need not have. What is red or unknown; null: nothing. */
  async check(before: ShopState | null, lacking: readonly string[]): Promise<CoffreError | null> {
    const { target, http } = this.#shop;
    const tables = this.#shop.tables('running');
    const expectedTables =
      tables === null || lacking.length === 0
        ? null
        : CORE_TABLES.filter((name) => !lacking.includes(name)).map((name) => tables.prefix + name);
    const findings = await target.smokeTest({ tables, http, expectedTables, before, signal: this.#signal });
    this.#tell(findings);
    return redOf(findings);
  }

  /**
   * The switch first: index.php is whole last. Then it is looked at as clients see it, for nobody is told that a shop is open that is not: it
   * throws when they are kept out. `pages`: a page is asked for too; false where the shop may have shown none before either.
   */
  async open(to: SwitchState, pages: boolean): Promise<void> {
    const { root, target, http } = this.#shop;
    const tables = this.#shop.tables('running');
    await target.setSwitch(tables, to);
    if (root !== null) await target.unguard();
    // told to stop it must be found out all the same
    const finding = await target.proveOpen(tables, to, pages ? http : null, NEVER);
    const red = redOf([finding]);
    if (red !== null) throw new CoffreError('E_SHOP_CLOSED', `opened, clients are still kept out: ${finding.detail}`, { cause: red });
    this.#tell([finding]);
    this.isOpen = finding.figures.open !== 0;
  }

  #tell(findings: readonly ShopFinding[]): void {
    for (const { check, ok, detail } of findings) (ok ? this.checks : this.warnings).push(`${check}: ${detail}`);
  }
}
