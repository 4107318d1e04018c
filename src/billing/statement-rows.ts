// Issued statements as the catalog keeps them, and what both statements and corrections are made from.
import { createHash } from 'node:crypto';
import type { Kysely, Selectable } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import type { StatementsTable } from '../catalog/tables/statements.ts';
import type { Tables } from '../catalog/tables.ts';
import type { Clock } from '../clock.ts';
import type { Config, ContractConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import type { Peaks } from './peaks.ts';
import type { BillingPeriod } from './period.ts';
import type { Statement } from './statement-schema.ts';

export type StatementRow = Selectable<StatementsTable>;

export interface BillingDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly config: Pick<Config, 'contracts' | 'shops'>;
  /** As `contractPeaks`; the daemon's is in a thread of its own. */
  readonly peaks: (catalog: Catalog, contract: ContractConfig, period: BillingPeriod) => Promise<Peaks>;
}

/** Throws E_UNKNOWN_CONTRACT. */
export function requireContract(config: BillingDeps['config'], name: string): ContractConfig {
  const contract = config.contracts.get(name);
  if (!contract) throw new CoffreError('E_UNKNOWN_CONTRACT', `no contract ${JSON.stringify(name)}`);
  return contract;
}

/** Shops that it covers by the configuration. */
export function declaredShops({ shops }: BillingDeps['config'], contract: ContractConfig): readonly string[] {
  return contract.shops ?? [...shops.values()].filter((shop) => shop.vaults.includes(contract.vault)).map((shop) => shop.name);
}

/** Hex SHA-256 of the canonical document without its hash. */
export const statementHash = (document: string): string => createHash('sha256').update(document).digest('hex');

/** As it was issued. */
export const documentOf = ({ document, hash }: Pick<StatementRow, 'document' | 'hash'>): Statement => ({
  ...(JSON.parse(document) as Omit<Statement, 'hash'>),
  hash,
});

export const periodOfStatement = ({ end, from, months, start, to }: NonNullable<Statement['period']>): BillingPeriod => ({
  ...{ from, to, months, start: Temporal.Instant.from(start), end: Temporal.Instant.from(end) },
});

/** Of one that is no statement of corrections. Throws E_INTERNAL. */
export function billedPeriod({ number, period }: Pick<Statement, 'number' | 'period'>): BillingPeriod {
  if (period === null) throw new CoffreError('E_INTERNAL', `${number} has no period`);
  return periodOfStatement(period);
}

/** Throws E_UNKNOWN_STATEMENT. */
export async function statementRow(db: Kysely<Tables>, number: string): Promise<StatementRow> {
  const row = await db.selectFrom('statements').selectAll().where('number', '=', number).executeTakeFirst();
  if (!row) throw new CoffreError('E_UNKNOWN_STATEMENT', `no statement ${JSON.stringify(number)} was issued`);
  return row;
}
