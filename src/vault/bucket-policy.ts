// The least rights that each credential of a bucket needs, as bucket policies to paste. Pure.
import type { S3VaultConfig } from '../config/config.ts';

export interface PolicyStatement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Principal: { readonly AWS: readonly string[] };
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
}

export interface BucketPolicy {
  readonly Version: '2012-10-17';
  readonly Statement: readonly PolicyStatement[];
}

const READ_OBJECTS = ['s3:GetObject', 's3:GetObjectVersion', 's3:GetObjectRetention', 's3:ListMultipartUploadParts'];
const READ_BUCKET = [
  ...['s3:ListBucket', 's3:ListBucketVersions', 's3:ListBucketMultipartUploads'],
  ...['s3:GetBucketVersioning', 's3:GetBucketObjectLockConfiguration'],
];
const WRITE_OBJECTS = ['s3:PutObject', 's3:PutObjectRetention', 's3:AbortMultipartUpload'];
const DELETE_OBJECTS = ['s3:DeleteObjectVersion'];
/** Not allowing it is not enough everywhere: Ceph up to 16 at least lets everybody bypass whom no statement denies it. */
const BYPASS = ['s3:BypassGovernanceRetention'];

/** Users in the policy, for whoever pastes it to put his own in their place. */
export const POLICY_USERS = { writer: 'coffre-writer', pruner: 'coffre-pruner', reader: 'coffre-reader' } as const;

/** For the credentials that the vault is configured with, and a reader in any case: the recovery kit wants one. */
export function bucketPolicy(vault: Pick<S3VaultConfig, 'bucket' | 'prefix' | 'pruneCredentials' | 'readCredentials'>): BucketPolicy {
  const { bucket, prefix } = vault;
  const objects = [`arn:aws:s3:::${bucket}/${prefix === '' ? '' : `${prefix}/`}*`];
  const principals = (users: readonly string[]) => ({ AWS: users.map((user) => `arn:aws:iam:::user/${user}`) });
  const statement = (user: string, Action: readonly string[], Resource: readonly string[]): PolicyStatement => ({
    ...{ Effect: 'Allow', Principal: principals([user]), Action, Resource },
  });
  const { writer, pruner, reader } = POLICY_USERS;
  const bucketItself = [`arn:aws:s3:::${bucket}`];
  const ownReader = vault.readCredentials !== null;
  const ownPruner = vault.pruneCredentials !== null;
  return {
    Version: '2012-10-17',
    Statement: [
      statement(writer, [...WRITE_OBJECTS, ...(ownReader ? [] : READ_OBJECTS), ...(ownPruner ? [] : DELETE_OBJECTS)], objects),
      ...(ownReader ? [] : [statement(writer, READ_BUCKET, bucketItself)]),
      ...(ownPruner ? [statement(pruner, DELETE_OBJECTS, objects)] : []),
      statement(reader, READ_OBJECTS, objects),
      statement(reader, READ_BUCKET, bucketItself),
      {
        ...{ Effect: 'Deny', Principal: principals([writer, ...(ownPruner ? [pruner] : []), reader]) },
        ...{ Action: BYPASS, Resource: objects },
      },
    ],
  };
}
