// `coffre billing statement` and `statements`: what a contract costs, as it would be, and as it was issued.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { checkStatements } from '../../billing/check-statements.ts';
import { waitingCorrections } from '../../billing/corrections.ts';
import { type DuePeriod, duePeriods } from '../../billing/due-statements.ts';
import { contractPeaks } from '../../billing/period-peaks.ts';
import { type BillingDeps, documentOf, requireContract, statementRow } from '../../billing/statement-rows.ts';
import type { Statement } from '../../billing/statement-schema.ts';
import { isWeighed, monthsText } from '../../billing/statement-words.ts';
import { draftCorrections, issueCorrections, issueStatement, pageOfStatements, readStatement } from '../../billing/statements.ts';
import { openCatalog } from '../../catalog/open.ts';
import type { ContractConfig } from '../../config/config.ts';
import { lateStart, lateStartText } from '../../config/late-start.ts';
import { type Separator, separatorOf } from '../../document/csv.ts';
import { LANGUAGES, type Language } from '../../document/wording.ts';
import { asCoffreError, CoffreError } from '../../errors.ts';
import { action, type CliContext } from '../context.ts';
import { operatorName } from '../operator.ts';
import { formatBytes, formatInstant, type Result, table } from '../output.ts';
import { sayUntold } from '../untold.ts';

export interface PeriodOptions {
  readonly month?: string;
  readonly quarter?: string;
  readonly year?: string;
}

interface StatementOptions extends PeriodOptions {
  readonly contract?: string;
  readonly number?: string;
  readonly corrections?: boolean;
  readonly format: 'text' | 'json' | 'csv' | 'html';
  readonly lang: Language;
  readonly separator?: Separator;
  readonly issue?: boolean;
}

const STATEMENT_HELP = `
The period is the one of the contract in which the month lies. Without --issue nothing is kept: the figures are those of the ledger and of
the configuration as they are. With it the statement gets its number and stays as it is for ever; who asks again gets the same one.
Contracts that are left out are named with the reason, and so are earlier periods that were due and have no statement.
What is wrong with it later becomes a line of a later one: coffre billing correct. With --corrections it is about the corrections that
wait for the next statement: a statement of nothing but them, for one contract or for all. A period before the ledger began has no peak
that anybody knows: the statement says so, and bills the subscribed volume alone.

Example:
  coffre billing statement --month 2026-03
  coffre billing statement --month 2026-03 --contract csi-001 --issue
  coffre billing statement --corrections --contract csi-001 --issue
  coffre billing statement --number csi-001-2026-0003 --format html --lang fr > releve.html
`;

