// The finished index, compressed once: into our own copy, and sealed into a file, so that every vault gets the same bytes.
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { readJournal, writeWhole } from '../segment/index-file.ts';
import type { SealedFacts } from '../segment/manifest-types.ts';
import { sealStream } from '../segment/seal.ts';
import type { SealTo } from './store-part.ts';

/** Reads the journal and writes `index.sealed` into `folder`, and `indexCopy` (`.ndjson.zst`), which is whole when this returns. */
export async function sealIndex(
  journal: string,
  indexCopy: string,
  folder: string,
  to: SealTo,
  signal: AbortSignal,
): Promise<{ readonly sealedPath: string; readonly facts: SealedFacts }> {
  const sealedPath = join(folder, 'index.sealed');
  return await writeWhole(indexCopy, async (append) => {
    const sealing = sealStream(readJournal(journal), { recipients: to, signal, onCompressed: append });
    const file = await open(sealedPath, 'w', 0o600);
    try {
      for await (const chunk of sealing.stored) await file.writeFile(chunk);
    } finally {
      await file.close();
    }
    return { sealedPath, facts: sealing.facts() };
  });
}
