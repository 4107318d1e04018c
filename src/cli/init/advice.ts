// What a newcomer does beside `coffre init`: the commands that make the bucket and the database user, and what comes next. Pure but for a look.
import { existsSync } from 'node:fs';
import type { Config, S3VaultConfig } from '../../config/config.ts';
import { DEFAULT_CONFIG_FILE } from '../../config/load.ts';

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

/** How a shell is to call coffre for the configuration in `file`. */
export function coffreFor(file: string): string {
  if (file === DEFAULT_CONFIG_FILE) return 'coffre';
  return `coffre -c ${/^[\w@%+=:,./-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`}`;
}

/** What is left to be done, in order. */
export function nextSteps(
  config: Config,
  { isGreen, hasUnit = UNITS.some((unit) => existsSync(unit)) }: { isGreen: boolean; hasUnit?: boolean },
): string[] {
  const coffre = coffreFor(config.file);
  const steps: (readonly [command: string, why: string])[] = [];
  const s3 = [...config.vaults.values()].filter((vault) => vault.type === 's3');
  if (!isGreen) steps.push([`${coffre} doctor`, 'until it is green: each red line says what to do']);
  if (config.vaults.size === 0)
    steps.push([`${coffre} keys recovery-kit`, 'once a vault is declared: the kit that init made names none; print the new one too']);
  if (s3.length > 0) steps.push([`${coffre} doctor --policies`, 'the bucket policy that gives each credential its work and no more']);
  const [first] = config.shops.keys();
  if (first === undefined) steps.push([`edit ${config.file}`, `declare a shop, then ${coffre} keys make`]);
  else steps.push([`${coffre} backup ${first}`, 'the first one, to see it work']);
  // the unit reads the configuration in its own place
  if (hasUnit && config.file === DEFAULT_CONFIG_FILE) steps.push(['systemctl enable --now coffre', 'from now on by itself']);
  else
    steps.push([
      `${coffre} daemon`,
      hasUnit
        ? `runs the schedules; the unit of systemd reads ${DEFAULT_CONFIG_FILE}`
        : 'runs the schedules; systemd/ has the unit, npm run package a package that installs it',
    ]);
  steps.push([`${coffre} status`, 'whether you may sleep']);
  const width = Math.max(...steps.map(([command]) => command.length));
  return steps.map(([command, why]) => `${command.padEnd(width)} # ${why}`);
}
