// The shape of the configuration file. Every message says what is allowed; load.ts puts line, key and value before it.

import { isIP } from 'node:net';
import { Encrypter } from 'age-encryption';
import * as z from 'zod';
import { makeCron } from './cron.ts';
import { DAYS, parseTimeOfDay, TIME_EXPECTED } from './maintenance.ts';
import { DURATION_EXPECTED, parseDuration, parseRate, parseSize, RATE_EXPECTED, SIZE_EXPECTED } from './quantity.ts';

/** Marks the issue of a secret that was written into the file itself: its value must not be repeated. */
export const INLINE_SECRET = 'inline-secret';

/** Keys that people try to write secrets under. Their values are never echoed, known key or not. */
export const SECRET_KEY = /pass(word|phrase)?$|secret|token|credential|access_?key|api_?key|private_?key|identity/i;

/** An object that refuses unknown keys; the message of that issue is the list of known ones, which load.ts turns into words. */
function strict<S extends z.core.$ZodLooseShape>(shape: S, expected = 'a mapping of keys to values is expected') {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : expected),
  });
}

function parsed<T>(parse: (text: string) => T | null, expected: string) {
  return z.unknown().transform((value, context): T => {
    const result = typeof value === 'string' ? parse(value.trim()) : null;
    if (result !== null) return result;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

const text = (expected: string) => z.string({ error: expected }).trim().min(1, { error: expected });
const flag = z.boolean({ error: 'true or false is expected' });
const oneOf = <const T extends readonly [string, ...string[]]>(...values: T) =>
  z.enum(values, { error: `${values.slice(0, -1).join(', ')}${values.length > 1 ? ' or ' : ''}${values.at(-1)} is expected` });
const wholeNumber = (lowest: number, highest: number) => {
  const error = `a whole number from ${lowest} to ${highest} is expected`;
  return z.int({ error }).min(lowest, { error }).max(highest, { error });
};
const port = wholeNumber(1, 65_535);
const duration = parsed(parseDuration, DURATION_EXPECTED);
const positiveDuration = parsed((value) => parseDuration(value) || null, DURATION_EXPECTED);
const size = parsed((value) => parseSize(value) || null, SIZE_EXPECTED);
const rateOrNone = parsed((value) => (value === 'none' ? 'none' : parseRate(value) || null), RATE_EXPECTED).prefault('none');
/** null: none. */
const countOrNone = (highest: number) =>
  z
    .unknown()
    .transform((value, context): number | null => {
      if (value === 'none' || value === null) return null;
      if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= highest) return value;
      context.addIssue({ code: 'custom', message: `a whole number from 1 to ${highest} is expected, or none` });
      return z.NEVER;
    })
    .prefault('none');
const path = text('a path is expected').refine((value) => !value.includes('\0'), { error: 'a path is expected' });
const listOf = <T extends z.ZodType>(item: T, expected: string) => z.array(item, { error: expected });

const timezone = parsed((value) => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: value }).resolvedOptions().timeZone;
  } catch {
    return null;
  }
}, 'the name of a time zone is expected, such as Europe/Paris or UTC');

/** `off` or nothing: never. */
const cron = z.unknown().transform((value, context): string | null => {
  if (value === 'off' || value === null || value === false) return null;
  const expected = 'a cron expression of five fields is expected, such as "30 2 * * *", or off';
  if (typeof value !== 'string' || value.trim().split(/\s+/).length !== 5) {
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  }
  try {
    const next = makeCron(value.trim(), 'UTC').nextRun();
    if (next !== null) return value.trim();
    context.addIssue({ code: 'custom', message: `${expected}; this one never comes` });
  } catch (error) {
    const reason = (error as Error).message.replace(/^CronPattern: /, '');
    context.addIssue({ code: 'custom', message: `${expected} (${reason})` });
  }
  return z.NEVER;
});

/** The checksum in a recipient catches the typing error that would seal every key to nobody. */
const ageRecipient = parsed((value) => {
  try {
    new Encrypter().addRecipient(value);
    return value;
  } catch {
    return null;
  }
}, 'an age recipient is expected (age1…); coffre init makes one, with its identity for the paper kit');

