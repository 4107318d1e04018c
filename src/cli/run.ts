// `coffre run`: what was done, is done and waits, by the daemon and by commands; following a run and calling it off.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { audit } from '../catalog/audit.ts';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import { asItIs, runDetailDocument, runDocument } from '../catalog/run-document.ts';
import { closeQueued, pageOfRuns, readRun } from '../catalog/run-queue.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { action, type CliContext, type Invocation } from './context.ts';
import type { DaemonClient, RunInFull, RunSummary } from './daemon/client.ts';
import { neededDaemon, noDaemon } from './daemon/needed.ts';
import { operatorName } from './operator.ts';
import { formatDuration, formatInstant, type Result, table } from './output.ts';
import { knownShop } from './shop.ts';

const KINDS = ['backup', 'restore', 'prune', 'verify', 'catch-up', 'reconcile', 'probe', 'checkpoint', 'drill', 'export'] as const;
const STATES = ['queued', 'running', 'done', 'failed', 'interrupted', 'cancelled'] as const;
const MOST_LISTED = 1000;
/** What the API takes for the name of a shop; it refuses anything else as no request at all. */
const ANY_SHOP = /^[a-z0-9][a-z0-9-]{0,62}$/;

interface ListOptions {
  readonly kind?: (typeof KINDS)[number];
  readonly state?: (typeof STATES)[number];
  readonly limit: number;
}

const FOLLOW_HELP = `
Ctrl-C ends the following, not the run. When the daemon is started again meanwhile, the run that takes this one up is followed.

Example:
  coffre run follow 01k9v3n0t3f8z6j2q4h5y7w1cd
`;

export function registerRun(program: Command, context: CliContext): void {
  const run = program.command('run').description('runs of the daemon and of commands: list, show, follow, cancel');
  run
    .command('list')
    .description('newest first: what waits, what is under way, what was done')
    .argument('[shop]', 'only of this shop')
    .addOption(new Option('--kind <kind>', 'only of this kind').choices(KINDS))
    .addOption(new Option('--state <state>', 'only in this state').choices(STATES))
    .option('--limit <number>', 'at most so many', atMost, 20)
    .addHelpText('after', '\nExample:\n  coffre run list\n  coffre run list dupont --state failed\n')
    .action(action(context, (invocation, shop: string | undefined, options: ListOptions) => list(invocation, shop, options)));
  run
    .command('show')
    .description('one run: its steps, how it ended; with --json its result')
    .argument('<run>', 'id of the run')
    .addHelpText('after', '\nExample:\n  coffre run show 01k9v3n0t3f8z6j2q4h5y7w1cd\n')
    .action(
      action(context, async (invocation, id: string) => {
        const found = await readOne(invocation, id);
        return { document: found, text: describe(found, invocation.timezone()) };
      }),
    );
  run
    .command('follow')
    .description('show how a run goes until it ends; the exit status is the run’s')
    .argument('<run>', 'id of the run')
    .addHelpText('after', FOLLOW_HELP)
    .action(action(context, (invocation, id: string) => follow(context, invocation, id)));
  run
    .command('cancel')
    .description('call runs off: one that waits never begins, one that is under way ends soon; what it stored stays')
    .argument('<run...>', 'ids of the runs')
    .addHelpText('after', '\nExample:\n  coffre run cancel 01k9v3n0t3f8z6j2q4h5y7w1cd\n')
    .action(action(context, (invocation, ids: readonly string[]) => cancel(context, invocation, ids)));
}

function atMost(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1 || number > MOST_LISTED) throw new InvalidArgumentError(`from 1 to ${MOST_LISTED}`);
  return number;
}

async function list(invocation: Invocation, shop: string | undefined, { kind, state, limit }: ListOptions): Promise<Result> {
  let runs: readonly RunSummary[];
  if (!invocation.readsCatalog()) {
    const daemon = await neededDaemon(invocation);
    if (shop !== undefined && shop !== DAEMON_SHOP && !ANY_SHOP.test(shop))
      throw new CoffreError('E_UNKNOWN_SHOP', `no shop ${JSON.stringify(shop)}`);
    ({ runs } = await daemon.runs({ shop, kind, state, limit }, invocation.signal));
    if (runs.length === 0 && shop !== undefined && shop !== DAEMON_SHOP) await mustBeKnownThere(daemon, shop, invocation.signal);
  } else {
    await using catalog = await openCatalog(invocation.config().stateDir);
    const rows = await pageOfRuns(catalog, {
      ...(shop === undefined ? {} : { shops: [shop] }),
      ...(kind === undefined ? {} : { kinds: [kind] }),
      ...(state === undefined ? {} : { states: [state] }),
      limit,
    });
    if (rows.length === 0 && shop !== undefined && shop !== DAEMON_SHOP) await mustBeKnown(invocation.config(), catalog, shop);
    runs = (await Promise.all(rows.map((row) => asItIs(catalog, row)))).map(runDocument);
  }
  const zone = invocation.timezone();
  return {
    document: { runs },
    text: table(
      ['run', 'what', 'shop', 'state', 'since', 'took', 'by', 'error'].map((title) => ({ title })),
      runs.map((row) => [
        row.id,
        row.source === null ? row.kind : `${row.kind} ${row.source}`,
        row.shop,
        row.state,
        formatInstant(Temporal.Instant.from(row.startedAt), zone),
        tookOf(row),
        row.who ?? '-',
        row.error?.code ?? '-',
      ]),
      'no runs',
    ),
  };
}

