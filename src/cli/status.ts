// `coffre status`: one screen that says whether one may sleep. Exit status 1 when anything is red.
import type { Command } from 'commander';
import { Temporal } from 'temporal-polyfill';
import { breachesOfOthers, breachState } from '../catalog/breaches.ts';
import { type IncidentsOfOther, incidentsOfOthers } from '../catalog/incidents.ts';
import { type ChannelTrouble, channelTroubles } from '../catalog/messages.ts';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { readStatus } from '../schedule/read-status.ts';
import type { ShopStatus } from '../schedule/status.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import { action, type CliContext, type Invocation } from './context.ts';
import type { DaemonClient } from './daemon/client.ts';
import { neededDaemon } from './daemon/needed.ts';
import { formatBytes, formatDuration, formatInstant, table } from './output.ts';
import { chosenShops } from './shop.ts';
import { type DaemonStanding, daemonStanding, RUNNING } from './status-daemon.ts';

export function registerStatus(program: Command, context: CliContext): void {
  program
    .command('status')
    .description('how every shop stands; exit status 1 when anything is red')
    .argument('[shop]', 'only this shop')
    .addHelpText('after', '\nExample:\n  coffre status\n  coffre --json status dupont\n')
    .action(
      action(context, async (invocation, shopName: string | undefined) => {
        const { breaches, incidents, statuses, troubles, unbilled, daemon } = await (invocation.readsCatalog()
          ? statusHere(context, invocation, shopName)
          : statusOfDaemon(invocation, shopName));
        const bad = statuses.filter((status) => !status.ok);
        const failure =
          statuses.length === 0
            ? new CoffreError('E_RED', 'no shop is declared: nothing is backed up', {
                hint: invocation.isRemote ? '' : `declare one under shops: in ${invocation.config().file}`,
              })
            : bad.length > 0
              ? new CoffreError('E_RED', `${bad.length} of ${statuses.length} shops ${bad.length === 1 ? 'is' : 'are'} red`)
              : daemon.red !== null
                ? new CoffreError('E_RED', 'no daemon runs')
                : troubles.length > 0
                  ? new CoffreError('E_RED', `nobody can be told by ${troubles.map(({ channel }) => channel).join(' and ')}`)
                  : unbilled.length > 0
                    ? new CoffreError('E_RED', 'a statement that is due was not issued')
                    : breaches.length > 0
                      ? new CoffreError('E_RED', 'a client who left has to be told of tampering or loss')
                      : incidents.length > 0
                        ? new CoffreError('E_RED', 'incidents of no declared shop were not looked into')
                        : null;
        return {
          document: {
            ...{
              ok: failure === null,
              daemon,
              shops: statuses,
              notifications: troubles.map(troubleDocument),
              unbilled,
              breaches,
              incidents,
            },
          },
          text: [
            describe(statuses, invocation.timezone(), daemon),
            ...troubles.map((trouble) => describeTrouble(trouble, invocation.timezone())),
            ...unbilled.map(describeUnbilled),
            ...breaches.map((row) => describeBreach(row, invocation.timezone())),
            ...incidents.map(describeIncidents),
          ].join('\n'),
          ...(failure ? { failure } : {}),
        };
      }),
    );
}

/** As the daemon tells it: why a shop is red, and notes, to administrators alone. */
type ToldStatus = Omit<ShopStatus, 'red' | 'notes'> & Partial<Pick<ShopStatus, 'red' | 'notes'>>;

interface UntoldBreach {
  readonly id: string;
  readonly vault: string;
  /** RFC 3339. */
  readonly deadline: string;
  readonly overdue: boolean;
}

interface Statuses {
  readonly statuses: readonly ToldStatus[];
  /** Channels over which nobody can be told; the daemon's metrics and log tell of them too. */
  readonly troubles: readonly ChannelTrouble[];
  /** Contracts of which the daemon should have issued a statement. */
  readonly unbilled: readonly string[];
  /** Cases that are of no declared shop. */
  readonly breaches: readonly UntoldBreach[];
  /** The same of incidents. */
  readonly incidents: readonly IncidentsOfOther[];
  readonly daemon: DaemonStanding;
}

