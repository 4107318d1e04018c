// Judges that share no code with coffre: mariadb-dump, find and sha256sum, and an S3 client as its makers ship it.
import { spawn } from 'node:child_process';
import { appendFileSync, createWriteStream, readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import {
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import type { Temporal } from 'temporal-polyfill';
import { toDate } from '../../src/clock.ts';
import { inventory } from '../servers/s3.ts';
import type { ShopServer } from '../shop/database.ts';
import { EXCLUDED_DIRECTORIES } from '../shop/files.ts';

/** Writes the whole database as text, the way a sysadmin would. */
export async function dumpDatabase(server: ShopServer, database: string, file: string): Promise<void> {
  const child = spawn(
    'mariadb-dump',
    [
      '--no-defaults',
      `--socket=${server.socketPath}`,
      `--user=${server.rootUser}`,
      '--skip-dump-date',
      '--routines',
      '--triggers',
      '--events',
      database,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  await finished(child, 'mariadb-dump', file);
}

/** Writes what `find` and `sha256sum` say of a tree: kind, mode, owner, time in nanoseconds, size, links, and every content. */
export async function describeTree(root: string, file: string): Promise<void> {
  const left = EXCLUDED_DIRECTORIES.map((directory) => `-path './${directory}'`).join(' -o ');
  // a directory's own size is the file system's business; names may hold newlines: records end in NUL
  const script = `set -e
cd "$1"
list() { find . \\( ${left} \\) -prune -o "$@"; }
list \\( -type d -printf 'd %m %U:%G %T@ %p\\0' \\) -o ! -type d -printf '%y %m %U:%G %T@ %s %n %p -> %l\\0' | sort -z
list -type f -print0 | sort -z | xargs -0 -r sha256sum -z`;
  await finished(shell(script, root), 'find', file);
  const find = async (what: string): Promise<string[]> => {
    const found: Buffer[] = [];
    const child = shell(`cd "$1" && find . \\( ${left} \\) -prune -o ${what}`, root);
    child.stdout?.on('data', (chunk: Buffer) => found.push(chunk));
    await finished(child, 'find', null);
    return Buffer.concat(found).toString('latin1').split('\0').slice(0, -1);
  };
  const links = linkGroups(await find("-type f -links +1 -printf '%i %p\\0'"));
  const holes = withHoles(await find("-type f -size +1024k -printf '%b %s %p\\0'"));
  appendFileSync(file, [...links, ...holes].join('\0'), 'latin1');
}

function shell(script: string, argument: string): ReturnType<typeof spawn> {
  return spawn('sh', ['-c', script, 'sh', argument], { env: { ...process.env, LC_ALL: 'C' }, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Inode numbers differ from tree to tree: what counts is which names share one. */
function linkGroups(found: readonly string[]): readonly string[] {
  const groups = new Map<string, string[]>();
  for (const record of found) {
    const at = record.indexOf(' ');
    const [inode, name] = [record.slice(0, at), record.slice(at + 1)];
    groups.set(inode, [...(groups.get(inode) ?? []), name]);
  }
  return [...groups.values()].map((names) => `one file: ${names.sort().join(' = ')}`).sort();
}

/** Files that take up less than half of their size on the disk. How much exactly is the file system's business. */
function withHoles(found: readonly string[]): readonly string[] {
  const sparse = found.flatMap((record) => {
    const [, blocks = '', size = '', name = ''] = /^(\d+) (\d+) ([\s\S]*)$/.exec(record) ?? [];
    return Number(blocks) * 512 * 2 < Number(size) ? [`holes: ${name}`] : [];
  });
  return sparse.sort();
}

async function finished(child: ReturnType<typeof spawn>, program: string, file: string | null): Promise<void> {
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (child.stdout && file !== null) await pipeline(child.stdout, createWriteStream(file));
  const status = await ended;
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${said.trim()}`);
}

/** First records in which two descriptions differ, printable; empty when they are the same. */
export function differences(before: string, after: string, separator: string, limit = 5): readonly string[] {
  const [left, right] = [before, after].map((file) => readFileSync(file, 'latin1'));
  if (left === right) return [];
  const [first, second] = [left, right].map((text) => new Set(text?.split(separator)));
  const gone = [...(first ?? [])].filter((line) => !second?.has(line)).map((line) => `- ${line}`);
  const come = [...(second ?? [])].filter((line) => !first?.has(line)).map((line) => `+ ${line}`);
  const all = [...gone.slice(0, limit), ...come.slice(0, limit)].map((line) => JSON.stringify(line.slice(0, 160)));
  return all.length > 0 ? all : ['the same records in another order'];
}

export type LockMode = 'COMPLIANCE' | 'GOVERNANCE';

export interface LockAttempts {
  /** Versions of the shop's objects that the store holds. */
  readonly versions: number;
  /** Of them: deletion of exactly that version was refused, and it is still there. */
  readonly refused: number;
  /** Of them: shortening its lock was refused. */
  readonly notShortened: number;
  /** Earliest end of a lock, as the store tells it. */
  readonly lockedUntil: string | null;
  /** What the store answered to the first attempt, e.g. `403 AccessDenied`. */
  readonly answer: string;
  /** The first version that did not resist, for the story. */
  readonly weak: string | null;
}

/** Requests under way at once. */
const ATTACKERS = 6;

/** Tries, with a credential that may delete versions, to delete every version under `prefix` and to shorten its lock. */
export async function attackLocks(
  client: S3Client,
  bucket: string,
  prefix: string,
  mode: LockMode,
  soon: Temporal.Instant,
): Promise<LockAttempts> {
  const { versions } = await inventory({ client, name: bucket }, prefix);
  let [refused, notShortened, answer] = [0, 0, ''];
  let until: string | null = null;
  let weak: string | null = null;
  const attack = async (Key: string, VersionId: string): Promise<void> => {
    const object = { Bucket: bucket, Key, VersionId };
    const shorter = { Mode: mode, RetainUntilDate: toDate(soon) };
    if ((await refusal(client.send(new PutObjectRetentionCommand({ ...object, Retention: shorter })))) !== null) notShortened += 1;
    const deletion = await refusal(client.send(new DeleteObjectCommand(object)));
    const remains = (await refusal(client.send(new HeadObjectCommand(object)))) === null;
    if (deletion !== null && remains) refused += 1;
    else weak ??= Key;
    answer ||= deletion ?? '';
    if (!remains) return;
    const { Retention } = await client.send(new GetObjectRetentionCommand(object)).catch(() => ({ Retention: undefined }));
    const end = Retention?.RetainUntilDate?.toISOString() ?? null;
    if (end !== null && (until === null || end < until)) until = end;
  };
  const waiting = [...versions];
  await Promise.all(
    Array.from({ length: ATTACKERS }, async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) await attack(next.key, next.versionId);
    }),
  );
  return { versions: versions.length, refused, notShortened, lockedUntil: until, answer, weak };
}

/** The same request on an object without a lock, to show that it is the lock that refuses, and not the credential. */
export async function deleteControl(client: S3Client, bucket: string): Promise<boolean> {
  const object = { Bucket: bucket, Key: 'demo/unlocked-control' };
  const { VersionId } = await client.send(new PutObjectCommand({ ...object, Body: Buffer.from('no lock on this one\n') }));
  if (!VersionId) return false;
  const deletion = await refusal(client.send(new DeleteObjectCommand({ ...object, VersionId })));
  const gone = (await refusal(client.send(new HeadObjectCommand({ ...object, VersionId })))) !== null;
  return deletion === null && gone;
}

/** `status code` when the store refused, null when it did as told. Anything else is thrown. */
async function refusal(request: Promise<unknown>): Promise<string | null> {
  try {
    await request;
    return null;
  } catch (error) {
    if (error instanceof S3ServiceException && error.$metadata.httpStatusCode !== undefined && error.$metadata.httpStatusCode < 500) {
      return `${error.$metadata.httpStatusCode} ${error.name}`;
    }
    throw error;
  }
}
