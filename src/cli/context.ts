// What every command gets, and the wrapper that turns a function into a command's action.
import { accessSync, constants } from 'node:fs';
import type { Command } from 'commander';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { DEFAULT_CONFIG_FILE, loadConfig } from '../config/load.ts';
import { CoffreError } from '../errors.ts';
import type { LogLevel } from '../events.ts';
import type { Adapters, RestoreAdapters, RestoreSide } from './adapters.ts';
import type { DaemonClient } from './daemon/client.ts';
import type { Io } from './io.ts';
import { createLogger, type Logger, writesToJournal } from './log.ts';
import { operatorName } from './operator.ts';
import { printResult, type Result } from './output.ts';
import { createProgress, type Progress } from './progress.ts';
import { becomeStateOwner } from './state-owner.ts';

export interface CliContext {
  readonly adapters: Adapters;
  readonly restore: RestoreSide;
  readonly clock: Clock;
  readonly io: Io;
}

/** One call of one command, with the global options read. */
export interface Invocation {
  readonly json: boolean;
  /** The file that `config` reads; it need not exist. */
  readonly configFile: string;
  readonly log: Logger;
  /** Aborts with E_INTERRUPTED at the first signal. */
  readonly signal: AbortSignal;
  /** --url or $COFFRE_URL: the work is for the daemon of another machine, and neither configuration nor catalog are here. */
  readonly isRemote: boolean;
  /** Loads the configuration (once). Throws E_CONFIG, E_CONFIG_MISSING, E_LOCK_CEILING, and E_USAGE when it is not here. */
  config(): Config;
  /**
   * Whether what is told of shops and runs is read from the catalog; else the daemon tells it: it is on another machine, or its state is
   * not this user's, who is an administrator by the socket alone.
   */
  readsCatalog(): boolean;
  /** The configured zone; of work for another machine the one of this terminal. */
  timezone(): string;
  /**
   * The daemon that is to do the work; null: none runs, or --alone, and this process does it. Throws E_DAEMON_…, and E_USAGE, E_SECRET_… with --url.
   * Where it is null root goes on as the owner of the state (`becomeStateOwner`), unless `asIAm`: so before anything is written.
   */
  daemon(options?: { readonly asIAm?: boolean }): Promise<DaemonClient | null>;
  /** A bar on stderr, silent where stderr is no terminal. `action` stops it whatever happens. */
  progress(title: string): Progress;
}

interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly logLevel?: LogLevel;
  readonly alone?: boolean;
  readonly url?: string;
  readonly tokenFile?: string;
}

/**
 * Makes `work` the action of a command: `.action(action(context, async (invocation, shop: string, options: X) => …))`.
 * Arguments and options come as commander gives them; the result is printed once, at the end; what is thrown is the program's.
 */
export function action<A extends unknown[]>(
  context: CliContext,
  work: (invocation: Invocation, ...args: A) => Promise<Result>,
): (...args: unknown[]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command;
    const globals = command.optsWithGlobals<GlobalOptions>();
    const json = globals.json === true;
    const configFile = globals.config ?? (context.io.env.COFFRE_CONFIG || DEFAULT_CONFIG_FILE);
    const bars: Progress[] = [];
    let loaded: Config | undefined;
    const { url } = globals;
    const config = (): Config => {
      if (url !== undefined) {
        throw new CoffreError('E_USAGE', 'this is done on the machine of the daemon, not through --url', {
          hint: 'leave out --url (and $COFFRE_URL), and run it there',
        });
      }
      loaded ??= loadConfig(configFile, context.io.env);
      return loaded;
    };
    const invocation: Invocation = {
      json,
      configFile,
      // a command's result says what went wrong; its log is for whoever asks for it
      log: createLogger(globals.logLevel ?? 'silent', { journal: writesToJournal(context.io.env) }),
      signal: context.io.signal,
      isRemote: url !== undefined,
      config,
      readsCatalog: () => url === undefined && mayUse(config().stateDir),
      timezone: () => (url === undefined ? config().timezone : new Intl.DateTimeFormat().resolvedOptions().timeZone),
      async daemon({ asIAm = false } = {}) {
        const { clock, io } = context;
        if (globals.alone && url !== undefined) throw new CoffreError('E_USAGE', '--alone and --url exclude each other');
        const { localDaemon, remoteDaemon } = await import('./daemon/client.ts');
        if (url === undefined) {
          const found = globals.alone ? null : await localDaemon(config(), clock, operatorName(io), io.signal);
          if (found === null && !asIAm) becomeStateOwner(config().stateDir, io);
          return found;
        }
        const { remoteAddress } = await import('./daemon/remote.ts');
        return await remoteDaemon(remoteAddress(url, globals.tokenFile, io.env), clock, io.signal);
      },
      progress(title) {
        const bar = createProgress(context.io, context.clock, json, title);
        bars.push(bar);
        return bar;
      },
    };
    let result: Result;
    try {
      result = await work(invocation, ...(all.slice(0, -1) as A));
    } finally {
      for (const bar of bars) bar.stop();
    }
    printResult(context.io, json, result);
  };
}

/** What is missing is made by whoever may. */
function mayUse(stateDir: string): boolean {
  try {
    accessSync(stateDir, constants.R_OK | constants.W_OK | constants.X_OK);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EACCES';
  }
}

/** As `action`, for a command of the restore unit: elsewhere the whole command line is handed over to it. */
export function unitAction<A extends unknown[]>(
  context: CliContext,
  work: (invocation: Invocation, adapters: RestoreAdapters, ...args: A) => Promise<Result>,
): (...args: unknown[]) => Promise<void> {
  const { restore } = context;
  if (!restore.here) return async () => restore.become();
  return action<A>(context, (invocation, ...args) => work(invocation, restore.adapters, ...args));
}
