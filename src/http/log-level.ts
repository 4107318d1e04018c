// The level of the running daemon's log: who changed it, and to what, is itself logged, whatever the level.
import type { EventLog, LogLevel } from '../events.ts';

/** A log whose level may be changed at any time. */
export interface LevelLog extends EventLog {
  level: string;
}

/** `who`: a user, a token's name, or a signal. */
export function changeLogLevel(log: LevelLog, level: LogLevel, who: string): void {
  // said at a level that shows it, before it may be one that does not
  log.level = 'info';
  log.info({ event: 'log.level', logLevel: level, who }, `from now on ${level} is logged`);
  log.level = level;
}

/** Debug, or back to what it was: what a signal without a word can mean. */
export function toggleDebug(log: LevelLog, usual: LogLevel, who: string): void {
  changeLogLevel(log, log.level === 'debug' ? usual : 'debug', who);
}