export function registerStatements(billing: Command, context: CliContext): void {
  billing
    .command('statement')
    .description('what each contract costs for a period: lines, tax, and the part of each shop')
    .option('--month <YYYY-MM>', 'any month of the period, in the contract’s time zone')
    .option('--quarter <YYYY-QN>', 'the period in which this calendar quarter begins')
    .option('--year <YYYY>', 'the period in which this year begins')
    .option('--contract <name>', 'only this contract')
    .option('--number <number>', 'one that was issued, as it was')
    .option('--corrections', 'of the corrections that wait, instead of a period')
    .addOption(new Option('--format <format>', 'how it is written').choices(['text', 'json', 'csv', 'html']).default('text'))
    .addOption(new Option('--lang <language>', 'of html, and of the decimals in csv').choices(LANGUAGES).default('en'))
    .option('--separator <character>', 'of csv: , or ; (without it the language’s: ; for fr)', separator)
    .option('--issue', 'give it its number, for ever')
    .addHelpText('after', STATEMENT_HELP)
    .action(
      action(context, async (invocation, options: StatementOptions) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const deps: BillingDeps = { catalog, clock: context.clock, config, peaks: contractPeaks };
        if (options.number !== undefined) {
          if (options.issue || options.corrections || options.contract !== undefined || hasPeriod(options)) {
            throw new CoffreError(
              'E_USAGE',
              '--number names a statement that was issued: it goes with --format, --lang and --separator alone',
            );
          }
          return await printed([documentOf(await statementRow(catalog.db, options.number))], options, null);
        }
        if (options.corrections && hasPeriod(options)) throw new CoffreError('E_USAGE', 'either --corrections or a period');
        const month = options.corrections ? null : monthOf(options);
        const contracts = options.contract === undefined ? [...config.contracts.values()] : [requireContract(config, options.contract)];
        if (contracts.length === 0)
          throw new CoffreError('E_USAGE', 'no contracts are declared', { hint: 'declare them under contracts:' });
        const statements: Statement[] = [];
        const failures: { readonly contract: string; readonly error: CoffreError }[] = [];
        const leftOut: { readonly contract: string; readonly error: CoffreError }[] = [];
        const warnings: string[] = [];
        for (const contract of contracts) {
          try {
            if (month === null) {
              const who = operatorName(context.io);
              const found = await (options.issue ? issueCorrections(deps, contract, who) : draftCorrections(deps, contract));
              // of all contracts those of which something waits
              if (found.length === 0 && options.contract !== undefined)
                throw new CoffreError('E_USAGE', `no correction of ${contract.name} waits`, {
                  hint: 'each is on a statement, or withdrawn: coffre billing statements lists them; coffre billing correct makes one',
                });
              statements.push(...found);
            } else {
              const isNew = async (): Promise<Statement> => {
                if (!options.issue) return await readStatement(deps, contract, month);
                return (await issueStatement(deps, contract, month, operatorName(context.io))).statement;
              };
              const statement = await isNew();
              statements.push(statement);
              // one that was issued long ago is looked at as it was
              if (options.issue || statement.number === null) warnings.push(...(await warningsOf(deps, contract, statement)));
            }
          } catch (thrown) {
            const error = asCoffreError(thrown);
            // of all contracts, those that owe nothing for this month, or not yet, are left out: some have longer periods than others
            const isOther = options.contract === undefined && (error.code === 'E_STATEMENT_NONE' || error.code === 'E_STATEMENT_OPEN');
            (isOther ? leftOut : failures).push({ contract: contract.name, error });
          }
        }
        const first = failures[0] ?? (statements.length === 0 ? leftOut.find(({ error }) => error.code === 'E_STATEMENT_OPEN') : undefined);
        const skipped = [...failures, ...leftOut]
          .filter((one) => one !== first)
          .map(({ contract, error }) => ({ contract, code: error.code, message: error.message }));
        if (!invocation.json) {
          for (const { contract, message } of skipped) context.io.err(`left out: ${contract}: ${message}\n`);
          for (const warning of warnings) context.io.err(`WARNING: ${warning}\n`);
        }
        if (first && statements.length === 0) throw first.error;
        if (options.issue) await sayUntold(context, invocation, catalog);
        const result = await printed(statements, options, first?.error ?? null);
        return { ...result, document: { ...result.document, skipped, warnings } };
      }),
    );

  billing
    .command('statements')
    .description('statements that were issued, newest first, and corrections that wait for the next one')
    .option('--contract <name>', 'only of this contract')
    .option('--year <YYYY>', 'issued in this year', year)
    .option('--limit <rows>', 'at most so many', positive, 100)
    .option('--check', 'recompute the chain over all of them')
    .option('--due', 'instead the periods that are due and have no statement, and until when they can have one')
    .addHelpText('after', STATEMENTS_HELP)
    .action(
      action(context, async (invocation, options: ListOptions) => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        if (options.due) return await due({ catalog, clock: context.clock, config }, options);
        const rows = await pageOfStatements(catalog.db, options);
        // one that is not declared any more has statements still
        if (options.contract !== undefined && rows.length === 0) requireContract(config, options.contract);
        const waiting = await waitingCorrections(catalog.db, options.contract);
        const check = options.check ? await checkStatements(catalog.db) : null;
        const when = (atMs: number): string => formatInstant(Temporal.Instant.fromEpochMilliseconds(atMs), config.timezone);
        const text = [
          table(
            [
              ...['number', 'contract', 'from', 'to'].map((title) => ({ title })),
              ...[{ title: 'before tax', align: 'right' as const }, { title: 'issued' }, { title: 'by' }],
            ],
            rows.map((row) => {
              const { period, kind } = documentOf(row);
              const days = kind === 'correction' || period === null ? ['corrections', ''] : [period.from, period.to];
              return [row.number, row.contract, ...days, `${row.net} ${row.currency}`, when(row.issuedAt), row.issuedBy];
            }),
            'no statement was issued',
          ),
          ...(waiting.length === 0 ? [] : [`\nwaiting for the next statement:`]),
          ...waiting.map((row) => `  ${row.correction}  ${row.statement}  ${row.amount}  ${row.reason} (${when(row.at)}, ${row.who})`),
          ...(check === null ? [] : [`\n${verdict(check)}`]),
        ];
        return {
          document: {
            statements: rows.map((row) => ({ ...summary(documentOf(row)), issuedBy: row.issuedBy })),
            corrections: waiting.map(({ id, at, ...row }) => ({ ...row, at: Temporal.Instant.fromEpochMilliseconds(at).toString() })),
            ...(check === null ? {} : { check }),
          },
          text: text.join('\n'),
          ...(check === null || check.findings.length === 0
            ? {}
            : {
                failure: new CoffreError('E_LEDGER_ALTERED', 'statements were altered, moved or removed', {
                  hint: 'coffre billing prove says whether the ledger and the vaults still give what they said',
                }),
              }),
        };
      }),
    );
}

