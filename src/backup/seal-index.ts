// The finished index, sealed once into a file, so that every vault gets the same bytes and none needs it in memory.
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { SealedFacts } from '../segment/manifest-types.ts';
import { sealStream } from '../segment/seal.ts';
import type { SealTo } from './store-part.ts';

/** Reads the journal and writes `index.sealed` beside it. */
export async function sealIndex(
  journal: string,
  folder: string,
  to: SealTo,
  signal: AbortSignal,
): Promise<{ readonly sealedPath: string; readonly facts: SealedFacts }> {
  const sealedPath = join(folder, 'index.sealed');
  const sealing = sealStream(createReadStream(journal), { recipients: to, signal });
  const file = await open(sealedPath, 'w', 0o600);
  try {
    for await (const chunk of sealing.stored) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
  return { sealedPath, facts: sealing.facts() };
}