async function statusHere(context: CliContext, invocation: Invocation, shopName: string | undefined): Promise<Statuses> {
  const config = invocation.config();
  const shops = chosenShops(config, shopName);
  await using catalog = await openCatalog(config.stateDir);
  const statuses: ShopStatus[] = [];
  for (const shop of shops) statuses.push(await readStatus(config, catalog, shop, context.clock.nowMs()));
  const nowMs = context.clock.nowMs();
  return {
    statuses,
    troubles: shopName === undefined ? await channelTroubles(catalog.db, nowMs) : [],
    unbilled: shopName === undefined ? await unbilledOf(config, catalog, context.clock.now()) : [],
    breaches: shopName === undefined ? await untoldBreaches(config, catalog, nowMs) : [],
    incidents: shopName === undefined ? await incidentsOfOthers(catalog.db, config.shops.values(), DAEMON_SHOP) : [],
    daemon: await daemonStanding(config, catalog, statuses),
  };
}

async function statusOfDaemon(invocation: Invocation, shopName: string | undefined): Promise<Statuses> {
  const daemon = await neededDaemon(invocation);
  if (shopName === undefined) {
    const statuses = (await daemon.readAll('/status', 'shops', invocation.signal)) as ToldStatus[];
    return { statuses, ...(await troublesOfDaemon(daemon, invocation.signal)), daemon: RUNNING };
  }
  return {
    statuses: [(await daemon.read(`/shops/${encodeURIComponent(shopName)}/status`, invocation.signal)) as ToldStatus],
    troubles: [],
    unbilled: [],
    breaches: [],
    incidents: [],
    daemon: RUNNING,
  };
}

/** What counts money is loaded where there is any to count. */
async function unbilledOf({ contracts }: Config, catalog: Catalog, now: Temporal.Instant): Promise<string[]> {
  if (![...contracts.values()].some(({ issue }) => issue === 'auto')) return [];
  const { overdueContracts } = await import('../billing/due-statements.ts');
  return await overdueContracts(catalog.db, contracts.values(), now);
}

/** What is no client's business is not told to one. */
async function troublesOfDaemon(
  daemon: DaemonClient,
  signal: AbortSignal,
): Promise<Pick<Statuses, 'troubles' | 'unbilled' | 'breaches' | 'incidents'>> {
  try {
    const { breaches, incidents, notifications, unbilled } = (await daemon.read('/service', signal)) as {
      notifications?: (Omit<ChannelTrouble, 'since'> & { readonly since: string })[];
      unbilled?: string[];
      breaches?: UntoldBreach[];
      incidents?: IncidentsOfOther[];
    };
    // a daemon of before does not tell
    const troubles = (notifications ?? []).map((trouble) => ({
      ...trouble,
      since: Temporal.Instant.from(trouble.since).epochMilliseconds,
    }));
    return { troubles, unbilled: unbilled ?? [], breaches: breaches ?? [], incidents: incidents ?? [] };
  } catch (error) {
    if (error instanceof CoffreError && error.code === 'E_FORBIDDEN') return { troubles: [], unbilled: [], breaches: [], incidents: [] };
    throw error;
  }
}

async function untoldBreaches({ shops }: Config, catalog: Catalog, nowMs: number): Promise<UntoldBreach[]> {
  const rows = await breachesOfOthers(catalog.db, shops.values(), DAEMON_SHOP);
  return rows.map((row) => ({
    ...{ id: row.id, vault: row.vault, deadline: sinceText(row.deadline) },
    overdue: breachState(row, nowMs) === 'overdue',
  }));
}

const describeBreach = ({ deadline, id, overdue, vault }: UntoldBreach, timezone: string): string =>
  `RED   vault ${vault}: tampering or loss, case ${id}, of a shop that is declared no more: ${overdue ? 'OVERDUE: ' : ''}its client has to be told by ${formatInstant(Temporal.Instant.from(deadline), timezone)}; coffre breach show ${id}`;

