// `coffre billing explain`: what made a peak, and what another window or `full: reread` would have cost.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { type Explanation, explainPeak, windowsOf } from '../../billing/explain.ts';
import { requireBegun } from '../../billing/month.ts';
import { runningIn } from '../../billing/period.ts';
import { openCatalog } from '../../catalog/open.ts';
import type { Config } from '../../config/config.ts';
import { parseDuration } from '../../config/quantity.ts';
import { CoffreError } from '../../errors.ts';
import { action, type CliContext } from '../context.ts';
import { formatBytes, formatInstant, table } from '../output.ts';
import { chosenContracts, knownInLedger, zonesOf } from './prove.ts';

const HELP = `
Says which objects made up each contract's peak: those of snapshots within their window, those that were locked although
no snapshot needed them any more, of each shop's newest good backups, unfinished uploads and the rest; shop by shop, and
the largest objects. Then what the level would have been at that instant with a shorter window, or with full: reread, and
how that was worked out. Newest good backups stay with any window. A window that is not shorter than any shop's is
refused: what it would have kept longer is not there to be counted.

Example:
  coffre billing explain --month 2026-03
  coffre --json billing explain --month 2026-03 --shop dupont --window 7d
`;

interface Options {
  readonly month: string;
  readonly contract?: string;
  readonly shop?: string;
  readonly window?: string;
}

export function registerExplanation(billing: Command, context: CliContext): void {
  billing
    .command('explain')
    .description('which objects made the peak, and what other settings would have cost')
    .requiredOption('--month <YYYY-MM>', 'month of the peak; also YYYY-Qn and YYYY')
    .option('--contract <name>', 'only this contract')
    .option('--shop <name>', 'only this shop’s objects, at the contract’s peak')
    .option('--window <time>', 'the window to be tried, shorter than they are, such as 7d; without it half of each plan’s')
    .addHelpText('after', HELP)
    .action(
      action(context, async (invocation, options: Options) => {
        const config = invocation.config();
        const windowMs = options.window === undefined ? null : parseDuration(options.window);
        if (options.window !== undefined && windowMs === null)
          throw new CoffreError('E_USAGE', `no duration: ${JSON.stringify(options.window)}`);
        const all = chosenContracts(config, options.contract);
        requireBegun(options.month, zonesOf(config, all), context.clock.now());
        // one that is named, and did not run then, is said to be so
        const chosen = options.contract === undefined ? runningIn(all, options.month) : all;
        await using catalog = await openCatalog(config.stateDir);
        const contracts = chosen.filter((one) => options.shop === undefined || (one.shops?.includes(options.shop) ?? true));
        if (options.shop !== undefined) await knownInLedger(config, catalog, options.shop);
        const explained: Explanation[] = [];
        for (const contract of contracts) {
          const shop = options.shop ?? null;
          explained.push(await explainPeak(catalog, { month: options.month, contract, shop, plans: windowsOf(config), windowMs }));
        }
        return {
          document: { month: options.month, contracts: explained },
          text: explained.map((one) => describe(one, config)).join('\n\n') || 'no contract ran then',
        };
      }),
    );
}

function describe(
  { at, contract, instead, limits, measured, objects, peakBytes, purposes, shops, vault }: Explanation,
  { timezone }: Config,
): string {
  const when = formatInstant(Temporal.Instant.from(at), timezone);
  const right = { align: 'right' } as const;
  // a 0 that nobody measured is no 0
  if (!measured) return `${contract}: the peak in ${vault} is not known: ${limits[0]}`;
  return [
    `${contract}: ${formatBytes(peakBytes)} (${peakBytes} bytes) in ${vault} at ${when}`,
    table(
      [{ title: 'purpose' }, { title: 'size', ...right }, { title: 'objects', ...right }, { title: 'meaning' }],
      purposes.map((one) => [one.purpose, formatBytes(one.bytes), String(one.objects), one.means]),
      'nothing was stored',
    ),
    table(
      [{ title: 'shop' }, { title: 'size', ...right }, { title: 'newest good', ...right }, { title: 'locked, not needed', ...right }],
      shops.map((one) => [one.shop, formatBytes(one.bytes), formatBytes(one.purposes.newest ?? 0), formatBytes(one.purposes.locked ?? 0)]),
      'no shops',
    ),
    table(
      [{ title: 'largest objects' }, { title: 'size', ...right }, { title: 'purpose' }, { title: 'locked until' }],
      objects.slice(0, 10).map((one) => [one.key || '(opening balance)', formatBytes(one.bytes), one.purpose, lockOf(one, at, timezone)]),
      'none',
    ),
    table(
      [{ title: 'instead' }, { title: 'level then', ...right }, { title: 'less', ...right }],
      instead.map((one) => [one.what, formatBytes(one.peakBytes), formatBytes(one.savedBytes)]),
      'none',
    ),
    ...limits,
  ].join('\n\n');
}

/** Of a lock that was read back since the peak nobody knows what it was then. */
function lockOf({ lockedUntil, lockReadAt }: Explanation['objects'][number], at: string, timezone: string): string {
  if (lockedUntil === null) return '';
  const then = lockReadAt !== null && Temporal.Instant.compare(lockReadAt, at) <= 0;
  return `${formatInstant(Temporal.Instant.from(lockedUntil), timezone)}${then ? '' : ' (as it is now)'}`;
}
