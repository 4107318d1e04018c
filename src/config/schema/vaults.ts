// The shape of a vault in the configuration file.
import * as z from 'zod';
import { flag, oneOf, path, positiveDuration, secretReference, strict, text, url } from './values.ts';

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

export const vault = z.discriminatedUnion('type', [s3Vault, filesystemVault], {
  error: (issue) => (issue.note === undefined ? 'a mapping of keys to values is expected' : 's3 or filesystem is expected'),
});
