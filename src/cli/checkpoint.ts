// `coffre catalog checkpoint`: writes one now, or shows what the vaults have; and the checkpoint that follows a run when a day has passed.

import { Temporal } from 'temporal-polyfill';
import {
  type CheckpointDeps,
  type CheckpointResult,
  checkpointAfterRun,
  checkpointFailure,
  checkpointVaults,
  writeCheckpoints,
} from '../backup/checkpoint.ts';
import { prepareNewVaults } from '../backup/first-use.ts';
import type { RunLog } from '../backup/log.ts';
import { type Catalog, openCatalog } from '../catalog/open.ts';
import type { Config } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { DAEMON_SHOP } from '../segment/layout.ts';
import type { CliContext, Invocation } from './context.ts';
import type { DaemonClient } from './daemon/client.ts';
import { formatBytes, formatInstant, type Result, table } from './output.ts';
import { coffreVersion } from './tools.ts';

interface CheckpointOptions {
  readonly list?: boolean;
  readonly vault?: string;
}

export async function checkpointDeps(context: CliContext, config: Config, catalog: Catalog, log: RunLog): Promise<CheckpointDeps> {
  return { config, catalog, clock: context.clock, openVault: context.adapters.openVault, log, coffre: await coffreVersion() };
}

/** `vaults`: those that the run could use. null: none was due. Never throws. */
export async function afterRun(
  context: CliContext,
  config: Config,
  catalog: Catalog,
  log: RunLog,
  vaults: readonly string[],
  signal: AbortSignal,
): Promise<CheckpointResult | null> {
  if (vaults.length === 0 || signal.aborted) return null;
  return await checkpointAfterRun(await checkpointDeps(context, config, catalog, log), vaults, signal);
}

/** The action of `coffre catalog checkpoint`. */
export async function runCheckpoint(context: CliContext, invocation: Invocation, options: CheckpointOptions): Promise<Result> {
  const config = invocation.config();
  if (options.vault !== undefined && !config.vaults.has(options.vault)) {
    throw new CoffreError('E_UNKNOWN_VAULT', `no vault ${JSON.stringify(options.vault)} in ${config.file}`);
  }
  const vaults = options.vault === undefined ? checkpointVaults(config) : [options.vault];
  await using catalog = await openCatalog(config.stateDir);
  if (options.list) return await list(catalog, config, vaults);
  // the daemon's are of all vaults; for one alone it need not be asked: the lock of its own objects keeps both apart
  const daemon = options.vault === undefined ? await invocation.daemon() : null;
  const result = daemon
    ? await checkpointByDaemon(daemon, context, invocation)
    : await checkpointAlone(context, invocation, catalog, vaults);
  const failure = checkpointFailure(result);
  const text = [
    ...result.written.map(
      ({ vault, key, sizeBytes, lock }) =>
        `${vault}: ${key} (${formatBytes(sizeBytes)}), ${lock.mode} until ${formatInstant(Temporal.Instant.from(lock.retainUntil), config.timezone)}`,
    ),
    ...result.failed.map(({ vault, message, code }) => `RED   ${vault}: ${message} [${code}]`),
    vaults.length === 0 ? 'no shop uses any vault' : '',
  ].filter((line) => line !== '');
  return { document: result, text: text.join('\n'), ...(failure ? { failure } : {}) };
}

async function checkpointAlone(
  context: CliContext,
  invocation: Invocation,
  catalog: Catalog,
  vaults: readonly string[],
): Promise<CheckpointResult> {
  const config = invocation.config();
  await prepareNewVaults(context.adapters, config, catalog, vaults);
  return await writeCheckpoints(await checkpointDeps(context, config, catalog, invocation.log), vaults, invocation.signal);
}

async function checkpointByDaemon(daemon: DaemonClient, { clock }: CliContext, invocation: Invocation): Promise<CheckpointResult> {
  const { failureOf, perform } = await import('./daemon/runs.ts');
  const [performed] = await perform(daemon, invocation, clock, [{ kind: 'checkpoint', shop: DAEMON_SHOP }]);
  if (performed === undefined) throw new CoffreError('E_INTERNAL', 'nothing was asked for');
  if (performed.detail === null) throw failureOf(performed);
  return performed.detail as CheckpointResult;
}

async function list(catalog: Catalog, config: Config, vaults: readonly string[]): Promise<Result> {
  const rows = await catalog.db
    .selectFrom('checkpoints')
    .innerJoin('objects', 'objects.id', 'checkpoints.objectId')
    .select(['checkpoints.vault', 'checkpoints.at', 'objects.key', 'objects.sizeBytes', 'objects.lockMode', 'objects.retainUntil'])
    .where('checkpoints.vault', 'in', vaults)
    .where('objects.state', 'in', ['stored', 'tombstone'])
    .orderBy('checkpoints.id', 'desc')
    .execute();
  const instant = (ms: number): Temporal.Instant => Temporal.Instant.fromEpochMilliseconds(ms);
  const checkpoints = rows.map(({ at, retainUntil, lockMode, ...row }) => ({
    ...row,
    at: instant(at).toString(),
    lock: lockMode === null || retainUntil === null ? null : { mode: lockMode, retainUntil: instant(retainUntil).toString() },
  }));
  const without = vaults.filter((vault) => !rows.some((row) => row.vault === vault));
  return {
    document: { checkpoints, without },
    text: [
      table(
        ['vault', 'of', 'object', 'size', 'locked until'].map((title) => ({ title })),
        rows.map((row) => [
          row.vault,
          formatInstant(instant(row.at), config.timezone),
          row.key,
          formatBytes(row.sizeBytes),
          row.retainUntil === null ? '-' : formatInstant(instant(row.retainUntil), config.timezone),
        ]),
        'no checkpoint was ever written',
      ),
      ...without.map((vault) => `RED   ${vault} has none`),
    ].join('\n'),
    ...(without.length > 0
      ? {
          failure: new CoffreError('E_CHECKPOINT', `no checkpoint of the state in ${without.join(', ')}`, {
            hint: 'coffre catalog checkpoint writes one',
          }),
        }
      : {}),
  };
}
