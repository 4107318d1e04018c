// Writes one small file of a shop's tree in a single rename, with mode and owner of the one that it is to be like.
import { basename, dirname } from 'node:path';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import { runScript } from './script.ts';

/** Mode and owner of the file that a link leads to. */
const STAT = 'stat -L -c "%a %u:%g" -- "./$1"';

/**
 * $1 folder, $2 name, $3 umask, $4 owner; stdin the content. It has its mode from the first: a secret is at no instant readable to others, and
 * whoever owns the folder cannot swap what a chmod would be for. noclobber is O_EXCL, so no link is followed.
 */
const WRITE = [
  'enter "$1"',
  // of one that was killed
  'rm -f -- ./.coffre-new-*',
  `new=./.coffre-new-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \\n')`,
  'trap \'rm -f -- "$new"\' EXIT',
  '(umask "$3"; set -C; cat >"$new")',
  // only root can give a file away
  'if [ "$(id -u)" = 0 ]; then chown -h -- "$4" "$new"; fi',
  'mv -fT -- "$new" "./$2"',
  'sync -- "./$2" . 2>/dev/null || :',
].join('\n');

/** `path` in `tree` becomes `content`, like `path` in the tree `like`, which must be there. Throws as runScript. */
export async function writeLike(
  host: Host,
  { tree, path, like, content }: { readonly tree: string; readonly path: string; readonly like: string; readonly content: Buffer },
): Promise<void> {
  const [line = ''] = await runScript(host, like, `looking at ${path}`, STAT, [path]);
  const found = /^(\d+) (\d+:\d+)$/.exec(line);
  if (found === null) throw new CoffreError('E_TARGET_WRITE', `${path} of ${like} on ${host.name}: its mode cannot be read`);
  const umask = (0o777 & ~(Number.parseInt(found[1] as string, 8) & 0o666)).toString(8).padStart(4, '0');
  await runScript(host, tree, `writing ${path}`, WRITE, [dirname(path), basename(path), umask, found[2] as string], { input: content });
}
