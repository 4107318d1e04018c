// The daemon: its one lock, its catalog, the service and its doors, until it is told to stop. What is wrong with its state it waits out.
import { sql } from 'kysely';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import { lockDaemon } from '../catalog/shop-lock.ts';
import type { Config } from '../config/config.ts';
import { asCoffreError, CoffreError, type ErrorCode } from '../errors.ts';
import { RunningService, type ServiceOptions } from './running-service.ts';
import type { Service } from './service.ts';

/** What was opened to the outside. */
export interface Doors {
  close(): Promise<void>;
}

/** Whoever supervises the daemon, systemd mostly, hears how it stands. */
export interface Supervisor {
  ready(status: string): void;
  status(text: string): void;
  reloading(): void;
  stopping(status: string): void;
}

export interface DaemonOptions extends Omit<ServiceOptions, 'catalog'> {
  readonly openDoors: (service: Service) => Promise<Doors>;
  readonly supervisor: Supervisor;
  /** Hears each time that the state cannot be used, and with null that it can again. Never throws. */
  readonly onTrouble: (trouble: CoffreError | null, signal: AbortSignal) => Promise<void>;
  /** Calls the listener whenever somebody asks for a reload by a signal. */
  readonly onHangup: (listener: () => void) => void;
}

/**
 * A full disk or a damaged catalog is no reason to die, and to be started again every few seconds until systemd gives up: the daemon stays,
 * says so, and goes on by itself once it is mended. Meanwhile it holds no lock, so that the catalog can be rebuilt, and has no door.
 */
const WAITED_OUT: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['E_STATE_SPACE', 'E_CATALOG']);
const AGAIN_MS = 30_000;

/**
 * Runs until the signal; true when nothing was left unfinished beyond the time given to it. Throws E_DAEMON_RUNNING, E_STATE, E_CONFIG, and
 * what keeps the doors from opening.
 */
export async function runDaemon(options: DaemonOptions, signal: AbortSignal): Promise<boolean> {
  const { clock, config, log, supervisor } = options;
  const hangup: { listener: (() => void) | null } = { listener: null };
  options.onHangup(() => hangup.listener?.());
  let trouble: CoffreError | null = null;
  // a reload puts another one in its place, which trouble with the state does not take back
  const inForce = { config };
  for (;;) {
    try {
      using _lock = await lockDaemon(config.stateDir, clock, 'the daemon', config.timezone);
      await using catalog = await openCatalog(config.stateDir);
      if (trouble?.code === 'E_CATALOG') await checkCatalog(catalog);
      if (trouble) {
        log.info({ event: 'daemon.recovered' }, 'the state can be used again');
        await options.onTrouble(null, signal);
        trouble = null;
      }
      const clean = await serve(options, inForce, catalog, hangup, signal);
      log.info({ event: 'daemon.stopped', clean }, clean ? 'daemon stopped' : 'daemon stopped without waiting for a run that did not end');
      return clean;
    } catch (error) {
      const failure = asCoffreError(error);
      if (!WAITED_OUT.has(failure.code)) throw error;
      log.error({ event: 'daemon.degraded', code: failure.code, hint: failure.hint }, `${failure.message}: nothing is backed up meanwhile`);
      supervisor.ready(`RED: ${failure.message}`);
      trouble = failure;
      await options.onTrouble(failure, signal);
    }
    // the signal ends the wait, and then the daemon: nothing is under way
    await clock.sleep(AGAIN_MS, signal).catch(() => {});
    if (signal.aborted) return true;
  }
}

async function serve(
  options: DaemonOptions,
  inForce: { config: Config },
  catalog: Catalog,
  hangup: { listener: (() => void) | null },
  signal: AbortSignal,
): Promise<boolean> {
  const { log, supervisor } = options;
  const { config } = inForce;
  const service = await RunningService.start({ ...options, config, catalog });
  const stopping = (): void => supervisor.stopping('runs get some seconds to end; what they stored is taken up by the next ones');
  signal.addEventListener('abort', stopping, { once: true });
  let doors: Doors | null = null;
  try {
    // before anything begins: a daemon that nobody can reach is not to store and lock whole snapshots, and then to end
    doors = await options.openDoors(service);
    for (const warning of config.warnings) log.warn({ event: 'config.warning' }, warning);
    const { file, shops, timezone } = config;
    log.info(
      {
        ...{ event: 'daemon.started', version: service.version, config: file, pid: process.pid, timezone },
        ...{ shops: shops.size, jobs: service.jobs },
      },
      'daemon started',
    );
    using begunOrEnded = service.feed.subscribe({ filter: ({ type }) => type === 'started' || type === 'ended' });
    void tellStanding(begunOrEnded, () => supervisor.status(standing(service)));
    hangup.listener = () => {
      supervisor.reloading();
      const told = service.reload('SIGHUP').catch(() => {});
      void told.then(() => supervisor.ready(standing(service)));
    };
    return await service.run(signal, () => supervisor.ready(standing(service)));
  } finally {
    hangup.listener = null;
    inForce.config = service.config;
    signal.removeEventListener('abort', stopping);
    // whoever watches a run has heard its end by now
    service.feed.close();
    await doors?.close();
  }
}

/** One line for `systemctl status`. */
function standing({ config, state }: Service): string {
  const { configProblem, running, stopping } = state;
  if (configProblem) return `RED: the configuration was refused: ${configProblem.message}`;
  return `${stopping ? 'stopping: ' : ''}${config.shops.size} shops, ${running.length} runs under way`;
}

async function tellStanding(events: AsyncIterable<unknown>, tell: () => void): Promise<void> {
  for await (const _ of events) tell();
}

/** Throws E_CATALOG. It reads the whole file: only after something was found wrong with it. */
async function checkCatalog(catalog: Catalog): Promise<void> {
  const { rows } = await sql<{ quick_check: string }>`pragma quick_check(1)`.execute(catalog.db);
  const said = rows[0]?.quick_check ?? 'nothing';
  if (said !== 'ok') throw new CoffreError('E_CATALOG', `the catalog is damaged: ${said}`);
}
