// Trees for tests: awkward ones, their description by tools that are not ours, and readings kept in memory.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../../src/clock.ts';
import type { FilesConfig } from '../../../src/config/config.ts';
import type { Host } from '../../../src/host/host.ts';
import { localHost } from '../../../src/host/local.ts';
import { FilesSource } from '../../../src/source/files/files-source.ts';
import { type FileEntry, type IndexEntry, isFileEntry, type Phase, type SourceSummary } from '../../../src/source/source.ts';

const NEVER = new AbortController().signal;

export function bash(script: string, env: Record<string, string> = {}): string {
  return execFileSync('bash', ['-euo', 'pipefail', '-c', script], {
    env: { ...process.env, LC_ALL: 'C', ...env },
    encoding: 'latin1',
    maxBuffer: 1 << 28,
  });
}

/**
 * Everything about a tree that find, sha256sum, getfattr and getfacl can say: type, mode, owner, size, mtime in nanoseconds,
 * links, number of links and which paths share an inode, contents (but of files larger than 2 GB), extended attributes, ACLs.
 */
export function describeTree(root: string): string {
  return bash(
    `
    cd "$TREE"
    find . -type d -printf '%y %m %U %G %T@ %p %l\\0' -o -printf '%y %m %U %G %s %T@ %n %p -> %l\\0' | sort -z | tr '\\0' '\\n'
    find . -type f -size -2G -print0 | sort -z | xargs -0r sha256sum
    find . -type f -links +1 -printf '%i %p\\0' | sort -z -k2 | awk 'BEGIN { RS = ORS = "\\0" } { i = $1; $1 = ""; if (!(i in first)) first[i] = $0; print first[i] " =" $0 }' | tr '\\0' '\\n'
    find . ! -type l -print0 | sort -z | xargs -0r getfattr --absolute-names -hdm 'user\\.|security\\.capability' -- 2>&1
    find . ! -type l -print0 | sort -z | xargs -0r getfacl -np --
    `,
    { TREE: root },
  );
}

/** Names, types and metadata that programs get wrong. Needs bash, attr and acl; root for owners and devices. */
export function makeAwkwardTree(root: string): void {
  bash(
    `
    mkdir -p "$TREE"; cd "$TREE"; mkfifo pipe
    mkdir -p img/p/1/2/3 empty/also-empty var/cache/prod "dir with spaces" sticky links/deep
    printf 'jpeg' > img/p/1/2/3/123.jpg
    printf 'plain' > index.php
    : > empty-file
    printf 1 > ./-rf; printf 2 > ./--help; printf 3 > './@file'; printf 4 > 'back\\slash'; printf 5 > 'new
line'; printf 6 > 'col:on'; printf 7 > '[glob]*?'; printf 8 > ' blanks at both ends '; printf 9 > '"quoted"'; printf 10 > "tab	bell$(printf '\\a')"
    printf latin > "$(printf 'caf\\351.txt')"
    printf utf > "$(printf 'caf\\303\\251.txt')"
    printf broken > "dir with spaces/$(printf 'half\\303')"
    printf long > "$(printf '%0.sx' {1..255})"
    mkdir "$(printf '%0.s\\351' {1..200})"; printf deep-latin > "$(printf '%0.s\\351' {1..200})/$(printf '%0.s\\351' {1..120})"
    deep=deep; for i in {1..30}; do deep="$deep/$(printf '%0.sd' {1..100})"; done; mkdir -p "$deep"; printf bottom > "$deep/bottom"
    printf setuid > setuid; chmod 6755 setuid
    printf secret > secret; chmod 600 secret
    printf none > no-rights; chmod 000 no-rights
    chmod 1777 sticky; mkdir closed; printf in > closed/in; chmod 500 closed
    ln -s index.php relative-link; ln -s /etc/passwd absolute-link; ln -s ../../outside dangling; ln -s "$(printf '%0.sy' {1..300})" long-link
    ln -s empty link-to-directory; ln -s "$(printf 'caf\\351')" latin-link
    printf shared > links/one; ln links/one links/deep/two; ln links/one hard-three
    ln -s somewhere links/symlink; ln links/symlink links/symlink-again; ln absolute-link links/absolute-again
    truncate -s 20M sparse; printf end >> sparse; printf middle | dd of=sparse bs=1 seek=10000000 conv=notrunc status=none
    truncate -s 80M all-hole
    head -c 3000000 /dev/zero | tr '\\0' z > big
    touch -d '2019-03-31 02:30:00.123456789 UTC' big; touch -d '1965-01-02 03:04:05.5 UTC' secret; touch -d '2040-01-01 UTC' index.php
    touch -h -d '2018-01-01 00:00:00.000000001 UTC' relative-link
    setfattr -n user.coffre -v value index.php; setfattr -n user.dir -v d empty
    setfacl -m u:65534:r index.php; setfacl -d -m u:65534:rx empty
    if [ "$(id -u)" = 0 ]; then
      chown 1234:5678 index.php; chown -h 4000000:4000000 relative-link; chown 65534:65534 closed
      mknod null c 1 3; setcap cap_net_raw+ep setuid 2>/dev/null || true
    fi
    touch -d '2021-05-06 07:08:09.987654321 UTC' empty img/p/1 .
    `,
    { TREE: root },
  );
}

