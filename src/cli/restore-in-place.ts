// `coffre restore --in-place`: asks the restore unit, which may write into the shop's tree, and keeps the run.
import { openCatalog } from '../catalog/open.ts';
import { finishRun, startRun } from '../catalog/runs.ts';
import type { ShopConfig } from '../config/config.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { askRestoreUnit } from '../restore/ask-unit.ts';
import type { DamagedCopy, FilesRequest } from '../restore/request.ts';
import { pinSnapshot, recordDamage } from '../restore/restore-run.ts';
import { newId } from '../segment/id.ts';
import type { CliContext, Invocation } from './context.ts';
import { operatorName } from './operator.ts';
import type { DatabaseOptions, RestoredHere } from './restore-database.ts';
import type { FilesOptions } from './restore-files.ts';
import { planTasks, type Task, type TaskOptions } from './restore-tasks.ts';
import { describeRestored, instantText, passedOverNote } from './restore-text.ts';

export interface RestoreOptions extends DatabaseOptions, FilesOptions, TaskOptions {
  readonly inPlace?: boolean;
  readonly path: readonly string[];
  readonly dryRun?: boolean;
}

/** The files, into the shop's own tree: by the restore unit, which may write there. The run and its pins are ours, the unit writes no catalog. */
export async function restoreInPlace(context: CliContext, invocation: Invocation, shop: ShopConfig, options: RestoreOptions) {
  const config = invocation.config();
  const { clock } = context;
  const { socket } = config.restore;
  if (socket === null) throw new CoffreError('E_USAGE', `--in-place: restore.socket is null in ${config.file}`);
  if (options.source !== 'files') {
    throw new CoffreError('E_USAGE', '--in-place is for files: it needs --source files', {
      hint: 'the database: --to-database URL --overwrite',
    });
  }
  const root = shop.files?.root;
  if (root === undefined) throw new CoffreError('E_USAGE', `shop ${shop.name} has no files`);
  const idle = (['toDir', 'toDatabase', 'toHost', 'overwrite', 'keepOld', 'dryRun'] as const).find((name) => options[name] !== undefined);
  if (idle) throw new CoffreError('E_USAGE', `--in-place says where to, and that it is written over: leave --${flagOf(idle)} out`);
  const startedMs = clock.monotonicMs();
  await using catalog = await openCatalog(config.stateDir);
  const [task] = (await planTasks(config, catalog, shop, { ...options, toDir: root })) as [Task];
  const runId = newId(clock);
  await startRun(catalog, clock, { id: runId, kind: 'restore', shop: shop.name, source: 'files', who: operatorName(context.io) });
  const bar = invocation.progress(`restore ${shop.name} files`);
  const damaged: DamagedCopy[] = [];
  try {
    await pinSnapshot(catalog, runId, task.snapshot.id);
    const request: FilesRequest = {
      ...{ kind: 'files', request: runId, shop: shop.name, snapshot: task.snapshot.id, from: options.from ?? null, paths: [...options.path] },
      ...{ delete: options.delete === true, checksum: options.checksum === true, keepSetuid: options.keepSetuid === true },
    };
    const restored = await askRestoreUnit<RestoredHere>(request, {
      ...{ socket, signal: invocation.signal },
      onProgress: (progress) => bar.update(progress),
      onDamaged: (problem) => damaged.push(problem),
    });
    const document = {
      ...{ shop: shop.name, durationMs: Math.round(clock.monotonicMs() - startedMs), bytes: restored.bytes, verified: restored.verified },
      restored: [restored],
      passedOver: task.passedOver.map(({ id, source, asOf }) => ({ snapshot: id, source, asOf: instantText(asOf) })),
    };
    await finishRun(catalog, clock, runId, 'done', null, { ...document, bytes: restored.readBytes });
    return { document, text: [describeRestored(config, [restored]), ...passedOverNote(config, task)].join('\n') };
  } catch (error) {
    const failure = asCoffreError(error);
    await finishRun(catalog, clock, runId, 'failed', failure).catch(() => {});
    throw failure;
  } finally {
    for (const problem of damaged) await recordDamage(catalog, problem).catch(() => {});
  }
}

const flagOf = (option: string): string => option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
