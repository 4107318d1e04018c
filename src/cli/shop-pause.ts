// `coffre shop pause` and `resume`: scheduled backups of a shop wait, and go on, at once in a daemon that runs.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { openCatalog } from '../catalog/open.ts';
import { endPause, type Pause, type PauseOrder, pauseShop } from '../catalog/pauses.ts';
import { ACTIVE, changeLife, readLife, type ShopLife } from '../catalog/shop-life.ts';
import type { Config } from '../config/config.ts';
import { parseDuration } from '../config/quantity.ts';
import { CoffreError } from '../errors.ts';
import { lifeDocument } from '../retention/life-document.ts';
import { action, type CliContext, type Invocation } from './context.ts';
import type { DaemonClient } from './daemon/client.ts';
import { neededDaemon } from './daemon/needed.ts';
import { OR_DURATION_HINT, parseInstant } from './instant.ts';
import { operatorName } from './operator.ts';
import { formatInstant, type Result } from './output.ts';
import { keptWords } from './reason.ts';
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
    .option('--reason <text>', 'why, for the audit', keptWords)
    .addHelpText('after', HELP)
    .action(action(context, (invocation, name: string, options: PauseOptions) => pause(context, invocation, name, options)));
}

async function pause(context: CliContext, invocation: Invocation, name: string, options: PauseOptions): Promise<Result> {
  const timezone = invocation.timezone();
  const until = options.until === undefined ? null : endOf(options.until, timezone, context.clock.nowMs());
  const reason = options.reason ?? null;
  if (!invocation.isRemote) findShop(invocation.config(), name);
  const daemon = await invocation.daemon();
  const paused = daemon
    ? await pauseByDaemon(daemon, invocation.signal, name, { reason, until })
    : await pauseHere(context, invocation.config(), name, { who: operatorName(context.io), reason, until });
  return {
    document: { shop: name, paused },
    text: `${name} is paused ${until === null ? 'until it is resumed' : `until ${formatInstant(Temporal.Instant.fromEpochMilliseconds(until), timezone)}`}`,
  };
}

type PauseDocument = ReturnType<typeof pauseDocument>;

async function pauseHere({ clock }: CliContext, { stateDir }: Config, name: string, order: PauseOrder): Promise<PauseDocument> {
  await using catalog = await openCatalog(stateDir);
  return pauseDocument(await pauseShop(catalog, clock, name, order));
}

async function pauseByDaemon(
  daemon: DaemonClient,
  signal: AbortSignal,
  name: string,
  { reason, until }: Pick<PauseOrder, 'reason' | 'until'>,
): Promise<PauseDocument> {
  const untilText = until === null ? null : Temporal.Instant.fromEpochMilliseconds(until).toString();
  const order = { reason, until: untilText };
  const shop = (await daemon.order(`/shops/${encodeURIComponent(name)}/pause`, order, signal)) as { readonly paused: PauseDocument | null };
  if (shop.paused === null) throw new CoffreError('E_INTERNAL', `${name} was paused, and is not`);
  return shop.paused;
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
  { reason = null }: { readonly reason?: string | null },
  say: (life: ShopLife) => string,
): Promise<Result> {
  const daemon = invocation.readsCatalog() ? null : await neededDaemon(invocation);
  const life = daemon
    ? lifeOf((await daemon.order(`/shops/${encodeURIComponent(name)}/resume`, { reason }, invocation.signal)) as LifeDocument)
    : await resumeHere(context, invocation, name, reason);
  return { document: { shop: name, ...lifeDocument(life) }, text: say(life) };
}

/** Through a daemon that runs, which hears of it at once. */
async function resumeHere({ clock, io }: CliContext, invocation: Invocation, name: string, reason: string | null): Promise<ShopLife> {
  const config = invocation.config();
  const by = { who: operatorName(io), reason };
  await using catalog = await openCatalog(config.stateDir);
  await knownShop(config, catalog, name);
  const daemon = await invocation.daemon();
  if (daemon) await daemon.order(`/shops/${encodeURIComponent(name)}/resume`, { reason }, invocation.signal);
  else {
    if ((await readLife(catalog.db, name)).state !== 'active') await changeLife(catalog, clock, name, { verb: 'resume' }, by);
    await endPause(catalog, clock, name, by);
  }
  return await readLife(catalog.db, name);
}

type LifeDocument = ReturnType<typeof lifeDocument>;

/** Of what `lifeDocument` tells. */
function lifeOf({ state, since, endsAt, who, reason }: LifeDocument): ShopLife {
  const ms = (text: string): number => Temporal.Instant.from(text).epochMilliseconds;
  if (since === null) return ACTIVE;
  return { state, since: ms(since), endsAt: endsAt === null ? null : ms(endsAt), who: who ?? '', reason };
}
