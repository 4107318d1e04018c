// `coffre billing`: what the vaults hold for us, now or then; the peaks of a month; the rows that prove them.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { checkChain } from '../../billing/chain.ts';
import { Ledger } from '../../billing/ledger.ts';
import { ledgerRows } from '../../billing/ledger-rows.ts';
import { levels, requireKnown, requireOrder } from '../../billing/level.ts';
import { requireBegun } from '../../billing/month.ts';
import { monthPeaks } from '../../billing/month-peaks.ts';
import { type Catalog, openCatalog } from '../../catalog/open.ts';
import type { Config } from '../../config/config.ts';
import { type Separator, separatorOf } from '../../document/csv.ts';
import { LANGUAGES, type Language } from '../../document/wording.ts';
import { asCoffreError, CoffreError, type ErrorCode } from '../../errors.ts';
import { action, type CliContext } from '../context.ts';
import { parseInstant } from '../instant.ts';
import { formatBytes, formatInstant, table } from '../output.ts';
import { registerCorrections } from './correct.ts';
import { registerExplanation } from './explain.ts';
import { registerForecast } from './forecast.ts';
import { knownInLedger, registerProof, zonesOf } from './prove.ts';
import { registerStatements, separator } from './statement.ts';

interface LevelOptions {
  readonly at?: string;
  readonly vault?: string;
  readonly shop?: string;
}

type Format = 'text' | 'json' | 'csv';

interface PeaksOptions {
  readonly format: Format;
  readonly lang: Language;
  readonly separator?: Separator;
  readonly month?: string;
  readonly quarter?: string;
  readonly year?: string;
}

interface LedgerOptions {
  readonly vault?: string;
  readonly shop?: string;
  readonly from?: string;
  readonly to?: string;
  readonly limit: number;
  readonly check?: boolean;
  readonly format: Format;
  readonly separator: Separator;
}

