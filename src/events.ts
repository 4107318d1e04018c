// One table for every event that coffre logs: its level, its fields, what it means. Code that logs another one does not compile, and a
// field that is not declared never reaches the journal.

export type EventLevel = 'debug' | 'info' | 'warn' | 'error';

/** What can be asked for; `silent` logs nothing. */
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

type FieldType = 'text' | 'number' | 'flag' | 'text or null' | 'number or null';

interface Field {
  readonly type: FieldType;
  readonly means: string;
}

const field = <const T extends FieldType>(type: T, means: string) => ({ type, means });

/** A name means one thing and has one type, whatever the event: instants are RFC 3339 text, sizes bytes, durations milliseconds. */
export const FIELDS = {
  run: field('text', 'id of the run, as in coffre run list'),
  shop: field('text', 'the shop; _coffre: what the daemon does for itself'),
  source: field('text', 'database, files or server'),
  job: field('text', 'what was planned: database, files, increments, server, prune, probe …'),
  kind: field('text', 'what sort of thing it is about'),
  vault: field('text', 'the vault'),
  key: field('text', 'the object’s key in the vault'),
  code: field('text', 'code of the error table: coffre errors CODE'),
  hint: field('text', 'what can be done about it'),
  state: field('text', 'the state that it is in'),
  who: field('text', 'the user or token that asked for it'),
  due: field('text', 'when it was to run'),
  since: field('text', 'since when'),
  takenUpTo: field('text', 'the slot up to which the job was written down as done'),
  retryAt: field('text or null', 'when it is tried again; null: not before its next slot'),
  snapshot: field('text', 'id of the snapshot'),
  segment: field('text', 'id of the segment'),
  segments: field('number', 'how many segments'),
  incident: field('text', 'id of the incident: coffre incident list'),
  version: field('text', 'of coffre; of an object its version id in the vault'),
  bytes: field('number', 'bytes'),
  attempt: field('number', 'which attempt, from 1'),
  doneBytes: field('number', 'bytes read so far'),
  carriedBytes: field('number', 'of these, bytes that an older segment holds already'),
  totalBytes: field('number or null', 'bytes that are expected; null: unknown'),
  totalIsGuess: field('flag', 'whether totalBytes comes from the last run'),
  storedBytes: field('number', 'bytes stored so far'),
  files: field('number', 'files read so far'),
  bytesPerSecond: field('number or null', 'rate; null: not known yet'),
  leftMs: field('number or null', 'time left; null: not known yet'),
  budgetBytes: field('number', 'memory that runs may use together'),
  peakInFlightBytes: field('number', 'the most that was in use of it'),
  rssBytes: field('number', 'resident memory of the process'),
  peakRssBytes: field('number', 'the most that it ever was'),
  config: field('text', 'the configuration file'),
  timezone: field('text', 'zone of the schedules'),
  pid: field('number', 'process id'),
  shops: field('number', 'how many shops are declared, or are concerned'),
  jobs: field('number', 'how many jobs are planned'),
  clean: field('flag', 'whether nothing was left unfinished'),
  address: field('text', 'where the API listens, or its caller’s address'),
  method: field('text', 'GET, POST …'),
  route: field('text', 'the route of the API, as /openapi.json has it'),
  status: field('number', 'HTTP status'),
  durationMs: field('number', 'how long it took'),
  contract: field('text', 'the contract'),
  statement: field('text', 'number of the statement: coffre billing statements'),
  channel: field('text', 'mail, webhook or ping'),
  message: field('text', 'id of the message'),
  logLevel: field('text', 'the level that is logged from now on'),
  request: field('text', 'id of the restore request: coffre request show'),
} as const satisfies Record<string, Field>;

export type FieldName = keyof typeof FIELDS;

interface EventKind {
  readonly level: EventLevel;
  readonly means: string;
  /** Always there. */
  readonly fields: readonly FieldName[];
  /** There when they are known. */
  readonly optional: readonly FieldName[];
}

