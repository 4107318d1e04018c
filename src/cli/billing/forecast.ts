// `coffre billing forecast`: level and peak to the end of each contract's period, the next step, and quotas.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { type Forecast, forecastRequest, readForecast } from '../../billing/read-forecast.ts';
import { openCatalog } from '../../catalog/open.ts';
import { action, type CliContext } from '../context.ts';
import { formatBytes, formatInstant, table } from '../output.ts';
import { chosenContracts } from './prove.ts';

const HELP = `
Level and peak to the end of each contract's present month, quarter or year, from what is stored and until when, from
what past backups stored and what the schedules plan; when the next step of a contract is reached, and when a shop's
database and files reach its plan's quota within this month. The daemon tells both beforehand, once a period each, by
mail or webhook. A quota never keeps a backup from running. A contract whose present period is not due is left out.

Example:
  coffre billing forecast
  coffre --json billing forecast --contract csi-001
`;

export function registerForecast(billing: Command, context: CliContext): void {
  billing
    .command('forecast')
    .description('level and peak to the end of the period, the next step, and quotas')
    .option('--contract <name>', 'only this contract')
    .addHelpText('after', HELP)
    .action(
      action(context, async (invocation, options: { readonly contract?: string }) => {
        const config = invocation.config();
        chosenContracts(config, options.contract);
        await using catalog = await openCatalog(config.stateDir);
        const document = await readForecast(catalog, forecastRequest(config, context.clock.nowMs(), options.contract ?? null));
        return { document, text: describe(document, config.timezone) };
      }),
    );
}

function describe({ contracts, limits, quotas }: Forecast, timezone: string): string {
  const when = (at: string | null): string => (at === null ? '' : formatInstant(Temporal.Instant.from(at), timezone));
  const right = { align: 'right' } as const;
  const volumes = table(
    [
      { title: 'contract' },
      { title: 'now', ...right },
      { title: 'to' },
      { title: 'peak so far', ...right },
      { title: 'peak expected', ...right },
      { title: 'at' },
      { title: 'billed TB', ...right },
      { title: 'next step reached' },
    ],
    contracts.map((one) => [
      one.contract,
      formatBytes(one.levelBytes),
      when(one.until),
      formatBytes(one.peakSoFar.bytes),
      formatBytes(one.peak.bytes),
      when(one.peak.at),
      one.billedTB.soFar === one.billedTB.forecast ? one.billedTB.soFar : `${one.billedTB.soFar}, then ${one.billedTB.forecast}`,
      when(one.nextStep.reachedAt) || 'not by then',
    ]),
    'no contract runs',
  );
  const shops = table(
    [
      { title: 'shop' },
      { title: 'used', ...right },
      { title: 'quota', ...right },
      { title: 'at the month’s end', ...right },
      { title: 'reached' },
    ],
    quotas.map((one) => [
      one.shop,
      formatBytes(one.usedBytes),
      formatBytes(one.limitBytes),
      formatBytes(one.endBytes),
      one.state === 'over' ? 'over it' : when(one.reachedAt),
    ]),
    'no plan has a quota',
  );
  return [volumes, shops, ...limits].join('\n\n');
}
