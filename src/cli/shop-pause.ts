// `coffre shop pause` and `resume`: scheduled backups of a shop wait, and go on, at once in a daemon that runs.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import { endPause, type Pause, pauseShop, readPause } from '../catalog/pauses.ts';
import { changeLife, readLife } from '../catalog/shop-life.ts';
import { parseDuration } from '../config/quantity.ts';
import { CoffreError } from '../errors.ts';
import { lifeDocument } from '../retention/life-document.ts';
import { action, type CliContext, type Invocation } from './context.ts';
import { OR_DURATION_HINT, parseInstant } from './instant.ts';
import { operatorName } from './operator.ts';
import { formatInstant, type Result } from './output.ts';
import { findShop, knownShop } from './shop.ts';

interface PauseOptions {
  readonly reason?: string;
  readonly until?: string;
}

/** A pause as JSON tells it. Instants are RFC 3339. */
export function pauseDocument({ since, until, who, reason }: Pause) {
  const when = (atMs: number): string => Temporal.Instant.fromEpochMilliseconds(atMs).toString();
  return { since: when(since), until: until === null ? null : when(until), who, reason };
}

const HELP = `
For a while of work on the shop: its plan's backups wait, and one run makes up for what was missed; coffre backup and everything
that keeps what is stored (prune, locks, catch-up) go on. Status turns red for what is overdue, as without a pause.
coffre shop suspend is for a shop whose backups end.

Example:
  coffre shop pause dupont --until 6h --reason "moves to another server"
`;

export function registerPause(shop: Command, context: CliContext): void {
  shop
    .command('pause')
    .description('scheduled backups wait, until a time or until the shop is resumed')
    .argument('<shop>', 'a declared shop')
    .option('--until <time>', 'a duration from now, such as 6h, or a time (default: until it is resumed)')
    .option('--reason <text>', 'why, for the audit')
    .addHelpText('after', HELP)
    .action(action(context, (invocation, name: string, options: PauseOptions) => pause(context, invocation, name, options)));
}

async function pause(context: CliContext, invocation: Invocation, name: string, options: PauseOptions): Promise<Result> {
  const config = invocation.config();
  findShop(config, name);
  const until = options.until === undefined ? null : endOf(options.until, config.timezone, context.clock.nowMs());
  const order = { who: operatorName(context.io), reason: options.reason ?? null, until };
  const daemon = await invocation.daemon();
  await using catalog = await openCatalog(config.stateDir);
  if (daemon === null) await pauseShop(catalog, context.clock, name, order);
  else {
    const untilText = until === null ? null : Temporal.Instant.fromEpochMilliseconds(until).toString();
    await daemon.order(`/shops/${encodeURIComponent(name)}/pause`, { reason: order.reason, until: untilText }, invocation.signal);
  }
  const made = await readPause(catalog, name, context.clock.nowMs());
  if (made === null) throw new CoffreError('E_INTERNAL', `${name} was paused, and is not`);
  return {
    document: { shop: name, paused: pauseDocument(made) },
    text: `${name} is paused ${until === null ? 'until it is resumed' : `until ${formatInstant(Temporal.Instant.fromEpochMilliseconds(until), config.timezone)}`}`,
  };
}

/** Throws E_USAGE. */
function endOf(text: string, timezone: string, nowMs: number): number {
  const durationMs = parseDuration(text);
  return durationMs === null ? parseInstant(text, timezone, OR_DURATION_HINT).epochMilliseconds : nowMs + durationMs;
}

/** The action of `coffre shop resume`: ends a pause, a suspension and a closing. `say` tells how the shop stands then. */
export async function resumeShop(
  context: CliContext,
  invocation: Invocation,
  name: string,
  { reason }: Pick<PauseOptions, 'reason'>,
  say: (catalog: Catalog) => Promise<string>,
): Promise<Result> {
  const config = invocation.config();
  const { clock, io } = context;
  await using catalog = await openCatalog(config.stateDir);
  await knownShop(config, catalog, name);
  const by = { who: operatorName(io), reason: reason ?? null };
  const daemon = await invocation.daemon();
  if (daemon) await daemon.order(`/shops/${encodeURIComponent(name)}/resume`, { reason: by.reason }, invocation.signal);
  else {
    if ((await readLife(catalog.db, name)).state !== 'active') await changeLife(catalog, clock, name, { verb: 'resume' }, by);
    await endPause(catalog, clock, name, by);
  }
  return { document: { shop: name, ...lifeDocument(await readLife(catalog.db, name)) }, text: await say(catalog) };
}
