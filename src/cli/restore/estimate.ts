// `coffre estimate`: how long a restore of a shop would take, phase by phase, from what was measured, and what would make it faster.
import type { Command } from 'commander';
import { openCatalog } from '../../catalog/open.ts';
import { CoffreError } from '../../errors.ts';
import { type EstimateDocument, estimateDocument, readEstimateWithAdvice } from '../../schedule/restore-estimate.ts';
import { action, type CliContext } from '../context.ts';
import { neededDaemon } from '../daemon/needed.ts';
import { formatBytes, formatDuration, table } from '../output.ts';
import { findShop } from '../shop.ts';

const NAMES: Readonly<Record<string, string>> = {
  download: 'download',
  open: 'decrypt, decompress',
  write: 'write files',
  load: 'load rows',
  keys: 'build keys',
  check: 'compare',
  fixed: 'preparation',
  safety: 'safety copy',
  finish: 'swap, smoke test',
};
const TABLES_NAMED = 5;
/** What else would anybody think who has restored in place already. */
const TOO_LITTLE =
  'a restore in place that found most of the shop as it should be read too little to measure that; a drill reads all of it';

export function registerEstimate(program: Command, context: CliContext): void {
  program
    .command('estimate')
    .description('how long a restore would take, from what restores and drills measured; exit status 1 when the plan promises less')
    .argument('<shop>', 'shop whose newest good snapshots would be restored (where none is good, the newest whole ones)')
    .addHelpText('after', '\nExample:\n  coffre estimate dupont\n  coffre --json estimate dupont\n')
    .action(
      action(context, async (invocation, shopName: string) => {
        let document: EstimateDocument;
        if (invocation.readsCatalog()) {
          const config = invocation.config();
          const shop = findShop(config, shopName);
          await using catalog = await openCatalog(config.stateDir);
          const { advice, ...told } = await readEstimateWithAdvice(config, catalog, shop, context.clock.nowMs());
          document = estimateDocument(told, advice);
        } else {
          const daemon = await neededDaemon(invocation);
          document = (await daemon.read(`/shops/${encodeURIComponent(shopName)}/estimate`, invocation.signal)) as EstimateDocument;
        }
        const failure =
          document.fit === 'no'
            ? new CoffreError('E_RED', `a restore of ${shopName} would take longer than its plan promises`)
            : document.fit === null
              ? new CoffreError('E_RED', `how long a restore of ${shopName} takes is not known`, {
                  hint: `coffre drill ${shopName}${fromUnmeasured(document)} measures it`,
                })
              : null;
        return { document, text: describeEstimate(document), ...(failure ? { failure } : {}) };
      }),
    );
}

/** A drill takes the next vault in turn, which need not be the one that nothing is known of. */
function fromUnmeasured({ notMeasured }: EstimateDocument): string {
  const vault = notMeasured.find((one) => one.vault !== undefined)?.vault;
  return vault === undefined ? '' : ` --from ${vault}`;
}

/** Rounded up: to less than a second nobody predicts. */
const time = (ms: number): string => formatDuration(Math.ceil(ms / 1000) * 1000);
const span = ({ expectedMs, lowMs, highMs }: { readonly expectedMs: number; readonly lowMs: number; readonly highMs: number }): string =>
  `${time(expectedMs)} (${time(lowMs)} to ${time(highMs)})`;

/** Pure, for tests. */
export function describeEstimate(document: EstimateDocument): string {
  const { estimate, targetMs, calendar, fit, countedMs } = document;
  const promise = `${time(targetMs)}${calendar === 'business' ? ' of business hours' : ''}`;
  if (estimate === null) {
    const missing = document.notMeasured.map(
      ({ source, phase, vault }) => `${source}: ${NAMES[phase]}${vault === undefined ? '' : ` from ${vault}`}`,
    );
    const why =
      missing.length > 0
        ? `never measured: ${missing.join('; ')}\n${TOO_LITTLE}`
        : 'no vault has a whole, undamaged snapshot of each source';
    return `not known, the plan promises ${promise}\n${why}`;
  }
  const verdict = { yes: 'within', tight: 'within, but at its slowest not,', no: 'LONGER than' }[fit ?? 'no'];
  const counted =
    calendar === 'business' && countedMs !== null && countedMs < estimate.expectedMs ? `, ${time(countedMs)} of it counted` : '';
  const rows = estimate.sources.flatMap((source) => [
    [
      source.source,
      'all',
      '',
      span(source),
      '',
      source.boundBy === 'download' ? 'the vault is the slower side' : 'the machine is the slower side',
    ],
    ...source.phases.map((phase) => ['', ...phaseRow(phase)]),
  ]);
  const lines = [
    `${document.shop}: about ${span(estimate)} from ${estimate.vault}${counted}: ${verdict} the ${promise} that the plan promises`,
    table(
      ['source', 'phase', 'amount', 'time', 'rate', 'measured'].map((title) => ({ title })),
      [...rows, ...estimate.phases.map((phase) => ['in place', ...phaseRow(phase)])],
    ),
  ];
  if (estimate.combined === 'beside') lines.push('the sources are restored at the same time: the longer one counts');
  if (estimate.combined === 'summed')
    lines.push('the sources were measured one by one, so their times are added; restored at the same time they may take less');
  if (estimate.notIncluded.length > 0)
    lines.push(`not in it, never measured: ${estimate.notIncluded.map((phase) => NAMES[phase]).join(', ')}`);
  for (const advice of document.advice) lines.push(`faster: ${adviceText(advice)}`);
  return lines.join('\n');
}

type PhaseRow = NonNullable<EstimateDocument['estimate']>['phases'][number];

function phaseRow(phase: PhaseRow): string[] {
  const from = { shop: '', host: ', other shops', elsewhere: ', other hosts' }[phase.basis];
  return [
    NAMES[phase.phase] ?? phase.phase,
    phase.bytes > 0 ? formatBytes(phase.bytes) : '',
    span(phase),
    phase.bytesPerSecond === null ? '' : `${formatBytes(phase.bytesPerSecond)}/s`,
    `${phase.measurements}${from}`,
  ];
}

function adviceText(advice: EstimateDocument['advice'][number]): string {
  switch (advice.kind) {
    case 'vault':
      return `read from ${advice.vault} first: about ${time(advice.expectedMs)} (--from ${advice.vault})`;
    case 'together':
      return `files and database at the same time: about ${time(advice.expectedMs)}`;
    case 'processors':
      return `a machine with ${advice.usable} processors or more: it has ${advice.processors}, and is the slower side`;
    case 'link':
      return `a faster line to ${advice.vault}, or a vault nearer by: it gives ${formatBytes(advice.bytesPerSecond)}/s, and is the slower side`;
    case 'ballast': {
      const named = advice.tables.slice(0, TABLES_NAMED).map(({ table: name, bytes }) => `${name} (${formatBytes(bytes)})`);
      const more = advice.tables.length > TABLES_NAMED ? ` and ${advice.tables.length - TABLES_NAMED} more` : '';
      return `database.profile prestashop-ephemeral leaves out ${named.join(', ')}${more}: about ${time(advice.expectedMs)}`;
    }
  }
}