const describeIncidents = ({ count, kind, shop, vault }: IncidentsOfOther): string =>
  `RED   vault ${vault}: ${count} ${count === 1 ? 'incident' : 'incidents'} of the kind ${kind} ${shop === DAEMON_SHOP ? 'beside the shops, and no declared shop uses it' : `of ${shop}, which is declared no more`}; coffre incident list ${shop}`;

const describeUnbilled = (contract: string): string =>
  `RED   contract ${contract}: a statement that is due was not issued; coffre billing statement --contract ${contract} --month YYYY-MM --issue says why`;

const sinceText = (atMs: number): string => Temporal.Instant.fromEpochMilliseconds(atMs).toString();

const troubleDocument = ({ since, ...trouble }: ChannelTrouble) => ({ ...trouble, since: sinceText(since) });

function describeTrouble({ channel, code, error, since, waiting }: ChannelTrouble, timezone: string): string {
  const at = formatInstant(Temporal.Instant.fromEpochMilliseconds(since), timezone);
  const messages = channel === 'ping' ? 'it does not get through' : waiting === 1 ? 'a message waits' : `${waiting} messages wait`;
  return `RED   ${channel}: ${messages} since ${at}: ${error} [${code}]; coffre notify test ${channel} says what is wrong`;
}

function describe(statuses: readonly ToldStatus[], timezone: string, daemon: DaemonStanding): string {
  const rows = statuses.map((status) => [
    status.ok ? 'green' : 'RED',
    status.shop,
    ...(['database', 'files'] as const).map((source) => age(status, source)),
    `${status.copies.copies}-${status.copies.media.length}-${status.copies.offsite.length}-${status.copies.immutable.length}-${status.copies.verifyErrors}`,
    status.quota.limitBytes === null
      ? formatBytes(status.quota.usedBytes)
      : `${formatBytes(status.quota.usedBytes)} of ${formatBytes(status.quota.limitBytes)}`,
    restoreTime(status),
    next(status, timezone, daemon),
  ]);
  const lines = [
    table(
      ['', 'shop', 'database', 'files', '3-2-1-1-0', 'size', 'recovery', 'next run'].map((title) => ({ title })),
      rows,
      'no shops are declared',
    ),
  ];
  if (daemon.red !== null) lines.push(`RED   ${daemon.red}`);
  for (const status of statuses)
    for (const reason of status.red ?? (status.ok ? [] : ['who looks after the backups knows why']))
      lines.push(`RED   ${status.shop}: ${reason}`);
  for (const status of statuses) for (const note of status.notes ?? []) lines.push(`note  ${status.shop}: ${note}`);
  if (daemon.note !== null) lines.push(`note  ${daemon.note}`);
  return lines.join('\n');
}

function age(status: ToldStatus, source: string): string {
  const own = status.sources.find((candidate) => candidate.source === source);
  if (!own) return '-';
  if (own.newestGood) return `${formatDuration(own.newestGood.ageMs)} ago`;
  // a daemon of before does not tell
  return own.restorable ? `${formatDuration(own.restorable.ageMs)} ago, in ${own.restorable.vaults.join(', ')} alone` : 'NONE';
}

/** From what restores and drills measured, against the plan's target. */
function restoreTime(status: ToldStatus): string {
  const target = `target ${formatDuration(status.rto.targetMs)}`;
  const { estimate } = status.rto;
  if (estimate === null) return `not measured, ${target}`;
  return `about ${formatDuration(inSeconds(estimate.expectedMs))}, ${target}`;
}

/** Rounded up: to less than a second nobody predicts. */
const inSeconds = (ms: number): number => Math.ceil(ms / 1000) * 1000;

function next(status: ToldStatus, timezone: string, { running }: DaemonStanding): string {
  const { state } = status.life;
  if (state === 'suspended' || state === 'erased') return state;
  const times = status.sources.flatMap((source) => (source.nextRun === null ? [] : Temporal.Instant.from(source.nextRun)));
  const [first] = times.sort(Temporal.Instant.compare);
  if (!first) return 'nothing scheduled';
  return running ? formatInstant(first, timezone) : 'no daemon';
}
