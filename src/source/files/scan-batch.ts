// Steps of a walk on their way from one thread to another: field by field, for an object a file costs more than the file's lstat.
import type { FileEntry, Warning } from '../source.ts';
import type { Found, FoundDirectory, FoundFiles } from './walk.ts';

const TYPES: readonly Found['type'][] = ['file', 'directory', 'symlink', 'fifo', 'device'] satisfies readonly FileEntry['type'][];
const FIELDS = 7;
const BIG_FIELDS = 4;
const MOST_NS = 2n ** 63n - 1n;

type Step = { readonly files: number; readonly last: boolean } | { readonly dumpdir: Uint8Array | null };

export interface ScanBatch {
  readonly paths: string;
  /** Of each entry: type, size, occupied bytes, mode, uid, gid, links. */
  readonly fields: Float64Array;
  /** Of each entry: mtime, ctime (ns), inode, device. */
  readonly bigFields: BigInt64Array;
  /** Times that do not fit there, by their place: file systems take some after the year 2262. */
  readonly wide: ReadonlyMap<number, bigint>;
  /** In order; a directory takes one entry. */
  readonly steps: readonly Step[];
  readonly warnings: readonly Warning[];
}

export class ScanBatchWriter {
  readonly #paths: string[] = [];
  readonly #fields: number[] = [];
  readonly #bigFields: bigint[] = [];
  #wide = new Map<number, bigint>();
  readonly #steps: Step[] = [];
  #warnings: Warning[] = [];

  get entries(): number {
    return this.#paths.length;
  }

  warn(warning: Warning): void {
    this.#warnings.push(warning);
  }

  add(step: FoundFiles | FoundDirectory): void {
    if (step.type === 'directory') {
      this.#entry(step.directory);
      this.#steps.push({ dumpdir: step.dumpdir });
      return;
    }
    for (const found of step.files) this.#entry(found);
    this.#steps.push({ files: step.files.length, last: step.last });
  }

  /** What was added since the last call. */
  take(): ScanBatch {
    const batch = {
      paths: this.#paths.join('\0'),
      fields: Float64Array.from(this.#fields),
      bigFields: BigInt64Array.from(this.#bigFields),
      wide: this.#wide,
      steps: [...this.#steps],
      warnings: this.#warnings,
    };
    this.#paths.length = 0;
    this.#fields.length = 0;
    this.#bigFields.length = 0;
    this.#wide = new Map();
    this.#steps.length = 0;
    this.#warnings = [];
    return batch;
  }

  #entry(found: Found): void {
    this.#paths.push(found.path);
    const { sizeBytes, occupiedBytes, mode, uid, gid, links } = found;
    this.#fields.push(TYPES.indexOf(found.type), sizeBytes, occupiedBytes, mode, uid, gid, links);
    const { mtimeNs, ctimeNs } = found;
    if (mtimeNs > MOST_NS) this.#wide.set(this.#bigFields.length, mtimeNs);
    if (ctimeNs > MOST_NS) this.#wide.set(this.#bigFields.length + 1, ctimeNs);
    this.#bigFields.push(mtimeNs, ctimeNs, BigInt.asIntN(64, found.inode), BigInt.asIntN(64, found.device));
  }
}

/** The steps again, as they were added. */
export function* stepsOf(batch: ScanBatch): Generator<FoundFiles | FoundDirectory> {
  const paths = batch.paths.split('\0');
  let at = 0;
  for (const step of batch.steps) {
    if ('dumpdir' in step) {
      const { dumpdir } = step;
      yield {
        type: 'directory',
        directory: foundAt(batch, paths, at++),
        dumpdir: dumpdir && Buffer.from(dumpdir.buffer, dumpdir.byteOffset, dumpdir.length),
      };
      continue;
    }
    const files: Found[] = [];
    for (const end = at + step.files; at < end; at++) files.push(foundAt(batch, paths, at));
    yield { type: 'files', files, last: step.last };
  }
}

function foundAt({ fields, bigFields, wide }: ScanBatch, paths: readonly string[], i: number): Found {
  const number = (field: number): number => fields[i * FIELDS + field] as number;
  const big = (field: number): bigint => bigFields[i * BIG_FIELDS + field] as bigint;
  const time = (field: number): bigint => (wide.size > 0 ? wide.get(i * BIG_FIELDS + field) : undefined) ?? big(field);
  return {
    type: TYPES[number(0)] as Found['type'],
    path: paths[i] as string,
    sizeBytes: number(1),
    occupiedBytes: number(2),
    mode: number(3),
    uid: number(4),
    gid: number(5),
    mtimeNs: time(0),
    ctimeNs: time(1),
    inode: BigInt.asUintN(64, big(2)),
    device: BigInt.asUintN(64, big(3)),
    links: number(6),
  };
}
