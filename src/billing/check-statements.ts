// Whether every statement is as it was issued, in its place, and none is missing; and whether its figures give its amounts.
import type { Kysely } from 'kysely';
import { Temporal } from 'temporal-polyfill';
import type { Catalog } from '../catalog/open.ts';
import type { Tables } from '../catalog/tables.ts';
import type { ContractConfig } from '../config/config.ts';
import { canonicalJson } from '../segment/canonical-json.ts';
import { CHAIN_START } from './chain.ts';
import { checkCorrections, type StatementFinding } from './check-corrections.ts';
import { type Measure, measureFor } from './measure.ts';
import { decimalOf } from './money.ts';
import { contractPeaks } from './period-peaks.ts';
import { type CorrectionInput, correctionStatementOf, statementOf } from './statement.ts';
import { billedPeriod, documentOf, periodOfStatement, type StatementRow, statementHash } from './statement-rows.ts';
import type { Statement, StatementBody } from './statement-schema.ts';
import { ISSUED } from './statements.ts';

export interface StatementsCheck {
  readonly statements: number;
  /** Hash of the newest one, zeros when there is none: what is compared with what was kept elsewhere. */
  readonly head: string;
  readonly findings: readonly StatementFinding[];
}

/**
 * Recomputes the chain over all contracts from its start, and that of the corrections. A newest one that was cut off shows by the audit, or against a head that was kept
 * elsewhere.
 */
export async function checkStatements(db: Kysely<Tables>): Promise<StatementsCheck> {
  const rows = await db.selectFrom('statements').selectAll().orderBy('id').execute();
  const findings: StatementFinding[] = [];
  const byHash = new Map(rows.map((row) => [row.hash, row.number]));
  let previous = CHAIN_START;
  let before: StatementRow | null = null;
  let position = 0;
  const last = new Map<string, number>();
  for (const row of rows) {
    const find = (what: string): void => void findings.push({ statement: row.number, what });
    const document = parse(row);
    if (document === null) find('its document cannot be read');
    else {
      if (statementHash(row.document) !== row.hash) find('its document is not the one that was issued');
      else if (document.previous !== previous) find(outOfPlace(document, before, byHash));
      for (const what of contradictions(row, document)) find(what);
    }
    if (row.id !== ++position) {
      findings.push({ statement: null, what: `${row.id - position} statements before ${row.number} are missing` });
      position = row.id;
    }
    const [beginning, place] = placeOf(row.number);
    const expected = (last.get(beginning) ?? 0) + 1;
    for (let missing = expected; missing < place; missing++) {
      findings.push({ statement: `${beginning}${String(missing).padStart(4, '0')}`, what: 'it is missing' });
    }
    if (place < expected) find('its number is out of order');
    last.set(beginning, Math.max(place, expected - 1));
    previous = row.hash;
    before = row;
  }
  findings.push(...(await againstAudit(db, rows)));
  const documents = rows.map(parse).filter((document) => document !== null);
  findings.push(...(await checkCorrections(db, documents)));
  return { statements: rows.length, head: previous, findings };
}

function parse(row: StatementRow): Statement | null {
  try {
    return documentOf(row);
  } catch {
    return null;
  }
}

function outOfPlace({ previous }: Statement, before: StatementRow | null, byHash: ReadonlyMap<string, string>): string {
  const stands = before === null ? 'stands first' : `stands after ${before.number}`;
  if (previous === CHAIN_START) return `it was issued first, and ${stands}`;
  const known = byHash.get(previous ?? '');
  if (known !== undefined) return `it was issued after ${known}, and ${stands}`;
  return before === null
    ? 'the one before it is missing'
    : `it does not follow from ${before.number}: that one was altered, or one between them is missing`;
}

/** Where what the catalog lists is not what the document says, or sums do not agree. */
function contradictions(row: StatementRow, document: Statement): string[] {
  const found: string[] = [];
  const listed = {
    ...{ number: row.number, contract: row.contract, kind: row.kind, currency: row.currency, net: row.net, period: row.period },
    ...{ issuedAt: Temporal.Instant.fromEpochMilliseconds(row.issuedAt).toString(), corrections: row.corrections },
  };
  const corrections = document.lines.flatMap((line) => (line.kind === 'correction' ? [line.id] : []));
  const said = {
    ...{ number: document.number, contract: document.contract, kind: document.kind, currency: document.currency, net: document.net },
    ...{ period: (document.period?.from ?? dayOfIssue(document)).slice(0, 7), issuedAt: document.issuedAt },
    corrections: JSON.stringify(corrections),
  };
  for (const [key, value] of Object.entries(listed)) {
    if (value !== said[key as keyof typeof said])
      found.push(`its ${key} in the list is ${value}, and ${said[key as keyof typeof said]} in its document`);
  }
  const sum = (amounts: readonly string[]): string =>
    amounts.reduce((total, amount) => total.plus(amount), decimalOf(0)).toFixed(document.decimals);
  if (sum(document.lines.map((line) => line.amount)) !== document.net) found.push('its lines do not add up to its net amount');
  const { rebilling, tax, taxes, total } = document;
  if (sum([document.net, ...(tax ? [tax.amount] : [])]) !== total) found.push('its net amount and its tax do not add up to its total');
  if (taxes && sum(taxes.map(({ amount }) => amount)) !== sum(tax ? [tax.amount] : [])) found.push('its taxes do not add up to its tax');
  if (rebilling && sum([...rebilling.shops.map((shop) => shop.amount), rebilling.unassigned]) !== document.net) {
    found.push('its shops’ parts do not add up to its net amount');
  }
  return found;
}