// not one function with an optional parameter: what is left out would be inferred as any field
const event = <const L extends EventLevel, const F extends readonly FieldName[]>(level: L, means: string, fields: F) => ({
  level,
  means,
  fields,
  optional: [] as const,
});
const eventWith = <const L extends EventLevel, const F extends readonly FieldName[], const O extends readonly FieldName[]>(
  level: L,
  means: string,
  fields: F,
  optional: O,
) => ({ level, means, fields, optional });

const RUN = ['run', 'shop', 'source'] as const;
const JOB = ['shop', 'job'] as const;
const DUE = ['shop', 'job', 'due'] as const;
const ORDER = ['run', 'shop', 'kind', 'who'] as const;

export const EVENTS = {
  'daemon.started': event('info', 'the daemon runs', ['version', 'config', 'pid', 'timezone', 'shops', 'jobs']),
  'daemon.stopped': event('info', 'the daemon ended', ['clean']),
  'daemon.degraded': event('error', 'the daemon cannot work with its state: it tries again', ['code', 'hint']),
  'daemon.recovered': event('info', 'the daemon works with its state again', []),
  'config.loaded': event('info', 'a new configuration is in force', ['config', 'who', 'shops', 'jobs']),
  'config.refused': event('error', 'the configuration was refused, the old one stays in force', ['config', 'who', 'code', 'hint']),
  'shop.paused': event('info', 'the scheduled backups of a shop wait', ['shop', 'who']),
  'shop.unpaused': event('info', 'the scheduled backups of a shop go on', ['shop', 'who']),
  'config.warning': event('warn', 'the configuration allows something unwise', []),
  'log.level': event('info', 'another level is logged from now on', ['logLevel', 'who']),

  'job.first': event('info', 'a shop has no snapshot yet: its first backup starts at once', JOB),
  'job.clock': event('warn', 'a slot in the future was written down as done: the clock was wrong then', ['shop', 'job', 'takenUpTo']),
  'job.missed': event('info', 'slots passed while nothing ran: one run makes up for them', ['shop', 'job', 'since']),
  'job.skipped': event('info', 'nothing to do: the shop is not backed up, or has nothing to drill yet', ['shop', 'job', 'state']),
  'job.started': eventWith('info', 'a planned job began', DUE, ['run']),
  'job.done': eventWith('info', 'a planned job succeeded', DUE, ['run']),
  'job.interrupted': eventWith('info', 'the daemon stops: the job goes on at its next start', [...DUE, 'code'], ['run']),
  'job.gaveWay': eventWith('info', 'a job that is not urgent made room for one that is due', DUE, ['run']),
  'job.degraded': eventWith('error', 'a snapshot was kept that is not in every vault', [...DUE, 'code', 'hint'], ['run']),
  'drill.failed': eventWith('error', 'a drill found that a shop would not come back as it should', [...DUE, 'code', 'hint'], ['run']),
  'job.failed': eventWith('error', 'a planned job failed', [...DUE, 'code', 'hint', 'retryAt'], ['run']),

  'job.cancelled': eventWith('info', 'somebody cancelled a planned job: it comes again at its next slot', DUE, ['run']),
  'schedule.failed': event('error', 'what is due could not be begun: it is tried again', ['code', 'hint']),

  'order.queued': eventWith('info', 'somebody asked for a run, which waits for its turn', ORDER, ['source']),
  'order.started': event('info', 'a run that somebody asked for began', ORDER),
  'order.done': event('info', 'a run that somebody asked for succeeded', ORDER),
  'order.failed': event('error', 'a run that somebody asked for failed', [...ORDER, 'code', 'hint']),
  'order.interrupted': event('info', 'the daemon stops: the run goes on at its next start', [...ORDER, 'code']),
  'order.cancelled': event('info', 'somebody cancelled a run', ORDER),
  'order.takenUp': event('info', 'a run that was cut off is taken up', ORDER),
  'run.hung': event('error', 'a run did not end when it was told to', ['run', 'shop', 'kind', 'code', 'hint']),

  'run.started': event('info', 'a backup began', RUN),
  'run.progress': eventWith(
    'info',
    'a backup goes on',
    ['shop', 'source', 'doneBytes', 'carriedBytes', 'totalBytes', 'totalIsGuess', 'storedBytes', 'bytesPerSecond', 'leftMs'],
    ['files'],
  ),
  'run.done': event('info', 'a backup ended with a snapshot', [...RUN, 'snapshot']),
  'run.failed': event('error', 'a backup failed', [...RUN, 'code']),
  'run.interrupted': event('info', 'a backup was told to stop: the next one takes up what it stored', [...RUN, 'code']),
  'run.cancelled': event('info', 'somebody cancelled a backup', [...RUN, 'code']),
  'run.memory': event('debug', 'what a backup took of memory', [...RUN, 'budgetBytes', 'peakInFlightBytes', 'rssBytes', 'peakRssBytes']),
  'snapshot.passed-over': event('warn', 'a newer snapshot was no base for the increment', RUN),
  'snapshot.redone': event('warn', 'the source changed under the reading: all of it is read again', [...RUN, 'attempt', 'code']),
  'segment.stored': event('debug', 'a segment is in every vault', [...RUN, 'segment', 'bytes']),
  'segment.missing': event('error', 'a stored segment is gone from its vault: it is stored anew', [...RUN, 'vault', 'key']),
  'segment.copied': event('debug', 'a catch-up copied a segment', ['run', 'shop', 'vault', 'bytes']),
  'lock.started': event('debug', 'locks are extended', [...RUN, 'segments']),
  'lock.done': event('debug', 'locks were read back', RUN),
  'manifest.stored': eventWith('debug', 'a manifest is in a vault', ['run', 'shop', 'vault'], ['source']),
  'vault.committed': event('debug', 'a snapshot is in a vault', [...RUN, 'vault']),
  'vault.left': eventWith('error', 'a vault left the run: the snapshot lacks there', ['run', 'shop', 'vault', 'code'], ['source']),
  'copy.made': event('info', 'a catch-up brought a snapshot to a vault that lacked it', ['run', 'shop', 'vault', 'snapshot']),
  'copy.damaged': event('error', 'a copy is not what was written: another one is read', ['run', 'shop', 'vault', 'key', 'code']),

  'checkpoint.done': event('info', 'a checkpoint of the daemon’s state is in a vault', ['vault', 'key']),
  'checkpoint.failed': eventWith('error', 'a vault has no new checkpoint of the daemon’s state', ['code'], ['vault']),
  'probe.failed': event('error', 'the lock of a vault was not proven', ['vault', 'code', 'hint']),
  incident: event('error', 'something in a vault is not as coffre left it', [
    'incident',
    'shop',
    'vault',
    'kind',
    'key',
    'version',
    'code',
    'hint',
  ]),
  'breach.opened': event('warn', 'incidents of tampering or loss that had no case have one: their clients have to be told', []),
  'object.damaged': event('error', 'stored bytes are not what was written', ['shop', 'vault', 'key', 'code']),

  'http.started': event('info', 'the API answers', ['address']),
  'http.stopped': event('info', 'the API answers no more', ['address']),
  'http.request': event('debug', 'a request was answered', ['method', 'route', 'status', 'who', 'address', 'durationMs']),
  'http.refused': event('warn', 'a token that is not valid came with a request', ['address', 'method']),
  'http.blocked': event('warn', 'too many wrong tokens: the address is not listened to for a while', ['address']),
  'http.malformed': event('warn', 'what came was no request, or came too slowly, or was too large', ['address', 'code', 'kind']),
  'http.crowded': event('warn', 'an address has too many connections: more are closed', ['address']),
  'http.failed': event('error', 'a request failed that should not have', ['method', 'route', 'code']),

  'request.late': event('warn', 'the time that was promised for a restore is over, and it is not done', ['request', 'shop']),
  'request.lapsed': event('info', 'a restore that was asked for was not approved for two weeks: it is called off', ['request', 'shop']),
  'request.failed': eventWith(
    'error',
    'a restore request could not be looked after: it is tried again',
    ['code', 'hint'],
    ['request', 'shop'],
  ),
  'request.unsaved': event('error', 'how a restore ended cannot be written down with its request', ['request', 'code', 'hint']),

  'alarm.raised': eventWith('warn', 'something turned red', ['shop', 'kind'], ['source', 'vault', 'code']),
  'alarm.cleared': eventWith('info', 'it is green again', ['shop', 'kind'], ['source', 'vault', 'code']),
  'notify.sent': event('info', 'a message was handed over', ['channel', 'message']),
  'notify.failed': eventWith('error', 'somebody could not be told: it is tried again', ['channel', 'code', 'hint', 'retryAt'], ['message']),
  'notify.givenUp': event('error', 'a message waited for so long that it tells nothing any more', ['channel', 'message', 'code']),
  'statement.issued': event('info', 'the daemon issued the statement of a contract that says issue: auto', ['contract', 'statement']),
  'statement.failed': event('error', 'a statement that is due cannot be issued: it is tried again', ['contract', 'code', 'hint']),
  'notify.broken': event('error', 'what is red could not be looked at: nobody is told meanwhile', ['code', 'hint']),
  'notify.unsaved': event('error', 'what was told cannot be written down: a restart may tell it again', ['code', 'hint']),
} as const satisfies Record<string, EventKind>;

