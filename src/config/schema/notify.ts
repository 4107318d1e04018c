// The shape of `notify` in the configuration file: who is told what is red, and how.
import { parseDuration } from '../quantity.ts';
import { duration, flag, listOf, oneOf, parsed, path, port, positiveDuration, secretReference, strict, text, url } from './values.ts';

const notifyUrl = url('an address is expected, such as https://hooks.example.net/coffre').optional();
/** `off`: said once. */
const reminder = parsed((value) => {
  const ms = value === 'off' ? 0 : parseDuration(value);
  return ms === null || (ms > 0 && ms < 3_600_000) ? null : ms;
}, 'a duration of an hour or more is expected, such as 24h, or off').transform((ms): number | null => (ms === 0 ? null : ms));

export const notify = strict({
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
