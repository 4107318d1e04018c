// What a process wrote into the files of one folder, as strace saw it, and the folder as a power cut at any moment may leave it: of what
// was not synced each write may be there, missing, or there in parts, and each name may be there or not.
import { writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Random } from './random.ts';

/** Names are those of files in the folder. */
export type Step =
  | { readonly type: 'made'; readonly name: string }
  | { readonly type: 'unlinked'; readonly name: string }
  | { readonly type: 'synced'; readonly name: string }
  | { readonly type: 'wrote'; readonly name: string; readonly at: number; readonly bytes: Buffer }
  | { readonly type: 'cut'; readonly name: string; readonly size: number }
  | { readonly type: 'folder synced' }
  /** The process wrote this on its standard output. */
  | { readonly type: 'said'; readonly text: string };

const CALLS = [
  ...['openat', 'open', 'creat', 'unlink', 'unlinkat', 'rename', 'renameat', 'renameat2', 'link', 'linkat'],
  ...['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2', 'ftruncate', 'truncate', 'fallocate', 'fsync', 'fdatasync'],
];
/** Options for strace; `-o FILE` and the command come after. */
export const STRACE = ['--seccomp-bpf', '-f', '-y', '-xx', '-s', '300000', '-e', `trace=${CALLS.join(',')}`];

/** Reads strace's log. Throws at a call that changes the folder and is not understood. */
export function readLog(log: string, folder: string): Step[] {
  const steps: Step[] = [];
  const begun = new Map<string, string>();
  const there = new Set<string>();
  for (const raw of log.split('\n')) {
    const [, process = '', text = ''] = /^(\d+) +(.*)$/.exec(raw) ?? [];
    if (text.endsWith('<unfinished ...>')) {
      begun.set(process, text.slice(0, -'<unfinished ...>'.length).trimEnd());
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text);
    const line = resumed ? `${begun.get(process) ?? ''}${resumed[1]}` : text;
    const call = /^(\w+)\((.*)\) += (-?\d+)/s.exec(line);
    if (call === null || Number(call[3]) < 0) continue;
    const [, name = '', args = ''] = call;
    const path = pathOf(/<((?:\\x[0-9a-f]{2}|[^\\>])*)>/.exec(args)?.[1] ?? '');
    const quoted = [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g)];
    const file = basename(path);
    const last = (): number => {
      const found = /, (\d+)$/.exec(args)?.[1];
      if (found === undefined) throw new Error(`write log: not understood: ${name} of ${path}: …${args.slice(-60)}`);
      return Number(found);
    };
    if (name === 'write' && args.startsWith('1<')) {
      steps.push({ type: 'said', text: bytesOf(quoted[0]?.[1] ?? '').toString('utf8') });
      continue;
    }
    if (name === 'openat' || name === 'open') {
      const opened = pathOf(/= \d+<((?:\\x[0-9a-f]{2}|[^\\>])*)>/.exec(line)?.[1] ?? '');
      if (dirname(opened) === folder && args.includes('O_CREAT') && !there.has(basename(opened))) {
        there.add(basename(opened));
        steps.push({ type: 'made', name: basename(opened) });
      }
      continue;
    }
    if (name.startsWith('unlink')) {
      const gone = bytesOf(quoted[0]?.[1] ?? '').toString('utf8');
      if (dirname(gone) !== folder) continue;
      there.delete(basename(gone));
      steps.push({ type: 'unlinked', name: basename(gone) });
      continue;
    }
    if ((name === 'fsync' || name === 'fdatasync') && path === folder) steps.push({ type: 'folder synced' });
    const isNamed = quoted.some(([, hex = '']) => bytesOf(hex).toString('utf8').startsWith(`${folder}/`));
    if (dirname(path) !== folder && !isNamed) continue;
    if (quoted.some(([, , more]) => more !== undefined)) throw new Error(`write log: cut short by strace: ${name} of ${path}`);
    if (name === 'fsync' || name === 'fdatasync') steps.push({ type: 'synced', name: file });
    else if (name === 'pwrite64') steps.push({ type: 'wrote', name: file, at: last(), bytes: bytesOf(quoted[0]?.[1] ?? '') });
    else if (name === 'ftruncate') steps.push({ type: 'cut', name: file, size: last() });
    else throw new Error(`write log: not understood: ${name} of ${path}`);
  }
  return steps;
}