export function registerBilling(program: Command, context: CliContext): void {
  const billing = program.command('billing').description('what is stored, what it peaked at and costs, and the rows that prove it');

  billing
    .command('level')
    .description('bytes that the vaults hold for us, by the ledger')
    .option('--at <time>', 'at this instant; without an offset in the configured time zone')
    .option('--vault <name>', 'only this vault')
    .option('--shop <name>', 'only this shop')
    .addHelpText('after', '\nExample:\n  coffre billing level\n  coffre --json billing level --at 2026-04-01T00:00 --vault offsite\n')
    .action(
      action(context, async (invocation, options: LevelOptions) => {
        const config = invocation.config();
        requireVault(config, options.vault);
        const at = options.at === undefined ? context.clock.now() : parseInstant(options.at, config.timezone);
        await using catalog = await openCatalog(config.stateDir);
        if (options.shop !== undefined) await knownInLedger(config, catalog, options.shop);
        if (options.at !== undefined) await requireKnown(catalog.db, at, context.clock.now());
        const unsettled = options.at === undefined ? await settle(context, config, catalog) : [];
        const shops = await levels(catalog, { at: options.at === undefined ? undefined : at, vault: options.vault, shop: options.shop });
        const vaults = new Map<string, number>();
        for (const row of shops) vaults.set(row.vault, (vaults.get(row.vault) ?? 0) + row.levelBytes);
        const levelBytes = shops.reduce((sum, row) => sum + row.levelBytes, 0);
        return {
          document: {
            at: at.toString(),
            levelBytes,
            vaults: [...vaults].map(([vault, bytes]) => ({ vault, levelBytes: bytes })),
            shops,
            unsettled,
          },
          ...(unsettled[0]
            ? {
                failure: new CoffreError(
                  unsettled[0].code,
                  `${unsettled[0].vault}: what a cut-off run left is not known: ${unsettled[0].message}`,
                ),
              }
            : {}),
          text: table(
            [{ title: 'vault' }, { title: 'shop' }, { title: 'level', align: 'right' }, { title: 'bytes', align: 'right' }],
            [
              ...shops.map((row) => [row.vault, row.shop, formatBytes(row.levelBytes), String(row.levelBytes)]),
              ...(shops.length > 1 ? [['all', '', formatBytes(levelBytes), String(levelBytes)]] : []),
            ],
            'nothing stored',
          ),
        };
      }),
    );

  billing
    .command('peaks')
    .description('highest level of a month, a quarter or a year, for each contract and each shop')
    .option('--month <YYYY-MM>', 'calendar month in the time zone of each contract')
    .option('--quarter <YYYY-Qn>', 'calendar quarter instead')
    .option('--year <YYYY>', 'calendar year instead')
    .addOption(formatOption())
    .addOption(new Option('--lang <language>', 'of the decimals in csv').choices(LANGUAGES).default('en'))
    .option('--separator <character>', 'of csv: , or ; (without it the language’s: ; for fr)', separator)
    .addHelpText('after', PEAKS_HELP)
    .action(
      action(context, async (invocation, options: PeaksOptions) => {
        const period = onePeriod(options);
        const config = invocation.config();
        requireBegun(period, zonesOf(config, config.contracts.values()), context.clock.now());
        await using catalog = await openCatalog(config.stateDir);
        const document = await monthPeaks(catalog, {
          month: period,
          contracts: config.contracts.values(),
          timezone: config.timezone,
        });
        const when = (at: string): string => formatInstant(Temporal.Instant.from(at), config.timezone);
        const isKnown = document.measured !== 'none';
        const peak = (row: { readonly peakBytes: number; readonly at: string }): string[] =>
          isKnown ? [formatBytes(row.peakBytes), when(row.at)] : ['not known', ''];
        const contracts = table(
          [{ title: 'contract' }, { title: 'vault' }, { title: 'peak', align: 'right' }, { title: 'at' }],
          document.contracts.map((row) => [row.contract, row.vault, ...peak(row)]),
          'no contract ran then',
        );
        const shops = table(
          [{ title: 'shop' }, { title: 'vault' }, { title: 'peak', align: 'right' }, { title: 'at' }, { title: 'share', align: 'right' }],
          document.shops.map((row) => {
            const share = row.shareAtContractPeakBytes === null ? 'no contract' : formatBytes(row.shareAtContractPeakBytes);
            return [row.shop, row.vault, formatBytes(row.peakBytes), when(row.at), share];
          }),
          isKnown ? 'nothing stored in this period' : 'of no shop anything is known then',
        );
        const { format, lang, separator: between } = options;
        if (document.measured !== 'whole' && !invocation.json) context.io.err(`${UNMEASURED[document.measured]}\n`);
        return {
          document,
          text: await printed(
            format,
            document,
            () => `${contracts}\n\n${shops}`,
            (csv) => csv.peaksCsv(document, lang, between ?? separatorOf(lang)),
          ),
        };
      }),
    );

  billing
    .command('ledger')
    .description('the rows behind every figure, oldest first')
    .option('--vault <name>', 'only this vault')
    .option('--shop <name>', 'only this shop')
    .option('--from <time>', 'from this instant on')
    .option('--to <time>', 'before this instant')
    .option('--limit <rows>', 'at most so many, the newest of them', positive, 1000)
    .option('--check', 'recompute the hash chain over the whole ledger; exit status 6 if it breaks')
    .addOption(formatOption())
    .option('--separator <character>', 'of csv: , or ;', separator, ',')
    .addHelpText('after', '\nExample:\n  coffre billing ledger --shop dupont --from 2026-03-01\n  coffre --json billing ledger --check\n')
    .action(
      action(context, async (invocation, options: LedgerOptions) => {
        const config = invocation.config();
        requireVault(config, options.vault);
        const instant = (text: string | undefined) => (text === undefined ? undefined : parseInstant(text, config.timezone));
        const [from, to] = [instant(options.from), instant(options.to)];
        requireOrder(from, to);
        await using catalog = await openCatalog(config.stateDir);
        const { vault, shop, limit } = options;
        if (shop !== undefined) await knownInLedger(config, catalog, shop);
        const rows = await ledgerRows(catalog, { vault, shop, from, to, limit });
        const chain = options.check ? await checkChain(catalog) : null;
        const broken = chain?.brokenAt ?? null;
        const text = table(
          [
            { title: 'id', align: 'right' },
            { title: 'at' },
            { title: 'vault' },
            { title: 'event' },
            { title: 'bytes', align: 'right' },
            { title: 'key' },
          ],
          rows.map((row) => [
            String(row.id),
            formatInstant(Temporal.Instant.fromEpochMilliseconds(row.at), config.timezone),
            row.vault,
            row.event,
            String(row.bytes),
            row.key,
          ]),
          'the ledger has no such rows',
        );
        const verdict =
          broken === null ? `the chain holds over ${chain?.rows} rows, head ${chain?.head}` : `the chain breaks at row ${broken}`;
        const document = {
          rows: rows.map((row) => ({ ...row, at: Temporal.Instant.fromEpochMilliseconds(row.at).toString() })),
          ...(chain ? { chain } : {}),
        };
        if (chain && options.format === 'csv') context.io.err(`${verdict}\n`);
        const shown = (): string => (chain ? `${text}\n\n${verdict}` : text);
        return {
          document,
          text: await printed(options.format, document, shown, (csv) => csv.ledgerCsv(rows, options.separator)),
          ...(broken === null
            ? {}
            : {
                failure: new CoffreError('E_LEDGER_ALTERED', `the ledger was altered: its chain breaks at row ${broken}`, {
                  hint: 'coffre billing prove says what follows from it, and what the vaults know',
                }),
              }),
        };
      }),
    );

  registerExplanation(billing, context);
  registerForecast(billing, context);
  registerProof(billing, context);
  registerStatements(billing, context);
  registerCorrections(billing, context);
}

