// What the restore unit does for a kind of request: who it becomes for it, and what it does as that user.
import { lstatSync, realpathSync } from 'node:fs';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import { CoffreError } from '../../errors.ts';
import type { RestoreDeps } from '../../restore/execute.ts';
import type { UnitRequest } from '../../restore/unit-protocol.ts';
import type { RestoreAdapters } from '../adapters.ts';
import { howToGive, strangerAs, systemUsers } from './scratch-users.ts';

/** Who owns a folder, and so may write into it. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The connection's end is in `signal`; what is told goes over it. */
export interface UnitDeps extends Pick<RestoreDeps, 'signal' | 'onProgress' | 'onProblem'> {
  readonly clock: Clock;
  readonly config: Config;
  readonly adapters: RestoreAdapters;
  readonly onStep: (step: string) => void;
}

export interface UnitTask<R extends UnitRequest> {
  /**
   * As root, with nothing opened but the configuration: whether this request may be served, and as whom, who must not be root. `peerUid`
   * is who asks: root for anything that root could do himself, the daemon for what the configuration, which it cannot write, leaves to it.
   * Throws E_RESTORE_REFUSED, E_UNKNOWN_SHOP.
   */
  admit(config: Config, request: R, peerUid: number): Owner;
  /**
   * As that owner, with a right to read everything and to write what is his. Asks once more what somebody may have changed meanwhile.
   * What it returns is the answer, as JSON. Throws what made it fail.
   */
  serve(deps: UnitDeps, request: R): Promise<object>;
}

/** Throws E_RESTORE_REFUSED when somebody else than root asks and the configuration does not allow it. */
export function demandUnattended(config: Config, peerUid: number, what: string): void {
  if (peerUid === 0 || config.restore.unattended) return;
  throw new CoffreError('E_RESTORE_REFUSED', `only root may ${what}`, {
    hint: `restore.unattended: true in ${config.file} lets the daemon do it; systemd/RIGHTS.md says what that gives away`,
  });
}

/**
 * `whose` names who it should belong to. Throws E_RESTORE_REFUSED for a folder that is root's: nothing would be left behind by becoming its
 * owner.
 */
export function ownerOf(folder: string, hints: { readonly absent: string; readonly roots: string }): Owner {
  const refuse = (what: string, hint: string): CoffreError => new CoffreError('E_RESTORE_REFUSED', `${folder} ${what}`, { hint });
  const stats = lstatSync(folder, { throwIfNoEntry: false });
  if (!stats) throw refuse('is not there: nobody knows whose it is', hints.absent);
  // a link on the way is somebody's to turn, who need not be the owner of what it leads to
  if (!stats.isDirectory() || realpathSync(folder) !== folder) throw refuse('leads through a symbolic link', 'give the path without one');
  if (stats.uid === 0) throw refuse('belongs to root', hints.roots);
  return { uid: stats.uid, gid: stats.gid };
}

/**
 * Who serves what goes into the scratch folder (restore.scratchDir): not the daemon's user, who could look into a process of his own, nor anybody
 * whose data the restored could reach. Throws E_RESTORE_REFUSED.
 */
export function scratchOwner({ restore: { scratchDir, scratchUser }, shops, stateDir }: Config): Owner {
  const users = systemUsers();
  const give = howToGive(scratchDir, scratchUser, users);
  const owner = ownerOf(scratchDir, { absent: give, roots: give });
  const refuse = (what: string, hint: string): CoffreError => new CoffreError('E_RESTORE_REFUSED', `${scratchDir} ${what}`, { hint });
  if (owner.uid === lstatSync(stateDir, { throwIfNoEntry: false })?.uid) throw refuse('belongs to the daemon’s user', give);
  const trees = [...shops.values()].flatMap(({ files, host }) => (host.type === 'local' && files ? [files.root] : []));
  const stranger = strangerAs(owner.uid, {
    ...{ wanted: scratchUser, users },
    shops: trees.flatMap((root) => lstatSync(root, { throwIfNoEntry: false })?.uid ?? []),
  });
  if (stranger !== null) throw refuse(stranger, `${give}; or restore.scratchUser names who is meant`);
  return owner;
}
