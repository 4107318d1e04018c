// The shape of a shop in the configuration file: its host, and what of it is backed up.
import { isIP } from 'node:net';
import * as z from 'zod';
import { parseDuration, parseRate, RATE_EXPECTED } from '../quantity.ts';
import { report } from './plans.ts';
import { flag, listOf, oneOf, parsed, path, port, positiveDuration, secretReference, strict, text, wholeNumber } from './values.ts';

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

export const shop = strict({
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