const STATEMENTS_HELP = `
--due lists periods that are due, whose time has come, and of which no statement was issued: six months after their end nothing of them
can be issued any more. What was over before the ledger began is not among them.

Example:
  coffre billing statements --contract csi-001
  coffre billing statements --due
  coffre --json billing statements --check
`;

interface ListOptions {
  readonly contract?: string;
  readonly year?: number;
  readonly limit: number;
  readonly check?: boolean;
  readonly due?: boolean;
}

async function due(
  deps: Pick<BillingDeps, 'catalog' | 'clock' | 'config'>,
  { check, contract, year: issuedIn }: ListOptions,
): Promise<Result> {
  if (check || issuedIn !== undefined) throw new CoffreError('E_USAGE', '--due lists what was not issued: it goes with --contract alone');
  const contracts = contract === undefined ? [...deps.config.contracts.values()] : [requireContract(deps.config, contract)];
  const found: DuePeriod[] = [];
  for (const one of contracts) found.push(...(await duePeriods(deps, one)));
  return {
    document: { due: found },
    text: table(
      ['contract', 'from', 'to', 'can be issued until'].map((title) => ({ title })),
      found.map((one) => [one.contract, one.from, one.to, one.until]),
      'nothing that is due waits for a statement',
    ),
  };
}

/** What whoever looks at a statement, or issues it, should know of its contract beside it. */
async function warningsOf(deps: BillingDeps, contract: ContractConfig, { period }: Statement): Promise<string[]> {
  const { name } = contract;
  if (period === null) return [];
  const gaps = (await duePeriods(deps, contract, period.from)).map(
    ({ from, to, until }) =>
      `${name}: ${from} to ${to} was due before and has no statement; it can be issued until ${until}: coffre billing statement --contract ${name} --month ${from.slice(0, 7)} --issue`,
  );
  const late = lateStart(contract);
  return late?.from === period.from ? [`${name}: start ${lateStartText(contract, late)}`, ...gaps] : gaps;
}

export const hasPeriod = ({ month, quarter, year: whole }: PeriodOptions): boolean => (month ?? quarter ?? whole) !== undefined;

/** First month of what was asked for. Throws E_USAGE. */
export function monthOf({ month, quarter, year: whole }: PeriodOptions): string {
  const given = [month, quarter, whole].filter((text) => text !== undefined);
  if (given.length !== 1) throw new CoffreError('E_USAGE', 'one of --month, --quarter and --year is needed');
  if (month !== undefined) return month;
  if (quarter !== undefined) {
    const parts = /^(\d{4})-Q([1-4])$/.exec(quarter);
    if (!parts)
      throw new CoffreError('E_USAGE', `no quarter: ${JSON.stringify(quarter)}`, { hint: 'a quarter is written YYYY-QN, such as 2026-Q2' });
    return `${parts[1]}-${String((Number(parts[2]) - 1) * 3 + 1).padStart(2, '0')}`;
  }
  if (!/^\d{4}$/.test(whole ?? '')) throw new CoffreError('E_USAGE', `no year: ${JSON.stringify(whole)}`);
  return `${whole}-01`;
}

/** Of corrections a period means nothing. */
const daysOf = ({ kind, period }: Pick<Statement, 'kind' | 'period'>) =>
  kind === 'correction' || period === null ? { from: null, to: null } : { from: period.from, to: period.to };

/** What a list tells of each. */
export function summary({ contract, currency, hash, issuedAt, kind, measured, net, number, period, tax, total }: Statement) {
  return {
    ...{ number, contract, kind, ...daysOf({ kind, period }), billedTB: measured?.billedTB ?? null, currency, net },
    ...{ tax: tax?.amount ?? null, total, issuedAt, hash },
  };
}

