// Puts guards before the entry points of a shop's tree and takes them away again: one rename each, and what lies there says how far it came.
import { randomBytes, randomInt } from 'node:crypto';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import type { Did } from '../shop.ts';
import { GUARD_PREFIX, guardText, keptOf } from './guard-page.ts';
import { runScript } from './script.ts';

/** What stands at an entry point, and beside it. */
export interface Entry {
  /** Below the root. */
  readonly path: string;
  /** `away`: its folder is not there, or behind a symbolic link, where no guard goes. */
  readonly is: 'missing' | 'real' | 'guard' | 'away' | 'other';
  /** What the guard says that it keeps. */
  readonly says: string | null;
  /** Real files kept beside it, the last one that came first. */
  readonly kept: readonly string[];
}

/** What is to be done about one entry. */
export type Step =
  | { readonly do: 'nothing' }
  /** Link the real file to `kept`, then the guard takes its place. */
  | { readonly do: 'keep'; readonly kept: string }
  /** A guard that names `kept`. */
  | { readonly do: 'write'; readonly kept: string | null }
  /** `kept` takes the guard's place; null: the guard goes, there was nothing. */
  | { readonly do: 'put back'; readonly kept: string | null }
  | { readonly do: 'lost' };

/**
 * Of several kept files the last one that came is the real one: a restore brought it into the tree, by a rename or beside a guard of its
 * own. What the guard itself says is older then, or of a file that is still to come.
 */
function winner({ kept, says }: Entry): string | null {
  return kept[0] ?? says;
}

/**
 * `always`: a guard is wanted even where there is nothing. `again`: its text is to be another one. A real file is newer than what is kept
 * beside it: somebody wrote it over the guard.
 */
export function stepToGuard(entry: Entry, { always, again, fresh }: { always: boolean; again: boolean; fresh: string }): Step {
  if (entry.is === 'real') return { do: 'keep', kept: fresh };
  if (entry.is === 'missing') {
    const kept = entry.kept[0] ?? null;
    return always || kept !== null ? { do: 'write', kept } : { do: 'nothing' };
  }
  if (entry.is !== 'guard') return { do: 'nothing' };
  const kept = winner(entry);
  return again || kept !== entry.says ? { do: 'write', kept } : { do: 'nothing' };
}

export function stepToOpen(entry: Entry): Step {
  if (entry.is !== 'guard') return entry.is === 'missing' && entry.kept[0] ? { do: 'put back', kept: entry.kept[0] } : { do: 'nothing' };
  if (entry.kept[0]) return { do: 'put back', kept: entry.kept[0] };
  return entry.says === null ? { do: 'put back', kept: null } : { do: 'lost' };
}

const LOOK = [
  'for entry do',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell fills this in, not we
  'base=${entry##*/}; dir=${entry%"$base"}; dir=${dir%/}',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell fills this in, not we
  'if ! enter "${dir:-.}" 2>/dev/null; then echo "$entry away"; continue; fi',
  'if [ -f "./$base" ]; then',
  // a link to a file is somebody's way to deploy: it is kept as the link that it is
  'if [ ! -L "./$base" ] && IFS= read -r line <"./$base" && case $line in "<?php /* coffre-guard "*) ;; *) false ;; esac',
  'then echo "$entry guard $line"; else echo "$entry real"; fi',
  'elif [ -e "./$base" ] || [ -L "./$base" ]; then echo "$entry other"; else echo "$entry missing"; fi',
  `for name in $(ls -1tc -- ./${GUARD_PREFIX}*-"$base" 2>/dev/null); do echo "$entry kept \${name#./}"; done`,
  'done',
].join('\n');

const KEPT = /^kept \.coffre-kept-[0-9a-f]{32}-[\w.-]+$/;

/** Throws as runScript. */
export async function lookAtEntries(host: Host, root: string, paths: readonly string[]): Promise<readonly Entry[]> {
  if (paths.length === 0) return [];
  const lines = await runScript(host, root, 'looking at the entry points', LOOK, paths);
  return paths.map((path) => {
    const said = lines.filter((line) => line.startsWith(`${path} `)).map((line) => line.slice(path.length + 1));
    const first = said[0] ?? 'away';
    const is = (first.split(' ')[0] ?? 'away') as Entry['is'];
    const says = is === 'guard' ? keptOf(first.slice('guard '.length)) : null;
    if (says === undefined) throw new CoffreError('E_SHOP_GUARD', `${path}: a guard of another version of coffre stands there`);
    // other names are somebody else's, and would come into the text of the guard
    const kept = said.flatMap((line) => (KEPT.test(line) ? [line.slice('kept '.length)] : []));
    return { path, is, says, kept };
  });
}

/**
 * $1 folder, $2 name, $3 the kept file's name or nothing to keep, $4 the guard's time, stdin the guard. The real file has its second name before
 * the guard takes its first one, so at every instant either is whole. Where the file is somebody else's and cannot be linked it is moved, and
 * for that moment there is none: nothing of the shop is shown by that either.
 */
