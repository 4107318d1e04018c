// Restores snapshots taken by tests onto a host, as the restore unit does it: what is missing, segments at once, the tail, comparison, swap.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../src/clock.ts';
import { secretFromFile } from '../../../src/config/secret.ts';
import type { Host } from '../../../src/host/host.ts';
import { localHost } from '../../../src/host/local.ts';
import { SshHost } from '../../../src/host/ssh.ts';
import type { FileEntry } from '../../../src/source/source.ts';
import type { Stays } from '../../../src/target/files/remote-scan.ts';
import { RemoteDirectoryTarget } from '../../../src/target/files/remote-target.ts';
import type { WantedMember } from '../../../src/target/target.ts';
import type { Sshd } from '../../servers/sshd.ts';
import { bash, type TakenSnapshot, take } from '../../source/files/tree.ts';
import { tempDir } from '../../temp-dir.ts';
import { bytes, each } from './restore.ts';

const NEVER = new AbortController().signal;

export const removeAll: Stays = () => 'no';

export interface RemoteRestore {
  readonly overwrite?: boolean;
  readonly removeAllBut?: Stays;
  readonly checksum?: boolean;
  readonly keepOld?: boolean;
  readonly unverified?: boolean;
  readonly snapshot?: string;
  readonly signal?: AbortSignal;
  /** Before each segment. */
  readonly onSegment?: (name: string) => void;
}

export interface RemoteRestored {
  readonly differences: readonly string[];
  readonly notes: readonly string[];
  readonly landing: RemoteDirectoryTarget['landing'];
  /** Entries, directories not counted, that were written. */
  readonly written: readonly string[];
}

/** Throws what the target throws; it is closed by then. */
export async function restoreTo(host: Host, taken: TakenSnapshot, directory: string, options: RemoteRestore = {}): Promise<RemoteRestored> {
  const target = new RemoteDirectoryTarget(directory, host, options);
  const signal = options.signal ?? NEVER;
  try {
    const { everythingMissing } = await target.prepare(options.snapshot ?? 'snapshot');
    const members = new Map<string, WantedMember[]>();
    const written: string[] = [];
    const entries = each<FileEntry>(taken.entries);
    for await (const entry of everythingMissing ? entries : target.missing(entries)) {
      const list = members.get(entry.segment as string) ?? [];
      const { member } = entry;
      list.push(member === undefined ? entry.path : { member, path: entry.path, mtimeNs: entry.mtimeNs });
      members.set(entry.segment as string, list);
      if (entry.type !== 'directory') written.push(entry.path);
    }
    const extract = async (segment: TakenSnapshot['segments'][number]): Promise<void> => {
      const wanted = members.get(segment.id);
      if (!wanted) return;
      options.onSegment?.(segment.name);
      const incoming = { id: segment.id, phase: segment.phase, plaintext: bytes(segment.bytes), unverified: options.unverified ?? false };
      await target.extract(incoming, wanted, signal);
    };
    const body = await Promise.allSettled(taken.segments.filter((segment) => segment.phase !== 'tail').map(extract));
    for (const one of body) if (one.status === 'rejected') throw one.reason;
    for (const segment of taken.segments.filter((segment) => segment.phase === 'tail')) await extract(segment);
    const differences = await target.compare(each<FileEntry>(taken.entries));
    if (differences.length === 0) await target.publish();
    return { differences, notes: target.notes, landing: target.landing, written };
  } finally {
    await target.close();
  }
}

/** A host whose connection breaks: from the program number `breaksAt` on (counted from 0) nothing starts any more, and what runs is killed. */
export function breakingHost(host: Host, breaksAt: number): Host & { readonly programs: readonly string[] } {
  const programs: string[] = [];
  const running = new Set<ReturnType<Host['start']>>();
  return {
    type: host.type,
    name: host.name,
    programs,
    start(argv, signal) {
      const isBroken = programs.push(argv.find((word) => /^(tar|xargs)$/.test(word)) ?? (argv[0] as string)) > breaksAt;
      const program = host.start(isBroken ? ['true'] : argv, signal);
      if (isBroken) for (const one of running) one.kill();
      running.add(program);
      const ended = program.ended.then((end) => {
        running.delete(program);
        return programs.length > breaksAt ? { status: null, lost: true } : end;
      });
      ended.catch(() => {});
      return { stdin: program.stdin, stdout: program.stdout, stderr: program.stderr, ended, kill: () => program.kill() };
    },
    connect: (to) => host.connect(to),
    close: () => host.close(),
  };
}

/** Names, types and contents alone: a copy beside it by hard links shows in link counts. */
export function contents(root: string): string {
  return bash('cd "$TREE"; find . -printf "%y %m %p %l\\n" | sort; find . -type f -print0 | sort -z | xargs -0r sha256sum', { TREE: root });
}

/** A small tree of some files, their names and contents. */
export async function snapshotOf(files: Record<string, string>): Promise<{ taken: TakenSnapshot; tree: string }> {
  const tree = join(await tempDir(), 'tree');
  mkdirSync(tree);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(tree, path, '..'), { recursive: true });
    writeFileSync(join(tree, path), content);
  }
  return { taken: await take(tree, new Map()), tree };
}

/** A host on which only the first of the swap's two renames happens; `isLost`: and nothing more after it. */
export function halfSwapped(isLost: boolean): Host {
  let swapped = false;
  const lost = { status: null, lost: true };
  return {
    ...localHost,
    start(argv, signal) {
      if (swapped && isLost) return { ...localHost.start(['true'], signal), ended: Promise.resolve(lost) };
      // as a system without renameat2
      if (isExchange(argv)) return localHost.start(['sh', '-c', 'exit 3'], signal);
      if (!argv.includes('--max-args=2')) return localHost.start(argv, signal);
      swapped = true;
      const program = localHost.start(['bash', '-c', 'IFS= read -r -d "" a; IFS= read -r -d "" b; mv -T -- "$a" "$b"'], signal);
      return { ...program, ended: program.ended.then(() => (isLost ? lost : { status: null, lost: false })) };
    },
  };
}

const isExchange = (argv: readonly string[]): boolean => argv.some((word) => word.includes('syscall('));

/** A host that is lost, for good or for one answer, once the tree and the directory have changed places. */
export function exchanged(isLost: boolean): Host {
  let done = false;
  const lost = { status: null, lost: true };
  return {
    ...localHost,
    start(argv, signal) {
      if (done && isLost) return { ...localHost.start(['true'], signal), ended: Promise.resolve(lost) };
      const program = localHost.start(argv, signal);
      if (!isExchange(argv)) return program;
      done = true;
      return { ...program, ended: program.ended.then(() => (isLost ? lost : { status: null, lost: false })) };
    },
  };
}

/** `sshd`, perhaps through a proxy's port, which then needs a known_hosts of its own. */
export function hostAt(sshd: Sshd, port = sshd.port, knownHosts = sshd.knownHostsFile): SshHost {
  const { host, user, keyFile } = sshd;
  const config = {
    host,
    port,
    user,
    keys: [secretFromFile(keyFile)],
    passphrase: null,
    agent: null,
    knownHostsFile: knownHosts,
    connectTimeoutMs: 10_000,
  };
  return new SshHost({ type: 'ssh', ...config }, systemClock);
}
