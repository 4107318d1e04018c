// Statements as one table: a row for each line, for the tax and for each shop's part. Decimals as people of the language write them.
import { csvOf, freeText, type Separator } from '../document/csv.ts';
import type { Language } from '../document/wording.ts';
import type { Months } from './period.ts';
import type { Statement } from './statement-schema.ts';
import { isWeighed } from './statement-words.ts';

/** Names of columns are the same in every language: programs read them. */
const COLUMNS = [
  ...['statement', 'contract', 'state', 'row', 'from', 'to', 'quantity_tb', 'months', 'unit_price', 'index_s', 'index_s0', 'index_date'],
  ...['shop', 'weight', 'tax_percent', 'amount', 'currency', 'corrects', 'reason', 'months_numerator', 'months_denominator'],
] as const;
type Cells = Partial<Record<(typeof COLUMNS)[number], string | null>>;

/**
 * `row` is subscribed, variable, correction, net, tax, total, shop or unassigned. The first three add up to net, and so do the last two; net
 * and tax, of which there is one for each rate, add up to total.
 */
export function statementsCsv(statements: readonly Statement[], language: Language, separator: Separator = ','): string {
  const rows = statements.flatMap((statement) => rowsOf(statement, language));
  return csvOf([COLUMNS, ...rows.map((cells) => COLUMNS.map((column) => cells[column] ?? null))], separator);
}

function rowsOf(statement: Statement, language: Language): Cells[] {
  const { contract, currency, kind, net, rebilling, state, tax, total } = statement;
  // of corrections a period means nothing
  const period = kind === 'correction' ? null : statement.period;
  const decimal = (text: string): string => (language === 'fr' ? text.replace('.', ',') : text);
  const common = { statement: statement.number, contract, state, from: period?.from ?? null, to: period?.to ?? null, currency };
  const lines = statement.lines.map((line): Cells => {
    const amount = decimal(line.amount);
    if (line.kind === 'correction')
      return { ...common, row: line.kind, from: null, to: null, shop: line.shop, amount, corrects: line.of, reason: freeText(line.reason) };
    const { index } = line;
    return {
      ...{
        ...common,
        row: line.kind,
        from: line.from,
        to: line.to,
        quantity_tb: decimal(line.quantityTB),
        months: fraction(line.months),
      },
      ...{ unit_price: decimal(line.unitPrice), amount },
      ...{ months_numerator: String(line.months.numerator), months_denominator: String(line.months.denominator) },
      ...(index ? { index_s: decimal(index.s), index_s0: decimal(index.s0), index_date: index.date } : {}),
    };
  });
  const shops = (rebilling?.shops ?? []).map(
    ({ amount, shop, weight }): Cells => ({
      ...common,
      row: 'shop',
      shop,
      weight: rebilling && isWeighed(rebilling) ? String(weight) : null,
      amount: decimal(amount),
    }),
  );
  const taxes = statement.taxes ?? (tax?.percent ? [{ percent: tax.percent, amount: tax.amount }] : []);
  return [
    ...lines,
    { ...common, row: 'net', amount: decimal(net) },
    ...taxes.map(({ amount, percent }): Cells => ({ ...common, row: 'tax', tax_percent: decimal(percent), amount: decimal(amount) })),
    { ...common, row: 'total', amount: decimal(total) },
    ...shops,
    ...(rebilling && Number(rebilling.unassigned) !== 0 ? [{ ...common, row: 'unassigned', amount: decimal(rebilling.unassigned) }] : []),
  ];
}

/** `2+1/30`, the whole part always: `29/30` alone a spreadsheet would take for a date. */
const fraction = ({ denominator, numerator }: Months): string => {
  const whole = Math.floor(numerator / denominator);
  return denominator === 1 ? String(whole) : `${whole}+${numerator % denominator}/${denominator}`;
};
