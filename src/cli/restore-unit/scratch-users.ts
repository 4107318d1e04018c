// Whose the scratch folder may be: the restore unit becomes that user, and what a dump holds runs with that user's rights.
import { readFileSync } from 'node:fs';

/** Users whom nothing else on a machine belongs to: the package's, and where no package made it the one that is there for this. */
export const SCRATCH_USERS: readonly string[] = ['coffre-restore', 'nobody'];

/** Whose coffre made it where there was no package, once: a dump is not to run with the rights of the server that holds the shops. */
export const FORMER_USER = 'mysql';

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** As /etc/passwd has them. */
export function systemUsers(): readonly SystemUser[] {
  return readFileSync('/etc/passwd', 'latin1')
    .split('\n')
    .flatMap((line) => {
      const [name = '', , uid, gid] = line.split(':');
      return uid === undefined || gid === undefined || uid === '' ? [] : [{ name, uid: Number(uid), gid: Number(gid) }];
    });
}

/** By its name or its number, which need not be in /etc/passwd; null: there is no such user. */
export function uidOf(user: string, users: readonly SystemUser[]): number | null {
  return users.find(({ name }) => name === user)?.uid ?? (/^\d+$/.test(user) ? Number(user) : null);
}

/** Who is to own it: whom restore.scratchUser names, else the first of SCRATCH_USERS that there is; null: there is none. */
export function scratchUserOf(wanted: string | null, users: readonly SystemUser[]): SystemUser | null {
  const names = wanted === null ? SCRATCH_USERS : [wanted];
  const found = names.map((name) => users.find((user) => user.name === name || String(user.uid) === name));
  return found.find((user) => user !== undefined) ?? null;
}

/** What a sysadmin types so that the unit has a folder of the right user: one that is there. Pure. */
export function howToGive(folder: string, wanted: string | null, users: readonly SystemUser[]): string {
  const isKnown = wanted === null || uidOf(wanted, users) !== null;
  const user = isKnown && wanted !== null ? wanted : (scratchUserOf(null, users)?.name ?? 'coffre-restore');
  const give = `mkdir -p ${folder} && chown -R ${user}: ${folder} && chmod 700 ${folder}`;
  return isKnown ? give : `restore.scratchUser: ${user} (${wanted} is no user of this machine), then ${give}`;
}

/**
 * Why the unit should not become the owner of a scratch folder, null when it may. `wanted`: restore.scratchUser; null: nobody said who, and then
 * it is one of SCRATCH_USERS, or a number that no user and no shop has. Pure.
 */
export function strangerAs(
  uid: number,
  { shops, users, wanted }: { readonly wanted: string | null; readonly users: readonly SystemUser[]; readonly shops: readonly number[] },
): string | null {
  const name = users.find((user) => user.uid === uid)?.name ?? `uid ${uid}`;
  if (wanted !== null) {
    const meant = uidOf(wanted, users);
    if (meant === null) return `belongs to ${name}, and restore.scratchUser ${wanted} is no user of this machine`;
    return meant === uid ? null : `belongs to ${name}, and restore.scratchUser is ${wanted}`;
  }
  if (shops.includes(uid)) return `belongs to ${name}, who owns a shop: what is restored there would be within its reach`;
  if (!users.some((user) => user.uid === uid) || SCRATCH_USERS.includes(name)) return null;
  return `belongs to ${name}: a drill would run with the rights of that user`;
}