/** Runs `work` as somebody without rights: file modes do not stop root. */
export async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return await work();
  process.setegid?.(65534);
  process.seteuid?.(65534);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}

export interface StoredSegment {
  readonly id: string;
  readonly phase: Phase;
  readonly name: string;
  readonly bytes: Buffer;
}

/** Segments of several readings, as a vault would hold them. */
export type Segments = Map<string, StoredSegment>;

export interface TakenSnapshot {
  readonly entries: readonly FileEntry[];
  readonly carried: number;
  /** In restore order: older ones first, the tail last. */
  readonly segments: readonly StoredSegment[];
  readonly summary: SourceSummary;
}

export interface TakeOptions {
  readonly previous?: readonly (readonly IndexEntry[])[];
  readonly config?: Partial<FilesConfig>;
  readonly clock?: Clock;
  /** Where the tree is. Default: this machine. */
  readonly host?: Host;
  /** Called before each chunk of a part is taken: the place to change files under the reader. */
  readonly onChunk?: (name: string, chunk: number) => void;
  /** Called before a part is read. */
  readonly onPart?: (name: string, phase: Phase) => void;
}

let segmentNumber = 0;

/** Reads a tree once, the way a backup run does: each part to its end, before the next is asked for. */
export async function take(root: string, segments: Segments, options: TakeOptions = {}): Promise<TakenSnapshot> {
  const scratchDir = mkdtempSync(join(tmpdir(), 'coffre-scratch-'));
  const source = new FilesSource(
    { root, profile: 'generic', exclude: [], ...options.config },
    options.host ?? localHost,
    options.clock ?? systemClock,
  );
  const previous = (options.previous ?? []).map(async function* (entries) {
    yield entries.filter(isFileEntry);
  });
  const reading = await source.open({ signal: NEVER, previous, scratchDir }).catch((error: unknown) => {
    rmSync(scratchDir, { recursive: true, force: true });
    throw error;
  });
  const entries: FileEntry[] = [];
  const used = new Set<string>();
  let carried = 0;
  try {
    for await (const item of reading.items()) {
      if (item.type === 'carry') {
        carried += item.entries.length;
        for (const entry of item.entries) used.add(entry.segment as string);
        entries.push(...item.entries);
        continue;
      }
      options.onPart?.(item.name, item.phase);
      const chunks: Uint8Array[] = [];
      options.onChunk?.(item.name, 0);
      for await (const chunk of item.read(NEVER)) {
        chunks.push(Buffer.from(chunk));
        options.onChunk?.(item.name, chunks.length);
      }
      const id = `s${String(segmentNumber++).padStart(6, '0')}`;
      segments.set(id, { id, phase: item.phase, name: item.name, bytes: Buffer.concat(chunks) });
      used.add(id);
      for (const entry of item.outcome().entries as readonly FileEntry[]) {
        // found stored in an older segment: it stays there
        used.add(entry.segment ?? id);
        entries.push({ ...entry, segment: entry.segment ?? id });
      }
    }
    const ordered = [...used].map((id) => segments.get(id) as StoredSegment).sort((a, b) => (a.id < b.id ? -1 : 1));
    return {
      entries,
      carried,
      segments: [...ordered.filter((segment) => segment.phase !== 'tail'), ...ordered.filter((segment) => segment.phase === 'tail')],
      summary: reading.summary(),
    };
  } finally {
    await reading.close();
    rmSync(scratchDir, { recursive: true, force: true });
  }
}
