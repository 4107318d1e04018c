// The shape of the configuration file, its sections in schema/. Every message says what is allowed; load.ts puts line, key and value before it.
import { isIP } from 'node:net';
import { Encrypter } from 'age-encryption';
import * as z from 'zod';
import { parseDuration, parseRate } from './quantity.ts';
import { contract } from './schema/contracts.ts';
import { notify } from './schema/notify.ts';
import { plan } from './schema/plans.ts';
import { shop } from './schema/shops.ts';
import { maintenance } from './schema/times.ts';
import {
  duration,
  flag,
  listOf,
  named,
  parsed,
  path,
  positiveDuration,
  secretReference,
  size,
  strict,
  text,
  timezone,
  wholeNumber,
} from './schema/values.ts';
import { vault } from './schema/vaults.ts';

/** The checksum in a recipient catches the typing error that would seal every key to nobody. */
const ageRecipient = parsed((value) => {
  try {
    new Encrypter().addRecipient(value);
    return value;
  } catch {
    return null;
  }
}, 'an age recipient is expected (age1…); coffre init makes one, with its identity for the paper kit');

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
    scratchUser: text('a user of this machine is expected: its name, or its number in quotes').nullish(),
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