/** `{ file: PATH }`, `{ credential: NAME }` or `{ env: NAME }`. A secret itself is refused and not repeated. */
const secretReference = z
  .unknown()
  .superRefine((value, context) => {
    if (value === undefined || (typeof value === 'object' && value !== null)) return;
    context.addIssue({ code: 'custom', message: INLINE_SECRET });
  })
  .pipe(
    strict({
      file: path.optional(),
      credential: text('the name of a systemd credential is expected').optional(),
      env: text('the name of an environment variable is expected').optional(),
    }).refine((value) => Object.values(value).filter((part) => part !== undefined).length === 1, {
      error: 'exactly one of file, credential and env is expected',
    }),
  )
  .optional();

const url = (expected: string) =>
  parsed((value) => {
    const parts = URL.parse(value);
    return parts !== null && /^https?:$/.test(parts.protocol) && parts.hostname !== '' && parts.username === '' && parts.password === ''
      ? value.replace(/\/+$/, '')
      : null;
  }, expected);

const placement = {
  media: text('a word for the kind of medium is expected, such as disk, object or tape').optional(),
  site: text('the name of a place is expected').nullish(),
  offsite: flag.default(false),
};

const filesystemVault = strict({ type: z.literal('filesystem'), path, ...placement });

const s3Vault = strict({
  type: z.literal('s3'),
  endpoint: url('the address of the store is expected, such as https://s3.example.net, without user or password'),
  region: text('a region is expected, such as fr-1').default('us-east-1'),
  bucket: text('the name of a bucket is expected'),
  prefix: z
    .string({ error: 'a prefix of keys is expected, such as prod' })
    .regex(/^[A-Za-z0-9._/-]*$/, { error: 'letters, digits, dots, dashes, underscores and slashes are allowed in a prefix' })
    .default(''),
  forcePathStyle: flag.default(true),
  ...placement,
  lock: strict({ mode: oneOf('COMPLIANCE', 'GOVERNANCE').default('COMPLIANCE') }).prefault({}),
  credentialsFile: path.optional(),
  credentials: secretReference,
  pruneCredentialsFile: path.optional(),
  pruneCredentials: secretReference,
  readCredentialsFile: path.optional(),
  readCredentials: secretReference,
  timeouts: strict({ connect: positiveDuration.prefault('10s'), request: positiveDuration.prefault('2m') }).prefault({}),
});

const vault = z.discriminatedUnion('type', [s3Vault, filesystemVault], {
  error: (issue) => (issue.note === undefined ? 'a mapping of keys to values is expected' : 's3 or filesystem is expected'),
});

const timeOfDay = parsed(parseTimeOfDay, TIME_EXPECTED);
/** When no scheduled backup begins. */
const maintenance = listOf(
  strict({
    from: timeOfDay,
    to: timeOfDay,
    days: listOf(oneOf(...DAYS), 'a list of days is expected, such as [mon, tue]')
      .min(1, { error: 'at least one day is expected' })
      .default([...DAYS]),
  }).transform(({ from, to, days }, context) => {
    // 24:00 to something is 00:00 of the next day, which nobody means
    if (from === to || from === 1440)
      context.addIssue({ code: 'custom', message: 'from and to must be two times of the day; all day is 00:00 to 24:00' });
    return { fromMinute: from, toMinute: to, days: days.map((day) => DAYS.indexOf(day) + 1) };
  }),
  'a list of windows is expected, such as [{ from: "08:00", to: "20:00" }]',
)
  .nullish()
  .transform((windows) => windows ?? []);

