// What a newcomer does beside `coffre init`: the commands that make the bucket and the database user, and what comes next. Pure but for a look.
import { existsSync } from 'node:fs';
import type { Config, S3VaultConfig } from '../config/config.ts';

/** Where a package or an administrator puts the unit. */
const UNITS = ['/etc/systemd/system/coffre.service', '/usr/lib/systemd/system/coffre.service', '/lib/systemd/system/coffre.service'];

/** Makes the bucket with Object Lock, by the AWS command line, which speaks to any store. Without a default retention: coffre sets each lock. */
export function bucketCommands({ bucket, endpoint, region }: Pick<S3VaultConfig, 'bucket' | 'endpoint' | 'region'>): string[] {
  const at = `--endpoint-url ${endpoint} --region ${region}`;
  return [
    `aws s3api create-bucket --bucket ${bucket} --object-lock-enabled-for-bucket ${at}`,
    `aws s3api get-object-lock-configuration --bucket ${bucket} ${at}   # must say Enabled, and no DefaultRetention`,
  ];
}

/** For a database whose user is typed, not taken from the shop. */
export function databaseCommands(database: string, user: string): string[] {
  const name = `\`${database.replaceAll('_', '\\_')}\``;
  return [
    `CREATE USER ${user}@localhost IDENTIFIED BY '…';`,
    `GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON ${name}.* TO ${user}@localhost;`,
    `GRANT SELECT ON mysql.proc TO ${user}@localhost;   -- coffre doctor says what else a newer server wants`,
  ];
}

/** What is left to be done, in order. */
export function nextSteps(
  config: Config,
  { isGreen, hasUnit = UNITS.some((unit) => existsSync(unit)) }: { isGreen: boolean; hasUnit?: boolean },
): string[] {
  const steps: string[] = [];
  const s3 = [...config.vaults.values()].filter((vault) => vault.type === 's3');
  if (!isGreen) steps.push('coffre doctor            # until it is green: each red line says what to do');
  if (s3.length > 0) steps.push('coffre doctor --policies # the bucket policy that gives each credential its work and no more');
  const [first] = config.shops.keys();
  if (first === undefined) steps.push(`edit ${config.file}   # declare a shop, then coffre keys make`);
  else steps.push(`${`coffre backup ${first}`.padEnd(25)}# the first one, to see it work`);
  steps.push(
    hasUnit
      ? 'systemctl enable --now coffre   # from now on by itself'
      : 'coffre daemon            # runs the schedules; systemd/ has the unit, npm run package a package that installs it',
  );
  steps.push('coffre status            # whether you may sleep');
  return steps;
}
