// `coffre report`: everything that was done for a shop in a period, for its owner.
import { type Command, Option } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { openCatalog } from '../catalog/open.ts';
import type { Separator } from '../document/csv.ts';
import type { Language } from '../document/wording.ts';
import { CoffreError } from '../errors.ts';
import { readReport, requirePeriod } from '../report/read-report.ts';
import { action, type CliContext } from './context.ts';
import type { Result } from './output.ts';
import { knownShop } from './shop.ts';

interface ReportOptions {
  readonly from: string;
  readonly to: string;
  readonly format: 'html' | 'csv' | 'json';
  readonly lang?: Language;
  readonly separator?: Separator;
  readonly forClient?: boolean;
}

const HELP = `
Backups, verifications, drills, restores and what was promised of them, incidents and their end, changes of the plan, of the shop's state
and of versions, the stored volume and its peak. From a summary for people to the last backup. Both days are in the period, in the
configured time zone. With --for-client reasons and legal holds are left out, as in the mail of each month (plans: report, in the
configuration) and for the client's own token. Decimals of csv are the language's; fr is separated by semicolons, as spreadsheets there
expect, unless --separator says otherwise.

Example:
  coffre report dupont --from 2026-10-01 --to 2026-10-31 --lang fr > rapport.html
  coffre report dupont --from 2026-01-01 --to 2026-12-31 --format csv > report.csv
`;

export function registerReport(program: Command, context: CliContext): void {
  program
    .command('report')
    .description('everything that was done for a shop in a period, as a page, a table or a document')
    .argument('<shop>', 'a shop')
    .requiredOption('--from <date>', 'first day, YYYY-MM-DD')
    .requiredOption('--to <date>', 'last day, YYYY-MM-DD')
    .addOption(new Option('--format <format>', 'how it is written').choices(['html', 'csv', 'json']).default('html'))
    .addOption(new Option('--lang <language>', 'else that of the shop’s contact').choices(['fr', 'en']))
    .addOption(new Option('--separator <character>', 'of csv').choices([',', ';']))
    .option('--for-client', 'without what is for operators alone')
    .addHelpText('after', HELP)
    .action(
      action(context, async (invocation, shop: string, options: ReportOptions): Promise<Result> => {
        const config = invocation.config();
        await using catalog = await openCatalog(config.stateDir);
        await knownShop(config, catalog, shop);
        const nowMs = context.clock.nowMs();
        const today = context.clock.now().toZonedDateTimeISO(config.timezone).toPlainDate();
        const period = requirePeriod({ from: dayOf('--from', options.from), to: dayOf('--to', options.to) }, today);
        const report = await readReport(config, catalog, { shop, ...period, nowMs, isTold: options.forClient !== true });
        const language = options.lang ?? config.shops.get(shop)?.contact?.language ?? 'en';
        switch (options.format) {
          case 'json':
            return { document: report, text: JSON.stringify(report, null, 2) };
          case 'csv': {
            const { reportCsv } = await import('../report/report-csv.ts');
            return { document: report, text: reportCsv(report, language, options.separator ?? (language === 'fr' ? ';' : ',')) };
          }
          case 'html': {
            const { reportPage } = await import('../report/report-page.ts');
            return { document: report, text: reportPage(report, language) };
          }
        }
      }),
    );
}

function dayOf(option: string, text: string): Temporal.PlainDate {
  try {
    if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) throw new RangeError('not a day');
    return Temporal.PlainDate.from(text);
  } catch (cause) {
    throw new CoffreError('E_USAGE', `${option} ${JSON.stringify(text)} is no date`, { hint: 'YYYY-MM-DD', cause });
  }
}
