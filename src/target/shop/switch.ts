// PrestaShop's own maintenance: read, set for every shop and group, and set back. A value of a shop goes before its group's, and that before all shops'.
import { quoteText } from '../mariadb/names.ts';
import type { Did, ShopState, ShopTables, SwitchRow, SwitchState } from '../shop.ts';
import { CHECK_ADDRESS } from './guard-page.ts';
import { ask, change, inTransaction, presentTables, tableName } from './tables.ts';

/** The value while closed, and whether a row for all shops is made where there is none. The third is of 8.1 and later. */
const CLOSED: readonly { readonly name: SwitchRow['name']; readonly value: string; readonly always: boolean }[] = [
  { name: 'PS_SHOP_ENABLE', value: '0', always: true },
  // nobody but our own check, which the guard lets through with this address
  { name: 'PS_MAINTENANCE_IP', value: CHECK_ADDRESS, always: true },
  { name: 'PS_MAINTENANCE_ALLOW_ADMINS', value: '0', always: false },
];
const NAMES = CLOSED.map(({ name }) => quoteText(name)).join(',');
const WHAT = 'the maintenance switch in ps_configuration';

/** null: no PrestaShop's tables. Throws E_DB_READ. */
export async function readSwitch(tables: ShopTables | null): Promise<SwitchState> {
  if (tables === null || !(await presentTables(tables, ['configuration'])).has('configuration')) return null;
  const found = await ask(
    tables,
    WHAT,
    `SELECT name, id_shop_group, id_shop, value FROM ${tableName(tables, 'configuration')} WHERE name IN (${NAMES}) ORDER BY id_configuration`,
  );
  const rows = new Map<string, SwitchRow>();
  for (const [name, groupId, shopId, value] of found) {
    const row: SwitchRow = { name: name as SwitchRow['name'], groupId: idOf(groupId), shopId: idOf(shopId), value: value ?? null };
    // there is no unique key: of several, PrestaShop takes the last one
    rows.set(keyOf(row), row);
  }
  return { rows: [...rows.values()] };
}

/** One transaction; where the table is MyISAM the switch itself comes first. Throws E_DB_READ, E_TARGET_WRITE. */
export async function closeSwitch(tables: ShopTables | null): Promise<Did> {
  const state = await readSwitch(tables);
  if (tables === null || state === null) return NO_SWITCH;
  const table = tableName(tables, 'configuration');
  const changed = await inTransaction(tables, WHAT, async () => {
    let rows = 0;
    for (const { name, value, always } of CLOSED) {
      rows += await change(
        tables,
        WHAT,
        `UPDATE ${table} SET value=${quoteText(value)} WHERE name=${quoteText(name)} AND NOT (value <=> ${quoteText(value)})`,
      );
      const global = state.rows.some((row) => row.name === name && row.groupId === null && row.shopId === null);
      if (always && !global) rows += await insert(tables, { name, groupId: null, shopId: null, value });
    }
    return rows;
  });
  return {
    changed: changed > 0,
    detail: changed > 0 ? 'PrestaShop’s maintenance is on for every shop' : 'PrestaShop’s maintenance was on',
  };
}

/** Rows that `state` does not have go. One transaction; where the table is MyISAM the switch itself comes last. Throws E_DB_READ, E_TARGET_WRITE. */
export async function setSwitch(tables: ShopTables | null, state: SwitchState): Promise<Did> {
  const now = await readSwitch(tables);
  if (tables === null || now === null || state === null) return NO_SWITCH;
  const table = tableName(tables, 'configuration');
  const wanted = new Map(state.rows.map((row) => [keyOf(row), row]));
  const there = new Map(now.rows.map((row) => [keyOf(row), row]));
  const changed = await inTransaction(tables, WHAT, async () => {
    let rows = 0;
    for (const { name } of [...CLOSED].reverse()) {
      for (const [key, row] of wanted) {
        if (row.name !== name) continue;
        if (!there.has(key)) rows += await insert(tables, row);
        else
          rows += await change(
            tables,
            WHAT,
            `UPDATE ${table} SET value=${literal(row.value)} WHERE ${isRow(row)} AND NOT (value <=> ${literal(row.value)})`,
          );
      }
      for (const [key, row] of there) {
        if (row.name === name && !wanted.has(key)) rows += await change(tables, WHAT, `DELETE FROM ${table} WHERE ${isRow(row)}`);
      }
    }
    return rows;
  });
  const open = isOpen(state, null) ? 'off' : 'on, as it was';
  return { changed: changed > 0, detail: `PrestaShop’s maintenance is ${open}` };
}

