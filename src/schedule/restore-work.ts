// The daemon's restore of an approved request: the restore unit is asked over its socket, the safety snapshot is a backup of the daemon's own.
import type { PrepareVault } from '../backup/first-use.ts';
import { prepareNewVaults } from '../backup/first-use.ts';
import type { RunLog } from '../backup/log.ts';
import type { MemoryBudget } from '../backup/memory.ts';
import { type BackupDeps, backupSource } from '../backup/run.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';
import type { Config, ShopConfig } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { askRestoreUnit } from '../restore/ask-unit.ts';
import type { InPlaceStep, SafetySnapshots } from '../restore/in-place.ts';
import type { UnitRequest } from '../restore/unit-protocol.ts';
import { newId } from '../segment/id.ts';
import type { SourceKind } from '../source/source.ts';
import { backupFigures } from './backup-figures.ts';
import { runRequest } from './request-run.ts';
import type { Work } from './scheduler-ports.ts';

export interface RestoreWorkDeps {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: RunLog;
  readonly memory: MemoryBudget;
  readonly tools: Readonly<Record<string, string>>;
  readonly ports: Pick<BackupDeps, 'openSource' | 'openVault'> & { readonly prepareVault: PrepareVault };
}

/** Throws as `runRequest`, and E_CONFIG where nobody can be asked. */
export async function restoreForRequest(deps: RestoreWorkDeps, work: Work, requestId: string): Promise<void> {
  const { socket } = deps.config.restore;
  if (socket === null)
    throw new CoffreError('E_CONFIG', `restore.socket is null in ${deps.config.file}: nobody can be asked for a restore`);
  await runRequest(
    {
      ...deps,
      ask: (asked, { onDamaged, onProgress, onStep, signal }) =>
        askRestoreUnit(asked as UnitRequest, {
          clock: deps.clock,
          socket,
          signal,
          onStep: (step) => onStep(step as InPlaceStep),
          onProgress,
          onDamaged,
        }),
      takeSafety: (shop, sources, signal) => takeSafety(deps, work, shop, sources, signal),
    },
    work,
    requestId,
  );
}

/** Throws what makes a backup fail, E_INCOMPLETE. One vault that misses it is mended later. */
async function takeSafety(
  { catalog, clock, config, log, memory, ports, tools }: RestoreWorkDeps,
  work: Work,
  shop: ShopConfig,
  sources: readonly SourceKind[],
  signal: AbortSignal,
): Promise<SafetySnapshots> {
  await prepareNewVaults(ports, config, catalog, shop.vaults);
  const safety: { database: string | null; files: string | null } = { database: null, files: null };
  for (const source of sources) {
    if (source === 'server') continue;
    const deps: BackupDeps = {
      ...{ config, catalog, clock, log, memory, tools, openVault: ports.openVault, openSource: ports.openSource },
      onProgress: backupFigures(clock, work),
    };
    const request = { shop, source, full: false, purpose: 'safety', runId: newId(clock), who: work.who, signal } as const;
    const taken = await backupSource(deps, request);
    if (!taken.complete) {
      throw new CoffreError('E_INCOMPLETE', `${shop.name}: the safety snapshot of ${source} is not complete: nothing was changed`, {
        hint: 'coffre backup says what could not be read; as root coffre restore --in-place --skip-safety goes without one',
      });
    }
    safety[source] = taken.id;
  }
  return safety;
}
