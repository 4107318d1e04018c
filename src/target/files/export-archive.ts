// One plain archive of a shop: a tar with its files, its database as SQL, checksums and texts; beside under another name until it is whole.
import { createHash } from 'node:crypto';
import { link, lstat, open, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CoffreError } from '../../errors.ts';
import { END_OF_ARCHIVE, LARGEST_SIZE, padding, paxRecord, ustarHeader } from '../../host/ustar.ts';
import type { ExportedArchive, ExportOptions, ExportTarget } from '../export.ts';
import { FrameFile, writeFailure } from '../frame-file.ts';
import type { DatabaseTarget } from '../target.ts';
import { ExportFiles, sumLine } from './export-files.ts';

const FILES_PREFIX = 'files/';
const DATABASE_NAME = 'database.sql';
const SUMS_NAME = 'SHA256SUMS';
/** Anybody's own account gets it when it is unpacked. */
const MODE = 0o644;

/**
 * Throws E_TARGET_NOT_EMPTY when something has that name, E_TARGET_SPACE, E_TARGET_WRITE. What an earlier attempt left beside is replaced.
 * `makeDatabase`: a target that writes its statements into the file.
 */
export async function createExport(options: ExportOptions, makeDatabase: (sql: FrameFile) => DatabaseTarget): Promise<ExportTarget> {
  const { file } = options;
  if (await exists(file)) throw taken(file);
  const beside = (what: string): string => join(dirname(file), `.${basename(file)}.coffre-${what}`);
  const parts: FrameFile[] = [];
  try {
    parts.push(await FrameFile.create(beside('part'), file.endsWith('.zst')));
    parts.push(await FrameFile.create(beside('sums'), true));
    parts.push(await FrameFile.create(beside('sql'), true));
  } catch (error) {
    for (const part of parts) await part.discard();
    throw error;
  }
  const [archive, sums, sql] = parts as [FrameFile, FrameFile, FrameFile];
  return new ExportArchive(options, { archive, sums, sql }, makeDatabase(sql));
}

interface Parts {
  readonly archive: FrameFile;
  readonly sums: FrameFile;
  readonly sql: FrameFile;
}

class ExportArchive implements ExportTarget {
  readonly files: ExportFiles;
  readonly database: DatabaseTarget;
  readonly #options: ExportOptions;
  readonly #parts: Parts;
  #closed = false;

  constructor(options: ExportOptions, parts: Parts, database: DatabaseTarget) {
    this.#options = options;
    this.#parts = parts;
    this.files = new ExportFiles(parts.archive, parts.sums, FILES_PREFIX);
    this.database = database;
  }

  async addText(name: string, text: string): Promise<void> {
    const bytes = Buffer.from(text);
    await this.#addMember(name, bytes.length, [bytes]);
  }

  async finish({ database }: { readonly files: boolean; readonly database: boolean }): Promise<ExportedArchive> {
    const { archive, sums, sql } = this.#parts;
    await sql.mark();
    if (database) await this.#addMember(DATABASE_NAME, sql.plainBytes, sql.read());
    await sums.mark();
    // not a line of itself
    await this.#addHeader(SUMS_NAME, sums.plainBytes);
    for await (const chunk of sums.read()) await archive.write(chunk);
    await archive.write(padding(sums.plainBytes));
    await archive.write(END_OF_ARCHIVE);
    await archive.sync();
    const { file } = this.#options;
    try {
      // never over what has come there meanwhile
      await link(archive.path, file);
      await unlink(archive.path);
      const folder = await open(dirname(file));
      await folder.sync().finally(() => folder.close());
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw taken(file);
      throw writeFailure(file, error);
    }
    return { sizeBytes: archive.fileBytes, files: this.files.files, sqlBytes: sql.plainBytes };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const part of Object.values(this.#parts)) await part.discard();
  }

  async #addMember(name: string, sizeBytes: number, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    await this.#addHeader(name, sizeBytes);
    const hash = createHash('sha256');
    let added = 0;
    for await (const chunk of content) {
      hash.update(chunk);
      added += chunk.length;
      await this.#parts.archive.write(chunk);
    }
    if (added !== sizeBytes) throw new CoffreError('E_INTERNAL', `${name} has ${added} bytes in the export, ${sizeBytes} were announced`);
    await this.#parts.archive.write(padding(sizeBytes));
    await this.#parts.sums.write(sumLine(hash.digest('hex'), name));
  }

  async #addHeader(name: string, sizeBytes: number): Promise<void> {
    const { madeAtS: seconds } = this.#options;
    if (sizeBytes > LARGEST_SIZE) {
      const records = Buffer.from(paxRecord('size', String(sizeBytes)));
      await this.#parts.archive.write(
        ustarHeader({ name: 'PaxHeaders/export', flag: 'x', mode: MODE, sizeBytes: records.length, seconds }),
      );
      await this.#parts.archive.write(records);
      await this.#parts.archive.write(padding(records.length));
    }
    await this.#parts.archive.write(ustarHeader({ name, flag: '0', mode: MODE, sizeBytes: Math.min(sizeBytes, LARGEST_SIZE), seconds }));
  }
}

const taken = (file: string): CoffreError =>
  new CoffreError('E_TARGET_NOT_EMPTY', `${file} is there already`, { hint: 'an export never replaces a file: give another name' });

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw writeFailure(path, error);
  }
}
