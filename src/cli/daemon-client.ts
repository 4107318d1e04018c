// The daemon as commands see it: where it is, whether it is one that this coffre understands, and what can be asked of it.
import { daemonRunning } from '../catalog/shop-lock.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { type DaemonAddress, DaemonHttp } from './daemon-client-http.ts';

/** Part of the path of every route: another number is an API that this client does not know. */
const API = '/v1';
/** A daemon that starts holds its lock before it listens. */
const LISTENS_WITHIN_MS = 10_000;
const ASK_EVERY_MS = 200;

/** A daemon that answers. */
export class DaemonClient {
  readonly http: DaemonHttp;
  /** On another machine: its configuration and catalog are not here. */
  readonly isRemote: boolean;

  constructor(http: DaemonHttp, isRemote: boolean) {
    this.http = http;
    this.isRemote = isRemote;
  }

  get where(): string {
    return this.http.where;
  }
}

/**
 * The daemon that holds this state, once it answers at `listen.socket`; null: none runs, or it listens at no socket, and the caller works
 * alone (the locks of catalog/shop-lock.ts keep both from writing the same). Throws E_DAEMON_UNREACHABLE when one runs and does not answer,
 * E_DAEMON_RUNNING while the catalog is rebuilt, E_DAEMON_VERSION, and the signal's reason.
 */
export async function localDaemon(config: Config, clock: Clock, operator: string, signal: AbortSignal): Promise<DaemonClient | null> {
  const { socket } = config.listen;
  if (socket === null) return null;
  const http = new DaemonHttp({ socketPath: socket }, clock, { 'coffre-operator': operator });
  const giveUpAtMs = clock.monotonicMs() + LISTENS_WITHIN_MS;
  for (;;) {
    let failure: CoffreError;
    try {
      return await greeted(new DaemonClient(http, false), signal);
    } catch (error) {
      if (!(error instanceof CoffreError) || error.code !== 'E_DAEMON_UNREACHABLE') throw error;
      failure = error;
    }
    const code = (failure.cause as NodeJS.ErrnoException | undefined)?.code;
    if (code === 'EACCES' || code === 'EPERM') {
      throw new CoffreError('E_DAEMON_UNREACHABLE', `${socket} may not be opened by this user`, {
        hint: 'administrators are root and the members of its group: ls -l shows it',
        cause: failure,
      });
    }
    const holder = await daemonRunning(config.stateDir);
    if (holder === null) return null;
    if (holder.doing !== 'the daemon') throw new CoffreError('E_DAEMON_RUNNING', `${holder.doing} is under way (process ${holder.pid})`);
    if (clock.monotonicMs() >= giveUpAtMs) {
      throw new CoffreError(
        'E_DAEMON_UNREACHABLE',
        `the daemon (process ${holder.pid}) does not answer at ${socket}: ${code ?? failure.message}`,
        {
          hint: 'systemctl status coffre says how it stands; --alone works beside it, on shops that it is not busy with',
          cause: failure,
        },
      );
    }
    await clock.sleep(ASK_EVERY_MS, signal);
  }
}

/** The daemon of another machine. Throws E_DAEMON_UNREACHABLE, E_DAEMON_VERSION, E_TOKEN. */
export async function remoteDaemon(address: DaemonAddress, clock: Clock, signal: AbortSignal): Promise<DaemonClient> {
  return await greeted(new DaemonClient(new DaemonHttp(address, clock), true), signal);
}

/** What answers must know this version of the API. */
async function greeted(daemon: DaemonClient, signal: AbortSignal): Promise<DaemonClient> {
  try {
    await daemon.http.json({ path: `${API}/me`, signal });
    return daemon;
  } catch (error) {
    if (error instanceof CoffreError && error.code === 'E_NOT_FOUND') {
      throw new CoffreError('E_DAEMON_VERSION', `the daemon at ${daemon.where} does not speak version ${API.slice(2)} of the API`);
    }
    throw error;
  }
}
