// Small shell scripts on a shop's host: each enters the tree step by step, without a symbolic link, and works below where it then stands.
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { CoffreError } from '../../errors.ts';
import { feed, printable } from '../../host/gnu-tar.ts';
import type { Host } from '../../host/host.ts';

/** Lines of complaints that are kept. */
const MOST_LINES = 20;
/** What the scripts here answer is some lines. */
const MOST_BYTES = 4 * 1024 * 1024;

/**
 * `enter DIR` goes from the root ($root, which may itself lie behind links: its name is the configuration's) into a folder below it, one
 * component after the other, and fails where one is a symbolic link or leads elsewhere. A directory that was entered stays the working
 * directory whatever is renamed or linked into its place, so names below it cannot be led out of the tree.
 */
const PRELUDE = [
  'set -eu',
  'umask 077',
  'root=$1; shift',
  'cd -P -- "$root"',
  'top=$(pwd -P)',
  'home() { cd -P -- "$top"; [ "$(pwd -P)" = "$top" ]; }',
  'enter() {',
  'home; [ "$1" != . ] || return 0',
  'here=$top; rest=$1/',
  'while [ -n "$rest" ]; do',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell fills this in, not we
  'part=${rest%%/*}; rest=${rest#*/}',
  '[ ! -L "./$part" ] && [ -d "./$part" ] || return 1',
  'cd -P -- "./$part" || return 1',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell fills this in, not we
  'here=${here%/}/$part',
  '[ "$(pwd -P)" = "$here" ] || { echo "$here: leads elsewhere" >&2; return 1; }',
  'done; }',
].join('\n');

export interface ScriptOptions {
  readonly input?: Uint8Array;
  readonly signal?: AbortSignal;
}

/**
 * Runs `body` behind the prelude, with `args` as $1 and on, and returns its lines. Throws E_TARGET_SPACE, E_TARGET_WRITE (with `what`, and
 * what it said), E_TOOL_MISSING, E_SSH_…, the signal's reason.
 */
export async function runScript(
  host: Host,
  root: string,
  what: string,
  body: string,
  args: readonly string[] = [],
  { input, signal }: ScriptOptions = {},
): Promise<readonly string[]> {
  signal?.throwIfAborted();
  const program = host.start(['sh', '-c', `${PRELUDE}\n${body}`, 'sh', root, ...args], signal);
  const said: string[] = [];
  createInterface({ input: program.stderr.setEncoding('latin1') }).on('line', (line) => {
    if (said.length < MOST_LINES) said.push(line);
  });
  const out = text(program.stdout);
  out.catch(() => {});
  try {
    await feed(program.stdin, input === undefined ? [] : [input]);
    const { status, lost } = await program.ended;
    signal?.throwIfAborted();
    if (lost) throw new CoffreError('E_SSH_LOST', `the connection to ${host.name} was lost`);
    if (status !== 0) throw scriptFailure(host, what, said);
    const answer = await out;
    if (answer.length > MOST_BYTES) throw new CoffreError('E_TARGET_WRITE', `${host.name}: ${what}: the host answers far too much`);
    return answer.split('\n').filter((line) => line !== '');
  } finally {
    program.kill();
  }
}

/** Whether there is a folder at `root`: what cannot be found out is no answer. Throws E_TARGET_WRITE, E_TOOL_MISSING, E_SSH_…. */
export async function isFolder(host: Host, root: string): Promise<boolean> {
  const script = 'if [ -d "$1/." ]; then echo there; elif [ -e "$1" ] || [ -L "$1" ]; then echo other; else echo none; fi';
  const program = host.start(['sh', '-c', script, 'sh', root]);
  program.stdin.end();
  program.stderr.resume();
  const out = await text(program.stdout);
  const { status, lost } = await program.ended;
  if (lost) throw new CoffreError('E_SSH_LOST', `the connection to ${host.name} was lost`);
  if (status === 0 && out === 'there\n') return true;
  if (status === 0 && out === 'none\n') return false;
  throw new CoffreError('E_TARGET_WRITE', `${host.name}: ${root} is no folder that can be looked into`);
}

/** Which of `paths` below the root are there. Throws as runScript. */
export async function pathsThere(host: Host, root: string, paths: readonly string[]): Promise<readonly string[]> {
  const body = 'for path do if [ -e "./$path" ] || [ -L "./$path" ]; then echo "$path"; fi; done';
  const lines = await runScript(host, root, 'looking at settings', body, paths);
  return paths.filter((path) => lines.includes(path));
}

function scriptFailure(host: Host, what: string, said: readonly string[]): CoffreError {
  const words = said.slice(0, 3).map(printable).join('; ') || 'it says nothing';
  const full = said.some((line) => /No space left on device|Disk quota exceeded/.test(line));
  const missing = said.some((line) => /: not found$/.test(line));
  const code = full ? 'E_TARGET_SPACE' : missing ? 'E_TOOL_MISSING' : 'E_TARGET_WRITE';
  return new CoffreError(code, `${host.name}: ${what}: ${words}`);
}
