// The level of the running daemon's log: who changed it, and to what, is itself logged, whatever the level.
import * as z from 'zod';
import { audit } from '../catalog/audit.ts';
import { type LevelLog, LOG_LEVELS, type LogLevel } from '../events.ts';
import type { Service } from '../schedule/service.ts';
import { principalOf } from './auth.ts';
import { ADMIN } from './principal.ts';
import type { Api } from './routes.ts';

const levelDocument = z.object({ level: z.enum(LOG_LEVELS) });
const response = { 200: levelDocument };

export function registerLogLevel(api: Api, service: Service): void {
  const { log } = service;
  const config = { access: ADMIN };
  const path = '/v1/log-level';
  api.get(path, { config, schema: { tags: ['service'], summary: 'what the daemon logs', response } }, async () => ({
    level: log.level as LogLevel,
  }));
  const change = { tags: ['service'], summary: 'log more, or less, until the daemon is started again', body: levelDocument, response };
  api.post(path, { config, schema: change }, async (request) => {
    const { level } = request.body;
    const { who } = principalOf(request);
    changeLogLevel(log, level, who);
    await audit(service.catalog, service.clock, { who, what: 'log-level', detail: { level } });
    return { level };
  });
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