function placeOf(number: string): [beginning: string, place: number] {
  const at = number.lastIndexOf('-') + 1;
  return [number.slice(0, at), Number(number.slice(at))];
}

/** The audit, as long as it is kept, names each that was issued with its hash. */
async function againstAudit(db: Kysely<Tables>, rows: readonly StatementRow[]): Promise<StatementFinding[]> {
  const hashes = new Map(rows.map((row) => [row.number, row.hash]));
  const told = await db.selectFrom('audit').select('detail').where('what', '=', ISSUED).orderBy('id').execute();
  return told.flatMap(({ detail }) => {
    const { number, hash } = JSON.parse(detail ?? '{}') as { readonly number: string; readonly hash: string };
    const found = hashes.get(number);
    if (found === hash) return [];
    return [
      {
        statement: number,
        what: found === undefined ? 'the audit says that it was issued, and it is missing' : 'the audit names another hash for it',
      },
    ];
  });
}

/**
 * The statement computed again from its own terms. `measure`: of its period, as the ledger says now; null: as the statement itself says.
 * `weightsOf`: how a corrected statement was divided.
 */
export function recomputed(
  statement: Statement,
  measure: Measure | null,
  weightsOf: (number: string) => CorrectionInput['weights'],
): StatementBody {
  const contract = contractOf(statement);
  const { kind, lines, period, terms, version } = statement;
  const corrections = lines.flatMap((line) => (line.kind === 'correction' ? [{ line, weights: weightsOf(line.of) }] : []));
  const input = { contract, corrections, shops: terms.shops };
  const body =
    kind === 'correction'
      ? correctionStatementOf({ ...input, day: period?.to ?? dayOfIssue(statement) })
      : statementOf({ ...input, period: billedPeriod(statement), ...(measure ?? measureIn(statement)) });
  return withWeightsAs(statement, version === 1 ? asVersion1(body, period) : body);
}

/** Its measured period as the ledger says now, read by `peaks`. Throws E_LEDGER_PURGED. */
export async function measureAgain(catalog: Catalog, statement: Statement, peaks: typeof contractPeaks = contractPeaks): Promise<Measure> {
  const { kind, measured, version } = statement;
  const contract = contractOf(statement);
  if (kind === 'correction') return { measured: null, unmeasured: null };
  if (version > 1) return await measureFor({ catalog, peaks }, contract, billedPeriod(statement));
  const period = measured && periodOfStatement(measured);
  return { measured: period && { period, peaks: await peaks(catalog, contract, period) }, unmeasured: null };
}

/** An older coffre wrote no weights on statements of corrections. */
function withWeightsAs({ kind, rebilling }: Statement, body: StatementBody): StatementBody {
  if (kind !== 'correction' || body.rebilling === null || rebilling?.shops.some(({ weight }) => weight !== 0)) return body;
  return { ...body, rebilling: { ...body.rebilling, shops: body.rebilling.shops.map((one) => ({ ...one, weight: 0 })) } };
}

/** Without what an older coffre did not know. */
function asVersion1(body: StatementBody, period: Statement['period']): StatementBody {
  const { taxes, ...rest } = body;
  const { taxRates, ...terms } = body.terms;
  return { ...rest, version: 1, terms, period, notices: body.notices.filter(({ code }) => code === 'index-unknown') };
}

const dayOfIssue = ({ issuedAt, timezone }: Pick<Statement, 'issuedAt' | 'timezone'>): string =>
  Temporal.Instant.from(issuedAt ?? '')
    .toZonedDateTimeISO(timezone)
    .toPlainDate()
    .toString();

/** What a statement says, without who issued it and when: the same ledger and terms always give the same text. */
export function bodyText(statement: Statement | StatementBody): string {
  const { state, number, issuedAt, previous, hash, ...body } = statement as Statement;
  return canonicalJson(body);
}

function measureIn({ measured, notices }: Statement): Measure {
  const at = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
  return {
    measured: measured && {
      period: periodOfStatement(measured),
      peaks: {
        sum: { peakBytes: measured.peakBytes, at: at(measured.peakAt) },
        shops: measured.shops.map((one) => ({ ...one, at: at(one.peakAt) })),
      },
    },
    unmeasured: notices.find(({ code }) => code === 'unmeasured')?.day ?? null,
  };
}

function contractOf({ contract, currency, terms, timezone, title, vault }: Statement): ContractConfig {
  const { covers, end, firstMonth, index, paid, perTBMonth, period, prices, rebill, start, stepTB, subscribedTB } = terms;
  const rates = terms.taxRates ?? (terms.taxPercent === null ? [] : [{ from: null, percent: terms.taxPercent }]);
  return {
    ...{ name: contract, vault, title, timezone, period, paid, firstMonth, start, end, rebill, shops: covers, issue: 'manual' },
    taxPercent: rates.find(({ from }) => from === null)?.percent ?? null,
    taxRates: rates.flatMap(({ from, percent }) => (from === null ? [] : [{ from, percent }])),
    ...{ subscribedTB: Number(subscribedTB), price: { perTBMonth, currency, stepTB: Number(stepTB) } },
    prices: prices.map(({ from, perTBMonth: price, s0 }) => ({ from, perTBMonth: price, s0: s0 === null ? null : Number(s0) })),
    index: index && {
      ...{ s0: Number(index.s0), anniversary: index.anniversary },
      values: index.values.map(({ date, value }) => ({ date, value: Number(value) })),
    },
  };
}
