// Small files of a shop, read on the host that it lives on.
import { join } from 'node:path';
import { CoffreError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import { existingBySftp, foldersBySftp, givesSftpAlone, readFileBySftp } from '../../host/sftp-files.ts';

/** A configuration is a few kilobytes; the largest that a shop was seen with is a tenth of this. */
const LARGEST_BYTES = 1024 * 1024;

/** A fifo in a configuration's place would never end; whoever may write there may also have put one there. */
const READ = 'if [ -e "$1" ] && [ ! -f "$1" ]; then echo "$1: Not a regular file" >&2; exit 1; fi; exec cat -- "$1"';

/**
 * The same for a file whose content is believed: who owns a shop must not show us another shop's by a symbolic link. The file that was opened
 * must lie where its name says, or belong to the owner of the folder $2.
 */
const READ_OWN = [
  'if [ -f "$1" ]; then',
  'exec 3<"$1"',
  'if [ "$(readlink /proc/self/fd/3)" != "$(readlink -f "$2")/$3" ] &&',
  '[ "$(stat -L -c %u /proc/self/fd/3)" != "$(stat -L -c %u "$2")" ]; then',
  'echo "$1: Leads to a file of somebody else" >&2; exit 1; fi',
  'exec cat <&3; fi',
  'if [ -e "$1" ]; then echo "$1: Not a regular file" >&2; exit 1; fi',
  'cat -- "$1" >/dev/null; exit 1',
].join('\n');

/**
 * Content of a file, null when there is none. `path` is absolute. Throws E_CONFIG when it is there and cannot be read or is no small
 * file, E_TOOL_MISSING, E_SSH_….
 */
export async function readHostFile(host: Host, path: string, signal?: AbortSignal): Promise<Buffer | null> {
  try {
    return await readByProgram(host, path, ['sh', '-c', READ, 'sh', path], signal);
  } catch (error) {
    if (!givesSftpAlone(host, error)) throw error;
    return await readFileBySftp(host, path, LARGEST_BYTES, signal);
  }
}

/** As readHostFile, of `name` in `folder`; a symbolic link that leads to a file of another owner than the folder's is refused too. */
export async function readOwnFile(host: Host, folder: string, name: string): Promise<Buffer | null> {
  const path = join(folder, name);
  try {
    return await readByProgram(host, path, ['sh', '-c', READ_OWN, 'sh', path, folder, name]);
  } catch (error) {
    if (!givesSftpAlone(host, error)) throw error;
    return await readFileBySftp(host, path, LARGEST_BYTES);
  }
}

async function readByProgram(host: Host, path: string, argv: readonly string[], signal?: AbortSignal): Promise<Buffer | null> {
  const process = host.start(argv, signal);
  process.stdin.end();
  const said: Buffer[] = [];
  let saidBytes = 0;
  process.stderr.on('data', (chunk: Buffer) => {
    saidBytes += chunk.length;
    if (saidBytes < 4096) said.push(chunk);
  });
  const content: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of process.stdout) {
      bytes += (chunk as Buffer).length;
      if (bytes > LARGEST_BYTES) throw new CoffreError('E_CONFIG', `${path} is too large to be a shop's configuration`);
      content.push(chunk as Buffer);
    }
    const { status, lost } = await process.ended;
    signal?.throwIfAborted();
    if (status === 0) return Buffer.concat(content);
    const text = Buffer.concat(said).toString('latin1');
    if (!lost && /No such file or directory|Not a directory/.test(text)) return null;
    const why = /: ([^:\n]+)\n?$/.exec(text)?.[1] ?? `cat ended ${status === null ? 'early' : `with status ${status}`}`;
    throw new CoffreError('E_CONFIG', `${path} on ${host.name} cannot be read: ${why}`, {
      hint: 'give coffre the right to read it, as it reads the rest of the tree',
    });
  } finally {
    process.kill();
  }
}

/** A shell's whole line is one argument where the host is reached over SSH: 128 KiB. */
const PATHS_AT_ONCE = 100;

/** Which of `paths` (absolute) are there. */
export async function existing(host: Host, paths: readonly string[]): Promise<ReadonlySet<string>> {
  try {
    return await existingByProgram(host, paths);
  } catch (error) {
    if (!givesSftpAlone(host, error)) throw error;
    return await existingBySftp(host, paths);
  }
}

/** Names in a directory that are directories, or links to one; none when it cannot be listed. Throws E_TOOL_MISSING, E_SSH_…. */
export async function foldersIn(host: Host, path: string): Promise<readonly string[]> {
  try {
    // with a slash behind it: a directory, or a link to one
    const lines = await outputLines(host, ['ls', '-1pL', '--', path]);
    return lines.filter((line) => line.endsWith('/')).map((line) => line.slice(0, -1));
  } catch (error) {
    if (!givesSftpAlone(host, error)) throw error;
    return await foldersBySftp(host, path);
  }
}

async function existingByProgram(host: Host, paths: readonly string[]): Promise<ReadonlySet<string>> {
  const asked = new Set(paths);
  const found = new Set<string>();
  for (let at = 0; at < paths.length; at += PATHS_AT_ONCE) {
    const lines = await outputLines(host, ['ls', '-1d', '--', ...paths.slice(at, at + PATHS_AT_ONCE)]);
    for (const line of lines) if (asked.has(line)) found.add(line);
  }
  return found;
}

/** What a program writes, by lines and at most a megabyte of it; its exit status says nothing here. Throws E_TOOL_MISSING, E_SSH_…. */
export async function outputLines(host: Host, argv: readonly string[]): Promise<readonly string[]> {
  const process = host.start(argv);
  process.stdin.end();
  process.stderr.resume();
  const content: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdout) {
    bytes += (chunk as Buffer).length;
    if (bytes <= LARGEST_BYTES) content.push(chunk as Buffer);
  }
  await process.ended;
  return Buffer.concat(content)
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
}