export type EventName = keyof typeof EVENTS;

type ValueOf<T extends FieldType> = T extends 'text'
  ? string
  : T extends 'number'
    ? number
    : T extends 'flag'
      ? boolean
      : T extends 'text or null'
        ? string | null
        : number | null;

type NamesAt<L extends EventLevel> = { [E in EventName]: (typeof EVENTS)[E]['level'] extends L ? E : never }[EventName];

/** What is logged with an event. */
export type EventFields<E extends EventName> = {
  readonly [F in (typeof EVENTS)[E]['fields'][number]]: ValueOf<(typeof FIELDS)[F]['type']>;
} & {
  readonly [F in (typeof EVENTS)[E]['optional'][number]]?: ValueOf<(typeof FIELDS)[F]['type']>;
};

/** With `err`, whatever was thrown: name, code, message, stack and causes of it are logged. */
type Write<L extends EventLevel> = <E extends NamesAt<L>>(
  fields: { readonly event: E; readonly err?: unknown } & EventFields<E>,
  message: string,
) => void;

/** Takes an event at its own level, with its own fields; the message is for people. */
export interface EventLog {
  readonly debug: Write<'debug'>;
  readonly info: Write<'info'>;
  readonly warn: Write<'warn'>;
  readonly error: Write<'error'>;
}