const PEAKS_HELP = `
Contracts of which a period was due then; of one that began or ended within what is asked for those periods alone. A shop's peak is its own,
of all of the time; its share is what it held at the instant of its contract's peak.

Example:
  coffre billing peaks --month 2026-03
  coffre --json billing peaks --quarter 2026-Q1
  coffre billing peaks --year 2026 --format csv --lang fr > pics.csv
`;

const UNMEASURED = {
  none: 'Nothing was measured then, since the ledger began later: 0 bytes are not known to be 0.',
  part: 'The ledger began in between: what was held before is not known.',
} as const;

const formatOption = (): Option => new Option('--format <format>', 'how it is written').choices(['text', 'json', 'csv']).default('text');

async function printed(
  format: Format,
  document: object,
  text: () => string,
  csv: (module: typeof import('../../billing/ledger-csv.ts')) => string,
): Promise<string> {
  if (format === 'text') return text();
  return format === 'json' ? JSON.stringify(document, null, 2) : csv(await import('../../billing/ledger-csv.ts'));
}

/** The one that was given. Throws E_USAGE. */
function onePeriod({ month, quarter, year }: PeaksOptions): string {
  const [given, ...others] = [month, quarter, year].filter((text) => text !== undefined);
  if (given === undefined || others.length > 0)
    throw new CoffreError('E_USAGE', 'exactly one of --month, --quarter and --year is expected');
  const wrong = (what: string, example: string): CoffreError =>
    new CoffreError('E_USAGE', `no ${what}: ${JSON.stringify(given)}`, { hint: `a ${what} is written such as ${example}` });
  if (quarter !== undefined && !/^\d{4}-Q[1-4]$/.test(quarter)) throw wrong('quarter', '2026-Q1');
  if (year !== undefined && !/^\d{4}$/.test(year)) throw wrong('year', '2026');
  if (month !== undefined && !/^\d{4}-\d\d$/.test(month)) throw wrong('month', '2026-03');
  return given;
}

function requireVault(config: Config, name: string | undefined): void {
  if (name !== undefined && !config.vaults.has(name)) throw new CoffreError('E_UNKNOWN_VAULT', `no vault ${JSON.stringify(name)}`);
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('a whole number above 0 is needed');
  return Number(text);
}

interface Unsettled {
  readonly vault: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/**
 * The level of this moment includes what runs that died had under way: their vaults are asked first. A vault that cannot
 * be asked is reported: then the level is what is known, not what is.
 */
async function settle(context: CliContext, config: Config, catalog: Catalog): Promise<Unsettled[]> {
  const open = await catalog.db.selectFrom('objects').select('vault').distinct().where('state', '=', 'intent').execute();
  const ledger = new Ledger(catalog, context.clock);
  const unsettled: Unsettled[] = [];
  for (const { vault: name } of open) {
    try {
      const vaultConfig = config.vaults.get(name);
      if (!vaultConfig) throw new CoffreError('E_UNKNOWN_VAULT', `vault ${name} is not in ${config.file} any more`);
      const vault = await context.adapters.openVault(vaultConfig);
      try {
        await ledger.resolveIntents(vault, null);
      } finally {
        await vault.close();
      }
    } catch (error) {
      const { code, message } = asCoffreError(error);
      unsettled.push({ vault: name, code, message });
    }
  }
  return unsettled;
}
