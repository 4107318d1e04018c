// What stands where a restore would go on a host, nothing touched.
import { CoffreError } from '../../errors.ts';
import { printable } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';
import { type Places, placesFor } from './remote-places.ts';
import { failed, runOn } from './remote-program.ts';

/** Which of the places exist, each with its type as find's `%y` has it. */
export type Present = ReadonlyMap<string, { readonly type: string; readonly uid: number }>;

/** What is where a restore would go, nothing touched. Throws E_TARGET_WRITE when it cannot be swapped, E_USAGE, E_SSH_…. */
export async function describePlace(
  host: Host,
  given: string,
): Promise<{ readonly directory: string; readonly exists: boolean; readonly holds: boolean }> {
  const places = placesFor(await followed(host, given));
  const present = await look(host, places);
  const holds = await checkDirectory(host, places, present, true);
  return { directory: places.directory, exists: present.has(places.directory), holds };
}

/** `directory` without symbolic links, whatever of it exists. */
export async function followed(host: Host, directory: string): Promise<string> {
  const { out } = await runOn(host, ['readlink', '--canonicalize-missing', '--zero', '--', directory]);
  const real = Buffer.from(out.replace(/\0$/, ''), 'latin1');
  if (!Buffer.from(real.toString()).equals(real) || !real.toString().startsWith('/')) {
    throw new CoffreError('E_USAGE', `${host.name}: ${directory} leads to ${printable(real.toString('latin1'))}, whose name is no UTF-8`);
  }
  return real.toString();
}

/** Which of the places, and of `more`, exist. Throws E_TARGET_WRITE, E_SSH_…. */
export async function look(host: Host, { directory, work, tree, previous, old }: Places, more: readonly string[] = []): Promise<Present> {
  const paths = [directory, work, tree, previous, old, ...more];
  const { status, out, said } = await runOn(host, ['find', ...paths, '-maxdepth', '0', '-printf', '%y %U %p\\0'], { accept: [0, 1] });
  const serious = said.filter((line) => !line.endsWith('No such file or directory'));
  if (serious.length > 0) throw failed(host, 'find', status, serious);
  const found = new Map<string, { type: string; uid: number }>();
  for (const line of out.split('\0')) {
    const match = /^(\S) (\d+) (.+)$/s.exec(line);
    if (match) found.set(Buffer.from(match[3] as string, 'latin1').toString(), { type: match[1] as string, uid: Number(match[2]) });
  }
  return found;
}

/** Whether the directory holds something. Throws E_TARGET_NOT_EMPTY when it may not, E_TARGET_WRITE when it cannot be swapped. */
export async function checkDirectory(host: Host, { directory }: Places, present: Present, overwrite: boolean): Promise<boolean> {
  const found = present.get(directory);
  if (!found) return false;
  if (found.type !== 'd') throw new CoffreError('E_TARGET_WRITE', `${host.name}: ${directory} is not a directory`);
  const { status } = await runOn(host, ['mountpoint', '--quiet', '--', directory], { accept: [0, 1, 32] });
  if (status === 0) {
    throw new CoffreError('E_TARGET_WRITE', `${host.name}: ${directory} is a mount point, which cannot be swapped`, {
      hint: 'restore into a directory inside it, and move what is to be moved from there',
    });
  }
  const { out } = await runOn(host, ['find', directory, '-mindepth', '1', '-maxdepth', '1', '-printf', '%P\\0', '-quit']);
  if (out === '') return false;
  if (overwrite) return true;
  throw new CoffreError(
    'E_TARGET_NOT_EMPTY',
    `${host.name}: ${directory} is not empty: it holds ${printable(out.split('\0')[0] as string)}`,
    {
      hint: 'choose one that is empty or not there yet; --overwrite makes it equal to the snapshot and swaps it at once, --delete removes what the snapshot does not have',
    },
  );
}