export async function printed(statements: readonly Statement[], options: StatementOptions, failure: CoffreError | null): Promise<Result> {
  const document = { statements };
  const failed = failure === null ? {} : { failure };
  switch (options.format) {
    case 'json':
      return { document, text: JSON.stringify(document, null, 2), ...failed };
    case 'csv': {
      const { statementsCsv } = await import('../../billing/statement-csv.ts');
      return { document, text: statementsCsv(statements, options.lang, options.separator ?? separatorOf(options.lang)), ...failed };
    }
    case 'html': {
      const { statementsHtml } = await import('../../billing/statement-html.ts');
      return { document, text: statementsHtml(statements, options.lang), ...failed };
    }
    case 'text':
      return {
        document,
        text: statements.map(described).join('\n\n') || (options.corrections ? 'no correction waits' : 'no contract owes anything for it'),
        ...failed,
      };
  }
}

function described(statement: Statement): string {
  const { contract, currency, lines, measured, net, notices, number, rebilling, state, tax, timezone, total } = statement;
  const { from, to } = daysOf(statement);
  const taxes = statement.taxes ?? (tax?.percent ? [{ percent: tax.percent, net, amount: tax.amount }] : []);
  const amount = (text: string): string => `${text} ${currency}`;
  const at = (instant: string): string => formatInstant(Temporal.Instant.from(instant), timezone);
  const peak =
    measured === null
      ? []
      : [
          `peak ${formatBytes(measured.peakBytes)} (${measured.peakBytes} bytes) at ${at(measured.peakAt)}: ${measured.subscribedTB} TB subscribed, ${measured.variableTB} TB beyond, ${measured.billedTB} TB billed`,
        ];
  const rows = lines.map((line) => {
    if (line.kind === 'correction') return [line.kind, line.of, line.shop ?? '', '', '', amount(line.amount), line.reason];
    const why = line.index === null ? '' : `${line.index.basePrice} x ${line.index.s} / ${line.index.s0}, index of ${line.index.date}`;
    return [line.kind, line.from, line.to, `${line.quantityTB} TB x ${monthsText(line.months)}`, line.unitPrice, amount(line.amount), why];
  });
  const right = { align: 'right' as const };
  return [
    `${number ?? contract}  ${from === null ? 'corrections' : `${from} to ${to}`}  ${state}${statement.issuedAt === null ? '' : ` ${at(statement.issuedAt)}`}`,
    ...peak,
    '',
    table(
      [
        ...[{ title: 'line' }, { title: 'from' }, { title: 'to' }, { title: 'TB x months', ...right }, { title: 'price', ...right }],
        ...[{ title: 'amount', ...right }, { title: '' }],
      ],
      [
        ...rows,
        ['before tax', '', '', '', '', amount(net)],
        ...(tax === null
          ? []
          : [
              ...taxes.map((one) => [
                `tax ${one.percent} %${tax.percent === null ? ` on ${one.net}` : ''}`,
                '',
                '',
                '',
                '',
                amount(one.amount),
              ]),
              ['total', '', '', '', '', amount(total)],
            ]),
      ],
    ),
    ...(rebilling === null || rebilling.shops.length === 0
      ? []
      : [
          '',
          table(
            [{ title: 'shop' }, { title: isWeighed(rebilling) ? `by ${rebilling.by}` : '', ...right }, { title: 'amount', ...right }],
            rebilling.shops.map((row) => [row.shop, isWeighed(rebilling) ? String(row.weight) : '', amount(row.amount)]),
          ),
          ...divided(statement),
        ]),
    ...notices.map(({ code, day }) => {
      if (code === 'index-unknown') return `the index of ${day} is not known: the price before goes on, and nothing can be issued`;
      if (measured === null) return `nothing was measured through ${day}: variable use is not known, and not billed`;
      return `nothing was measured through ${day}: what was held by then is not known`;
    }),
  ].join('\n');
}

/** How it was divided, where no weights say it. */
function divided({ kind, rebilling, terms }: Statement): string[] {
  if (kind === 'correction') return ['divided as the corrected statement was, or to the shop that the correction names'];
  if (rebilling === null || rebilling.by === 'flat' || isWeighed(rebilling)) return [];
  return [`nothing measured ${terms.paid === 'advance' ? 'before' : 'in'} the period: equally`];
}

function verdict({ findings, head, statements }: Awaited<ReturnType<typeof checkStatements>>): string {
  if (findings.length === 0) return `the chain holds over ${statements} statements, head ${head}`;
  return findings.map(({ statement, what }) => `RED   ${statement === null ? '' : `${statement}: `}${what}`).join('\n');
}

export function separator(text: string): Separator {
  if (text !== ',' && text !== ';') throw new InvalidArgumentError('a comma or a semicolon is needed');
  return text;
}

function year(text: string): number {
  if (!/^\d{4}$/.test(text)) throw new InvalidArgumentError('a year of four digits is needed');
  return Number(text);
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('a whole number above 0 is needed');
  return Number(text);
}