/** Throws E_UNKNOWN_SHOP for a name that is neither declared nor held by any vault, and of which no run is written down. */
async function mustBeKnown(config: Config, catalog: Catalog, shop: string): Promise<void> {
  if ((await pageOfRuns(catalog, { shops: [shop], limit: 1 })).length === 0) await knownShop(config, catalog, shop);
}

async function mustBeKnownThere(daemon: DaemonClient, shop: string, signal: AbortSignal): Promise<void> {
  const { runs } = await daemon.runs({ shop, limit: 1 }, signal);
  if (runs.length === 0) await daemon.read(`/shops/${encodeURIComponent(shop)}`, signal);
}

async function readOne(invocation: Invocation, id: string): Promise<RunInFull> {
  if (!invocation.readsCatalog()) return await (await neededDaemon(invocation)).run(id, invocation.signal);
  await using catalog = await openCatalog(invocation.config().stateDir);
  return await readHere(catalog, id);
}

async function readHere(catalog: Catalog, id: string): Promise<RunInFull> {
  return runDetailDocument(await asItIs(catalog, await readRun(catalog, id)));
}

async function follow(context: CliContext, invocation: Invocation, id: string): Promise<Result> {
  const daemon = await invocation.daemon();
  if (daemon === null) {
    const found = await readOne(invocation, id);
    if (found.endedAt === null) throw noDaemon(`nobody tells how run ${id} goes`);
    return ended(found, invocation);
  }
  const { followRun } = await import('./daemon/runs.ts');
  try {
    return ended(await followRun(daemon, invocation, context.clock, id), invocation);
  } catch (error) {
    if (!invocation.signal.aborted) throw error;
    throw new CoffreError('E_DETACHED', `run ${id} goes on`, { hint: `coffre run cancel ${id} calls it off` });
  }
}

/** What was followed to its end ends as the run did. */
async function ended(run: RunInFull, invocation: Invocation): Promise<Result> {
  const { errorOf } = await import('./daemon/runs.ts');
  const failure = errorOf(run);
  return { document: { run }, text: describe(run, invocation.timezone()), ...(failure ? { failure } : {}) };
}

async function cancel(context: CliContext, invocation: Invocation, ids: readonly string[]): Promise<Result> {
  const daemon = await invocation.daemon();
  const runs: { run: string; cancelled: boolean }[] = [];
  for (const id of ids) {
    const cancelled = daemon ? await daemon.cancel(id, invocation.signal) : await cancelHere(context, invocation, id);
    runs.push({ run: id, cancelled });
  }
  return {
    document: { runs },
    text: runs.map(({ run, cancelled }) => (cancelled ? `run ${run} is called off` : `run ${run} had ended already`)).join('\n'),
  };
}

/** Without a daemon only what waits for one can be called off. */
async function cancelHere(context: CliContext, invocation: Invocation, id: string): Promise<boolean> {
  await using catalog = await openCatalog(invocation.config().stateDir);
  const who = operatorName(context.io);
  if (await closeQueued(catalog, context.clock, id, new CoffreError('E_CANCELLED', `cancelled by ${who}`))) {
    const { shop } = await readRun(catalog, id);
    await audit(catalog, context.clock, { who, what: 'run cancel', shop, detail: { run: id } });
    return true;
  }
  if ((await readHere(catalog, id)).endedAt !== null) return false;
  throw new CoffreError('E_USAGE', `run ${id} is a command’s, not a daemon’s`, { hint: 'stop that command: Ctrl-C, or kill its process' });
}

function tookOf({ startedAt, endedAt }: Pick<RunSummary, 'startedAt' | 'endedAt'>): string {
  if (endedAt === null) return '-';
  return formatDuration(Temporal.Instant.from(endedAt).epochMilliseconds - Temporal.Instant.from(startedAt).epochMilliseconds);
}

function describe(run: RunInFull, zone: string): string {
  const when = (instant: string): string => formatInstant(Temporal.Instant.from(instant), zone);
  const { id, kind, shop, source, state, who, startedAt, endedAt, error, steps, takesUp } = run;
  const lines = [
    `run ${id}: ${kind}${source === null ? '' : ` of ${source}`} of ${shop}`,
    `  state    ${state}`,
    `  by       ${who ?? 'not written down'}`,
    `  since    ${when(startedAt)}`,
  ];
  if (endedAt !== null) lines.push(`  ended    ${when(endedAt)}, after ${tookOf(run)}`);
  if (takesUp !== null) lines.push(`  goes on with run ${takesUp}, which was interrupted`);
  for (const { step, at } of steps) lines.push(`  step     ${when(at)}  ${step}`);
  if (error !== null) {
    lines.push(`  error    ${error.message} [${error.code}]`);
    if (error.hint) lines.push(`  HINT     ${error.hint}`);
  }
  return lines.join('\n');
}
