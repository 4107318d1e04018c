// A small tree of a shop: enough for a few segments, and on request a file that is too large for one.
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface TreeOptions {
  /** Directories with files of their own; their content is random, so that nothing compresses away. */
  readonly directories?: number;
  readonly filesEach?: number;
  readonly fileBytes?: number;
  /** Adds `var/backup.bin` of this size: more than LARGE_PART_BYTES is streamed, on S3 as a multipart upload. */
  readonly largeBytes?: number;
}

/** Writes it, or writes it anew. The few hundred kilobytes of the defaults fit one segment. */
export function writeTree(root: string, { directories = 3, filesEach = 4, fileBytes = 20_000, largeBytes }: TreeOptions = {}): void {
  for (let directory = 0; directory < directories; directory++) {
    const path = join(root, 'img/p', String(directory));
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < filesEach; file++) writeFileSync(join(path, `${file}.jpg`), randomBytes(fileBytes));
  }
  writeFileSync(join(root, '.htaccess'), 'deny from all\n');
  if (largeBytes === undefined) return;
  mkdirSync(join(root, 'var'), { recursive: true });
  writeFileSync(join(root, 'var/backup.bin'), randomBytes(largeBytes));
}