/** One whose level may be changed at any time, and counts from the next line on. */
export interface LevelLog extends EventLog {
  level: string;
}

/** Written on every line by the logger itself. */
const OWN: ReadonlySet<string> = new Set(['event', 'err', 'error']);

/**
 * The fields that are declared, for the journal. What is not declared (an object spread into a line, a value of another type) stays out
 * and is named under `undeclared`: it may be anything, a secret too.
 */
export function declaredFields(line: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  const kind =
    typeof line.event === 'string' && Object.hasOwn(EVENTS, line.event) ? (EVENTS as Record<string, EventKind>)[line.event] : undefined;
  const undeclared = kind === undefined ? ['event'] : [];
  for (const [name, value] of Object.entries(line)) {
    if (value === undefined) continue;
    if (OWN.has(name) || (isDeclared(kind, name) && hasType(FIELDS[name].type, value))) kept[name] = value;
    else undeclared.push(name);
  }
  for (const name of kind?.fields ?? []) if (line[name] === undefined) undeclared.push(`no ${name}`);
  return undeclared.length === 0 ? kept : { ...kept, undeclared };
}

function isDeclared(kind: EventKind | undefined, name: string): name is FieldName {
  if (kind === undefined) return Object.hasOwn(FIELDS, name);
  return kind.fields.includes(name as FieldName) || kind.optional.includes(name as FieldName);
}

function hasType(type: FieldType, value: unknown): boolean {
  switch (type) {
    case 'text':
      return typeof value === 'string';
    case 'number':
      return typeof value === 'number';
    case 'flag':
      return typeof value === 'boolean';
    case 'text or null':
      return value === null || typeof value === 'string';
    case 'number or null':
      return value === null || typeof value === 'number';
  }
}