function bytesOf(escaped: string): Buffer {
  return Buffer.from(escaped.replaceAll('\\x', ''), 'hex');
}

function pathOf(text: string): string {
  return text.replace(/(?:\\x[0-9a-f]{2})+/g, (escaped) => bytesOf(escaped).toString('utf8'));
}

/** A disk tears a write between sectors, never inside of one. */
const SECTOR = 512;

type Change = Extract<Step, { type: 'wrote' | 'cut' }>;

/** A file's bytes, which grow without being copied each time. */
class Content {
  #bytes = Buffer.alloc(0);
  #size = 0;

  apply(change: Change): void {
    if (change.type === 'cut') this.#resize(change.size);
    else this.#put(change.at, change.bytes);
  }

  /** Some of its sectors only. */
  tear({ at, bytes }: Extract<Step, { type: 'wrote' }>, random: Random): void {
    for (let from = 0; from < bytes.length; from += SECTOR) if (random(2) === 0) this.#put(at + from, bytes.subarray(from, from + SECTOR));
  }

  copy(): Content {
    const copy = new Content();
    copy.#put(0, this.bytes());
    return copy;
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  #put(at: number, bytes: Buffer): void {
    this.#resize(Math.max(this.#size, at + bytes.length));
    bytes.copy(this.#bytes, at);
  }

  #resize(size: number): void {
    if (size > this.#bytes.length) {
      const larger = Buffer.alloc(2 * size);
      this.#bytes.copy(larger, 0, 0, this.#size);
      this.#bytes = larger;
    }
    // what a file is cut by comes back as zeros
    if (size < this.#size) this.#bytes.fill(0, size, this.#size);
    this.#size = size;
  }
}

interface File {
  /** As synced. */
  readonly content: Content;
  /** Since then. */
  changes: Change[];
}

interface Naming {
  readonly name: string;
  /** null: it was unlinked. */
  readonly file: File | null;
}

/** The folder as it would be found; steps are replayed one after the other. */
export class CutFolder {
  /** What a sync of the folder has made lasting. */
  readonly #names = new Map<string, File>();
  readonly #current = new Map<string, File>();
  #namings: Naming[] = [];

  apply(step: Step): void {
    if (step.type === 'said') return;
    if (step.type === 'folder synced') {
      for (const { name, file } of this.#namings) rename(this.#names, name, file);
      this.#namings = [];
      return;
    }
    if (step.type === 'made' || step.type === 'unlinked') {
      const file = step.type === 'made' ? { content: new Content(), changes: [] } : null;
      rename(this.#current, step.name, file);
      this.#namings.push({ name: step.name, file });
      return;
    }
    const file = this.#current.get(step.name);
    if (file === undefined) throw new Error(`write log: ${step.name} was never made`);
    if (step.type === 'synced') {
      for (const change of file.changes) file.content.apply(change);
      file.changes = [];
    } else file.changes.push(step);
  }

  /** Writes the files that a cut now leaves into `folder`, which holds nothing else. `leaveOut`: names that do not matter. */
  write(folder: string, random: Random, leaveOut: (name: string) => boolean): void {
    const names = new Map(this.#names);
    for (const name of new Set(this.#namings.map((one) => one.name))) {
      const own = this.#namings.filter((one) => one.name === name);
      for (const { file } of own.slice(0, random(own.length + 1))) rename(names, name, file);
    }
    for (const [name, { content, changes }] of names) {
      if (leaveOut(name)) continue;
      const left = content.copy();
      for (const change of changes) {
        const fate = random(3);
        if (fate === 1 || (fate === 2 && change.type === 'cut')) left.apply(change);
        else if (fate === 2 && change.type === 'wrote') left.tear(change, random);
      }
      writeFileSync(join(folder, name), left.bytes());
    }
  }
}

function rename(names: Map<string, File>, name: string, file: File | null): void {
  if (file === null) names.delete(name);
  else names.set(name, file);
}