/** A department is a number, which YAML takes for one. */
const region = z.unknown().transform((value, context): string => {
  const text = Number.isInteger(value) ? String(value) : value;
  if (typeof text === 'string' && /^[\p{L}\d][\p{L}\d .'’-]{0,59}$/u.test(text)) return text;
  context.addIssue({ code: 'custom', message: 'a part of the country is expected, such as VD, 57 or Alsace-Moselle' });
  return z.NEVER;
});
/** When a promise in business hours counts. */
const businessHours = strict({
  from: timeOfDay,
  to: timeOfDay,
  days: listOf(oneOf(...DAYS), 'a list of days is expected, such as [mon, tue]')
    .min(1, { error: 'at least one day is expected' })
    .default(['mon', 'tue', 'wed', 'thu', 'fri']),
}).transform(({ from, to, days }, context) => {
  if (from >= to) context.addIssue({ code: 'custom', message: 'to must be later than from, on the same day' });
  return { fromMinute: from, toMinute: to, days: days.map((day) => DAYS.indexOf(day) + 1) };
});

const mailAddress = z
  .string({ error: 'a mail address is expected' })
  .trim()
  .regex(/^[^\s@<>,;:"\\()[\]]+@[^\s@<>,;:"\\()[\]]+$/, { error: 'a mail address is expected, such as marie@dupont.example' });
const contact = strict({
  email: z
    .union([mailAddress.transform((one) => [one]), z.array(mailAddress).min(1, { error: 'at least one mail address is expected' })], {
      error: 'a mail address is expected, or a list of them',
    })
    .nullish(),
  language: oneOf('fr', 'en').default('en'),
  name: text('a name is expected').nullish(),
});

const report = strict({ monthly: z.boolean({ error: 'true or false is expected' }).default(false) });

const plan = strict({
  retention: positiveDuration,
  rto: strict({
    target: positiveDuration.prefault('4h'),
    calendar: oneOf('business', '24x7').default('24x7'),
    country: z
      .string({ error: 'a country of two letters is expected, such as FR' })
      .regex(/^[A-Z]{2}(-[A-Z0-9]{1,3})?$/, { error: 'a country of two letters is expected, such as FR' })
      .nullish(),
    region: region.nullish(),
    zone: timezone.nullish(),
    hours: businessHours.nullish(),
  }).prefault({}),
  quota: size.nullish(),
  full: oneOf('fresh', 'reread').default('fresh'),
  schedule: strict({
    database: cron.prefault('30 2 * * *'),
    files: cron.prefault('0 3 * * 0'),
    increments: cron.prefault('0 4 * * 1-6'),
    server: cron.prefault('0 5 * * 0'),
    drill: cron.prefault('off'),
  }).prefault({}),
  drill: strict({
    vaults: listOf(text('the name of a vault is expected'), 'a list of vaults is expected, or each-in-turn')
      .min(1, { error: 'at least one vault is expected' })
      .or(z.literal('each-in-turn'))
      .default('each-in-turn'),
    missingImagesPercent: z
      .number({ error: 'a percentage from 0 to 100 is expected' })
      .min(0, { error: 'a percentage from 0 to 100 is expected' })
      .max(100, { error: 'a percentage from 0 to 100 is expected' })
      .default(1),
    newestOrder: z
      .union([z.literal('off').transform(() => null), positiveDuration], { error: 'a duration is expected, such as 7d, or off' })
      .default(null),
  }).prefault({}),
  report: report.prefault({}),
  maintenance,
});

const decimal = parsed((value) => (/^\d+(\.\d+)?$/.test(value) ? value : null), 'a decimal number in quotes is expected, such as "23.00"');
/** Exact as it is written: fifteen digits come back from a double as they went in. */
const positiveNumber = z
  .number({ error: 'a number above 0 is expected' })
  .positive({ error: 'a number above 0 is expected' })
  .refine((value) => /^\d{1,9}(\.\d{1,6})?$/.test(String(value)), {
    error: 'a number above 0 is expected, with at most nine digits before the point and six after it',
  });
const volumeTB = z
  .number({ error: 'a number of TB is expected' })
  .nonnegative({ error: 'a number of TB, 0 or more, is expected' })
  .refine((value) => /^\d{1,9}(\.\d{1,6})?$/.test(String(value)), {
    error: 'a number of TB is expected, with at most six decimals',
  });
const date = z.iso.date({ error: 'a date is expected, such as 2026-06-02' });

const contract = strict({
  vault: text('the name of a vault is expected'),
  title: text('what the contract is called is expected').nullish(),
  subscribedTB: volumeTB,
  period: oneOf('month', 'quarter', 'year').default('month'),
  paid: oneOf('arrears', 'advance').default('arrears'),
  firstMonth: wholeNumber(1, 12).default(1),
  start: date.nullish(),
  end: date.nullish(),
  timezone: timezone.optional(),
  price: strict({
    perTBMonth: decimal,
    currency: z
      .string({ error: 'a currency of three letters is expected, such as EUR' })
      .regex(/^[A-Z]{3}$/, { error: 'a currency of three letters is expected, such as EUR' })
      .default('EUR'),
    stepTB: positiveNumber.default(1),
  }),
  prices: listOf(strict({ from: date, perTBMonth: decimal, s0: positiveNumber.nullish() }), 'a list of prices is expected').default([]),
  taxPercent: decimal.nullish(),
  index: strict({
    s0: positiveNumber,
    anniversary: date,
    values: listOf(strict({ date, value: positiveNumber }), 'a list of index values is expected').default([]),
  }).nullish(),
  rebill: oneOf('share', 'peak', 'flat', 'none').default('share'),
  issue: oneOf('manual', 'auto').default('manual'),
  shops: listOf(text('the name of a shop is expected'), 'a list of shops is expected').nullish(),
});

const sshHost = strict({
  type: z.literal('ssh'),
  host: text('a host name or address is expected'),
  port: port.default(22),
  user: text('a user name is expected'),
  /** One, or several in the order in which they are tried. */
  keyFile: z
    .union([path.transform((one) => [one]), z.array(path).min(1, { error: 'the path of a private key is expected, or a list of them' })], {
      error: 'the path of a private key is expected, or a list of them',
    })
    .optional(),
  key: secretReference,
  passphraseFile: path.optional(),
  passphrase: secretReference,
  agent: z.union([z.boolean(), path], { error: 'true, false or the path of an agent’s socket is expected' }).default(false),
  knownHostsFile: path,
  connectTimeout: positiveDuration.prefault('20s'),
});
const host = z.discriminatedUnion('type', [strict({ type: z.literal('local') }), sshHost], {
  error: (issue) => (issue.note === undefined ? 'a mapping of keys to values is expected' : 'local or ssh is expected'),
});

/** The server counts its lock timeouts in whole seconds; beyond a minute no shop would take it for gentle. */
const lockTime = parsed((value) => {
  const ms = parseDuration(value);
  return ms !== null && (ms === 0 || ms >= 1000) && ms <= 60_000 ? ms : null;
}, 'a duration from 1s to 60s is expected, or 0s for no lock at all');

const databaseSettings = strict({
  fromShop: flag.default(false),
  name: text('the name of a database is expected').optional(),
  user: text('a database user is expected').optional(),
  host: text('a host name or address is expected').nullish(),
  port: port.optional(),
  socketPath: path.nullish(),
  passwordFile: path.optional(),
  password: secretReference,
  restore: strict({ user: text('a database user is expected'), passwordFile: path.optional(), password: secretReference }).nullish(),
  excludeData: listOf(text('the name of a table is expected, or a pattern such as "*_log"'), 'a list of tables is expected').default([]),
  profile: oneOf('none', 'prestashop-ephemeral').default('none'),
  threads: wholeNumber(1, 16).default(2),
  limits: strict({
    rowsPerSecond: countOrNone(1_000_000_000),
    bandwidth: rateOrNone,
    maxRunningQueries: countOrNone(100_000),
    maxLock: lockTime.prefault('3s'),
  }).prefault({}),
});

/** `shop` says all that there is to say when the shop's own configuration is to be asked. */
const database = z
  .union([z.literal('shop'), databaseSettings], { error: 'a mapping of keys to values is expected, or shop' })
  .transform((value) => (value === 'shop' ? databaseSettings.parse({ fromShop: true }) : value));

const pageExpected = 'none or { url: …, through: …, text: …, within: … } is expected';
/** An address with or without a port; one of IPv6 in brackets. */
const through = parsed((value) => {
  const match = /^(?:\[([\da-fA-F:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/.exec(value);
  const at = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? null : Number(match[3]);
  return at === undefined || (match?.[1] !== undefined && isIP(at) !== 6) || port === 0 || (port ?? 1) > 65_535 ? null : { host: at, port };
}, 'a host name or address is expected, with a port or without, such as 127.0.0.1 or 127.0.0.1:8443');
const page = z
  .union(
    [
      z.literal('none').transform(() => null),
      strict(
        {
          url: z.url({ protocol: /^https?$/, error: 'an address is expected, such as https://www.dupont.example/' }).nullish(),
          through: through.nullish(),
          text: text('a text is expected').nullish(),
          within: positiveDuration.prefault('20s'),
        },
        pageExpected,
      ),
    ],
    { error: pageExpected },
  )
  .optional();

const files = strict({
  root: path,
  profile: oneOf('prestashop', 'wordpress', 'generic').default('generic'),
  exclude: listOf(text('a pattern is expected, such as "*.log"'), 'a list of patterns is expected').default([]),
  page,
});

const serverExpected = 'true, false or { root: …, exclude: […] } is expected';
const server = z
  .union(
    [
      z.literal(true),
      z.literal(false),
      strict(
        {
          root: path.default('/'),
          exclude: listOf(text('a pattern is expected, such as "srv/mirror/**"'), 'a list of patterns is expected').default([]),
        },
        serverExpected,
      ),
    ],
    { error: serverExpected },
  )
  .transform((value) => (value === false ? null : value === true ? { root: '/', exclude: [] } : value));

const shop = strict({
  plan: text('the name of a plan is expected'),
  vaults: listOf(text('the name of a vault is expected'), 'a list of vaults is expected, such as [nas, offsite]').min(1, {
    error: 'at least one vault is expected',
  }),
  host: host.prefault({ type: 'local' }),
  database: database.nullish(),
  files: files.nullish(),
  server: server.prefault(false),
  contact: contact.nullish(),
  report: report.nullish(),
});

/** With less, many uploads that share it would each stand still for longer than a store waits. */
const uploadRate = parsed((value) => {
  if (value === 'none') return 'none';
  const bytes = parseRate(value);
  return bytes !== null && bytes >= 100e3 ? bytes : null;
}, 'a rate of 100kB/s or more is expected, such as 50MB/s, or none').prefault('none');

/** More would be another schedule than the one that was written. */
const jitter = parsed((value) => {
  const ms = parseDuration(value);
  return ms !== null && ms <= 6 * 3_600_000 ? ms : null;
}, 'a duration up to 6h is expected, such as 10m, or 0s for none').prefault('5m');

const limits = strict({
  concurrency: wholeNumber(1, 64).default(2),
  jitter,
  bandwidth: uploadRate,
  // whether it is enough depends on concurrency
  memory: size.nullish(),
  lockCeiling: positiveDuration.prefault('90d'),
  runDeadline: positiveDuration.prefault('12h'),
  vaultDeadline: positiveDuration.prefault('10m'),
  reuseMaxAge: duration.optional(),
  clockSkew: positiveDuration.prefault('5s'),
});

const notifyUrl = url('an address is expected, such as https://hooks.example.net/coffre').optional();
/** `off`: said once. */
const reminder = parsed((value) => {
  const ms = value === 'off' ? 0 : parseDuration(value);
  return ms === null || (ms > 0 && ms < 3_600_000) ? null : ms;
}, 'a duration of an hour or more is expected, such as 24h, or off').transform((ms): number | null => (ms === 0 ? null : ms));

const notify = strict({
  delay: duration.prefault('2m'),
  reminder: reminder.prefault('24h'),
  mail: strict({
    host: text('a mail server is expected'),
    port: port.default(587),
    security: oneOf('starttls', 'tls', 'none').default('starttls'),
    user: text('a user name is expected').nullish(),
    passwordFile: path.optional(),
    password: secretReference,
    caFile: path.optional(),
    from: text('a mail address is expected'),
    to: listOf(text('a mail address is expected'), 'a list of mail addresses is expected').min(1, {
      error: 'at least one mail address is expected',
    }),
  }).nullish(),
  webhook: strict({
    url: notifyUrl,
    urlFile: path.optional(),
    urlSecret: secretReference,
    keyFile: path.optional(),
    key: secretReference,
  }).nullish(),
  ping: strict({
    url: notifyUrl,
    urlFile: path.optional(),
    urlSecret: secretReference,
    every: positiveDuration.prefault('10m'),
    fail: flag.default(true),
  }).nullish(),
});

/** The daemon looks hourly for what is to be read. */
const readPeriod = parsed((value) => {
  const ms = value === 'off' ? 0 : parseDuration(value);
  return ms === null || (ms > 0 && ms < 86_400_000) ? null : ms;
}, 'a duration of a day or more is expected, such as 14d, or off').transform((ms): number | null => (ms === 0 ? null : ms));

/** At least so many days: what the daemon itself looks back at must be there. */
const keptFor = (leastDays: number) =>
  parsed((value) => {
    const ms = parseDuration(value);
    return ms === null || ms < leastDays * 86_400_000 ? null : ms;
  }, `a duration of ${leastDays}d or more is expected`);

const encryptionExpected = '{ keyDir: …, recovery: [age1…] } is expected; to store without encryption say none aloud';

/** A key with nothing behind it, all of it commented out, is an empty mapping. */
const named = <T extends z.ZodType>(value: T, what: string) =>
  z
    .record(z.string(), value, { error: `a mapping from names to ${what} is expected` })
    .nullish()
    .transform((map) => map ?? {});

const proxyAddress = parsed((value) => {
  const [address = '', bits, ...rest] = value.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return null;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= (family === 4 ? 32 : 128)) ? value : null;
}, 'an address or a network is expected, such as 127.0.0.1 or 10.0.0.0/8');

export const configFileSchema = strict({
  timezone: timezone.prefault('UTC'),
  stateDir: path.default('/var/lib/coffre'),
  listen: strict({
    socket: path.nullable().default('/run/coffre/coffre.sock'),
    http: z
      .string({ error: 'an address and port are expected, such as 127.0.0.1:8321' })
      .regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, { error: 'an address and port are expected, such as 127.0.0.1:8321' })
      .nullish(),
    tls: strict({ certFile: path, keyFile: path.optional(), key: secretReference }).nullish(),
    proxies: listOf(proxyAddress, 'a list of addresses is expected, such as [127.0.0.1]').default([]),
  }).prefault({}),
  encryption: z.union(
    [
      z.literal('none', { error: encryptionExpected }),
      strict(
        {
          keyDir: path.default('keys'),
          recovery: listOf(ageRecipient, 'a list of age recipients is expected').min(1, {
            error: 'at least one age recipient is expected',
          }),
        },
        encryptionExpected,
      ),
    ],
    { error: encryptionExpected },
  ),
  signing: strict({ keyFile: path.optional() }).prefault({}),
  vaults: named(vault, 'vaults'),
  plans: named(plan, 'plans'),
  contracts: named(contract, 'contracts'),
  shops: named(shop, 'shops'),
  limits: limits.prefault({}),
  maintenance,
  restore: strict({
    socket: path.nullable().default('/run/coffre-restore.sock'),
    unattended: flag.default(false),
    scratchDir: path.default('/var/cache/coffre-restore'),
    keepExports: duration.prefault('7d'),
    drillDatabase: strict({
      url: text('the address of a server is expected, such as mysql://coffre_drill@127.0.0.1:3306'),
      passwordFile: path.optional(),
      password: secretReference,
    }).nullish(),
  }).prefault({}),
  verify: strict({ readWithin: readPeriod.prefault('14d') }).prefault({}),
  runs: strict({ keep: keptFor(90).prefault('400d') }).prefault({}),
  audit: strict({ keep: keptFor(365).prefault('1096d') }).prefault({}),
  notify: notify.prefault({}),
});

/** The file as written, with defaults filled in and quantities read; names, paths and secrets are not resolved yet. */
export type ConfigFile = z.output<typeof configFileSchema>;
