// What every command gets, and the wrapper that turns a function into a command's action.
import type { Command } from 'commander';
import type { Clock } from '../clock.ts';
import type { Config } from '../config/config.ts';
import { DEFAULT_CONFIG_FILE, loadConfig } from '../config/load.ts';
import type { LogLevel } from '../events.ts';
import type { Adapters, RestoreAdapters, RestoreSide } from './adapters.ts';
import type { Io } from './io.ts';
import { createLogger, type Logger, writesToJournal } from './log.ts';
import { printResult, type Result } from './output.ts';
import { createProgress, type Progress } from './progress.ts';

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
  /** Loads the configuration (once). Throws E_CONFIG, E_CONFIG_MISSING, E_LOCK_CEILING. */
  config(): Config;
  /** A bar on stderr, silent where stderr is no terminal. `action` stops it whatever happens. */
  progress(title: string): Progress;
}

interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
  readonly logLevel?: LogLevel;
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
    let config: Config | undefined;
    const invocation: Invocation = {
      json,
      configFile,
      // a command's result says what went wrong; its log is for whoever asks for it
      log: createLogger(globals.logLevel ?? 'silent', { journal: writesToJournal(context.io.env) }),
      signal: context.io.signal,
      config() {
        config ??= loadConfig(configFile, context.io.env);
        return config;
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

/** As `action`, for a command of the restore unit: elsewhere the whole command line is handed over to it. */
export function unitAction<A extends unknown[]>(
  context: CliContext,
  work: (invocation: Invocation, adapters: RestoreAdapters, ...args: A) => Promise<Result>,
): (...args: unknown[]) => Promise<void> {
  const { restore } = context;
  if (!restore.here) return async () => restore.become();
  return action<A>(context, (invocation, ...args) => work(invocation, restore.adapters, ...args));
}