const PLACE = [
  'enter "$1"',
  // of one that was killed
  'rm -f -- ./.coffre-new-*',
  `new=./.coffre-new-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \\n')`,
  'trap \'rm -f -- "$new"\' EXIT',
  // noclobber: O_EXCL, so that no link is followed; its mode from the first, since whoever owns the folder could swap what a chmod is for
  '(umask 022; set -C; cat >"$new")',
  'if [ "$(id -u)" = 0 ]; then if [ -f "./$2" ]; then chown -h --reference="./$2" -- "$new"; else chown -h --reference=. -- "$new"; fi; fi',
  'if [ -n "$3" ]; then ln -P -- "./$2" "./$3" 2>/dev/null || mv -T -- "./$2" "./$3"; fi',
  'touch -h -c -d "@$4" -- "$new"',
  'mv -fT -- "$new" "./$2"',
  'sync -- "./$2" . 2>/dev/null || :',
].join('\n');

/** $1 folder, $2 name, $3 the kept file, or nothing: the guard goes. Whatever else was kept goes afterwards. */
const OPEN = [
  'enter "$1"',
  'if [ "$4" = back ]; then if [ -n "$3" ]; then mv -fT -- "./$3" "./$2"; else rm -f -- "./$2"; fi; fi',
  `rm -f -- ./${GUARD_PREFIX}*-"$2" ./.coffre-new-*`,
  'sync -- . 2>/dev/null || :',
].join('\n');

/**
 * Seconds since the epoch, 2001 to 2017. PHP's opcache takes a file of the same second for the same file: of a guard, the real file and the guard
 * before, no two are of one, however fast they follow each other.
 */
const OLDEST = 1_000_000_000;
const NEWEST = 1_500_000_000;

/**
 * Guards before `paths` of the tree; the first of them, which clients ask for, comes first. `passSha256`: see Guard; undefined leaves those
 * that stand as they are. `always`: the first path gets one even where there is no such file. Throws E_SHOP_GUARD, and as runScript.
 */
export async function placeGuards(
  host: Host,
  root: string,
  paths: readonly string[],
  {
    always,
    passSha256,
    forgetful = false,
  }: { readonly always: boolean; readonly passSha256?: string | null; readonly forgetful?: boolean },
): Promise<Did> {
  const placed: string[] = [];
  const refused: string[] = [];
  for (const entry of await lookAtEntries(host, root, paths)) {
    const first = entry.path === paths[0];
    const fresh = `${GUARD_PREFIX}${randomBytes(16).toString('hex')}-${nameOf(entry.path)}`;
    const step = stepToGuard(entry, { always: always && first, again: passSha256 !== undefined, fresh });
    if (step.do === 'keep' || step.do === 'write') {
      const input = Buffer.from(guardText({ kept: step.kept, passSha256: passSha256 ?? null, forgetful }), 'utf8');
      const linked = step.do === 'keep' ? step.kept : '';
      const args = [folderOf(entry.path), nameOf(entry.path), linked, String(randomInt(OLDEST, NEWEST))];
      await runScript(host, root, `placing the guard before ${entry.path}`, PLACE, args, { input });
      placed.push(entry.path);
    } else if (entry.is === 'other' || (entry.is === 'away' && always && first)) {
      if (first) throw new CoffreError('E_SHOP_GUARD', `${entry.path} of ${root} is no file: no guard can stand there`);
      refused.push(entry.path);
    }
  }
  const text = placed.length > 0 ? `guard before ${placed.join(', ')}` : 'the guard stands already';
  return { changed: placed.length > 0, detail: refused.length > 0 ? `${text}; none before ${refused.join(', ')}` : text };
}

/** The real files come back, the first path last. Throws E_SHOP_GUARD when one is lost, before anything is opened; and as runScript. */
export async function removeGuards(host: Host, root: string, paths: readonly string[]): Promise<Did> {
  const entries = await lookAtEntries(host, root, paths);
  const steps = entries.map((entry) => ({ entry, step: stepToOpen(entry) }));
  const lost = steps.filter(({ step }) => step.do === 'lost').map(({ entry }) => entry.path);
  if (lost.length > 0) {
    throw new CoffreError('E_SHOP_GUARD', `the guard stands before ${lost.join(', ')} of ${root}, and the real file is gone`, {
      hint: `restore it from a snapshot: coffre restore SHOP --in-place --source files --path ${lost.join(' --path ')}`,
    });
  }
  const opened: string[] = [];
  for (const { entry, step } of steps.reverse()) {
    if (step.do !== 'put back' && entry.kept.length === 0) continue;
    const args = [
      folderOf(entry.path),
      nameOf(entry.path),
      step.do === 'put back' ? (step.kept ?? '') : '',
      step.do === 'put back' ? 'back' : '',
    ];
    await runScript(host, root, `taking the guard from ${entry.path}`, OPEN, args);
    if (step.do === 'put back') opened.push(entry.path);
  }
  return {
    changed: opened.length > 0,
    detail: opened.length > 0 ? `no guard any more before ${opened.join(', ')}` : 'no guard stood there',
  };
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const folderOf = (path: string): string => (path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '.');
