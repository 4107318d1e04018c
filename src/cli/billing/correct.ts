// `coffre billing correct` and `withdraw`: what is wrong with a statement that was issued, as a line of a later one.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { type CorrectionRow, correctStatement, withdrawCorrection } from '../../billing/corrections.ts';
import { isLastIssued } from '../../billing/due-statements.ts';
import { contractPeaks } from '../../billing/period-peaks.ts';
import { type BillingDeps, requireContract, statementRow } from '../../billing/statement-rows.ts';
import { issueCorrections, statementOfPeriod } from '../../billing/statements.ts';
import { openCatalog } from '../../catalog/open.ts';
import { CoffreError } from '../../errors.ts';
import { action, type CliContext } from '../context.ts';
import { operatorName } from '../operator.ts';
import { keptWords } from '../reason.ts';
import { sayUntold } from '../untold.ts';
import { hasPeriod, monthOf, type PeriodOptions } from './statement.ts';

interface CorrectOptions extends PeriodOptions {
  readonly statement?: string;
  readonly contract?: string;
  readonly amount?: string;
  readonly recompute?: boolean;
  readonly shop?: string;
  readonly reason: string;
  readonly issue?: boolean;
  readonly beyond?: boolean;
}

const CORRECT_HELP = `
The statement stays as it is. The next one of its contract carries the correction as a line with its reason; with --issue a statement of
the corrections that wait is issued at once, and coffre billing statement --corrections --issue does it later. Until six months after the
statement's period. A negative amount is a credit; one beyond what the statement billed, less earlier credits, needs --beyond. --recompute compares subscribed volume and variable use alone: amounts that were given,
such as a goodwill credit, stay, and are named. Until a statement carries it a correction can be withdrawn: coffre billing withdraw.

Example:
  coffre billing correct --statement csi-001-2026-0003 --amount=-12.50 --reason "two days of outage"
  coffre billing correct --contract csi-001 --month 2026-06 --recompute --reason "index of May published late"
`;

const WITHDRAW_HELP = `
coffre billing statements lists the corrections that wait, with their ids. Correction and withdrawal both stay in the list of corrections
and in the proof; no statement carries either.

Example:
  coffre billing withdraw 06g8k2q9x5w4b7c1d3e6f8hjkm --reason "wrong statement"
`;

export function registerCorrections(billing: Command, context: CliContext): void {
  billing
    .command('correct')
    .description('correct a statement that was issued, by a line of a later one')
    .option('--statement <number>', 'which one')
    .option('--contract <name>', 'or by its contract, and')
    .option('--month <YYYY-MM>', 'a month of its period')
    .option('--quarter <YYYY-QN>', 'or the period in which this quarter begins')
    .option('--year <YYYY>', 'or this year')
    .option('--amount <amount>', 'before tax, with a point; negative for a credit: --amount=-12.50')
    .option('--recompute', 'what volume and use would be by ledger and configuration as they are now, less what was billed for them')
    .option('--shop <name>', 'whose it is; else it is divided as the statement was')
    .requiredOption('--reason <text>', 'stands on the line', keptWords)
    .option('--beyond', 'let a credit be more than what was billed, less earlier credits')
    .option('--issue', 'issue a statement of the corrections that wait, now')
    .addHelpText('after', CORRECT_HELP)
    .action(
      action(context, async (invocation, options: CorrectOptions) => {
        const { amount, reason, recompute, shop } = options;
        if ((amount === undefined) === (recompute !== true)) throw new CoffreError('E_USAGE', 'either --amount or --recompute is needed');
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        const deps: BillingDeps = { catalog, clock: context.clock, config, peaks: contractPeaks };
        const who = operatorName(context.io);
        const row = await namedStatement(deps, options);
        const contract = requireContract(config, row.contract);
        const order = { statement: row.number, amount: amount ?? null, shop: shop ?? null, reason, who, beyond: options.beyond === true };
        const { apart, made } = await correctStatement(deps, contract, order);
        const statements = options.issue ? await issueCorrections(deps, contract, who) : [];
        // with several rates or currencies there are several
        const issued =
          statements.find(({ lines }) => lines.some((line) => line.kind === 'correction' && line.id === made.correction)) ?? null;
        const waits = (await isLastIssued(catalog.db, contract))
          ? `${row.contract} ended and has no statement more: coffre billing statement --corrections --contract ${row.contract} --issue issues those that wait`
          : `the next statement of ${row.contract} carries it`;
        const carried = issued === null ? `${waits} (${made.correction})` : `issued as ${issued.number}`;
        await sayUntold(context, invocation, catalog);
        return {
          document: { correction: documentOf(made), apart: apart.map(documentOf), statement: issued },
          text: [
            `${row.number} is corrected by ${made.amount} ${row.currency}: ${carried}`,
            ...apart.map(
              (one) => `it does not touch ${one.amount} ${row.currency} that was given: ${one.reason} (${one.correction}, ${one.who})`,
            ),
          ].join('\n'),
        };
      }),
    );

  billing
    .command('withdraw')
    .description('take back a correction that no statement carries yet')
    .argument('<correction>', 'its id')
    .requiredOption('--reason <text>', 'stands in the audit', keptWords)
    .addHelpText('after', WITHDRAW_HELP)
    .action(
      action(context, async (invocation, correction: string, { reason }: { readonly reason: string }) => {
        await using catalog = await openCatalog(invocation.config().stateDir);
        const made = await withdrawCorrection({ catalog, clock: context.clock }, { correction, reason, who: operatorName(context.io) });
        await sayUntold(context, invocation, catalog);
        return {
          document: { withdrawn: correction, correction: documentOf(made) },
          text: `${correction} is withdrawn: ${made.statement} is not corrected by it`,
        };
      }),
    );
}

const documentOf = ({ at, id, ...row }: CorrectionRow) => ({ ...row, at: Temporal.Instant.fromEpochMilliseconds(at).toString() });

async function namedStatement(deps: BillingDeps, options: CorrectOptions) {
  const { contract, statement } = options;
  if (statement !== undefined && (contract !== undefined || hasPeriod(options))) {
    throw new CoffreError('E_USAGE', 'either --statement, or --contract and a period');
  }
  if (statement !== undefined) return await statementRow(deps.catalog.db, statement);
  if (contract === undefined) throw new CoffreError('E_USAGE', 'which statement? --statement, or --contract and --month');
  return await statementOfPeriod(deps.catalog.db, requireContract(deps.config, contract), monthOf(options));
}