/**
 * The values that `closeSwitch` writes, read back: of a database that coffre closed and nobody opened, or of a snapshot that was taken of
 * one. By the address alone, which no shop lets in by itself; a shop that its owner closed has another, or none.
 */
export function bearsOurMark(state: SwitchState): boolean {
  return state?.rows.some(({ name, value }) => name === 'PS_MAINTENANCE_IP' && value === CHECK_ADDRESS) ?? false;
}

/**
 * What a shop is opened to: `state`, unless that is coffre's own doing; then the first of `others` that is not, or the same rows as PrestaShop
 * installs them, open. Pure.
 */
export function openedTo(state: SwitchState, others: readonly SwitchState[]): SwitchState {
  if (!bearsOurMark(state)) return state;
  const other = others.find((one) => one !== null && !bearsOurMark(one));
  if (other) return other;
  return state && { rows: state.rows.map((row) => ({ ...row, value: INSTALLED[row.name] })) };
}

const INSTALLED: Readonly<Record<SwitchRow['name'], string>> = {
  PS_SHOP_ENABLE: '1',
  PS_MAINTENANCE_IP: '',
  PS_MAINTENANCE_ALLOW_ADMINS: '1',
};

/** Pure: the same rows with the same values. */
export function isSameSwitch(a: SwitchState, b: SwitchState): boolean {
  const list = (state: SwitchState): string => JSON.stringify(state?.rows.map((row) => [keyOf(row), row.value]).sort() ?? null);
  return list(a) === list(b);
}

/** Whether clients get into any of the active `shops` (null: any shop that has a value), as PrestaShop judges. null: no switch. */
export function isOpen(state: SwitchState, shops: ShopState['shops'] | null): boolean | null {
  if (state === null) return null;
  const enabled = state.rows.filter(({ name }) => name === 'PS_SHOP_ENABLE');
  if (shops === null || shops.length === 0) return enabled.some(({ value }) => isOn(value));
  return shops
    .filter(({ active }) => active)
    .some(({ id, groupId }) => {
      const row =
        enabled.find(({ shopId }) => shopId === id) ??
        enabled.find((one) => one.shopId === null && one.groupId === groupId) ??
        enabled.find((one) => one.shopId === null && one.groupId === null);
      return isOn(row?.value ?? null);
    });
}

const NO_SWITCH: Did = { changed: false, detail: 'there is no maintenance switch: no tables of PrestaShop' };

/** As PHP's (int) has it. */
const isOn = (value: string | null): boolean => (Number.parseInt(value ?? '', 10) || 0) !== 0;

const keyOf = ({ name, groupId, shopId }: SwitchRow): string => `${name}/${groupId}/${shopId}`;

/** Older versions wrote 0 for none. */
function idOf(text: string | null | undefined): number | null {
  return text === null || text === undefined || text === '0' ? null : Number(text);
}

function isRow({ name, groupId, shopId }: SwitchRow): string {
  return `name=${quoteText(name)} AND COALESCE(id_shop_group,0)=${groupId ?? 0} AND COALESCE(id_shop,0)=${shopId ?? 0}`;
}

const literal = (value: string | null): string => (value === null ? 'NULL' : quoteText(value));

async function insert(tables: ShopTables, { name, groupId, shopId, value }: SwitchRow): Promise<number> {
  return await change(
    tables,
    WHAT,
    `INSERT INTO ${tableName(tables, 'configuration')} (id_shop_group, id_shop, name, value, date_add, date_upd) ` +
      `VALUES (${groupId ?? 'NULL'}, ${shopId ?? 'NULL'}, ${quoteText(name)}, ${literal(value)}, NOW(), NOW())`,
  );
}
