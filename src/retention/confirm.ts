// Whether what a store said that it deleted is gone: one listing answers for many deletions, and a direct question for what it still shows.
import { uploadId } from '../billing/entries.ts';
import { inParallel } from '../vault/in-parallel.ts';
import type { Lock, Vault } from '../vault/vault.ts';
import type { PlanObject } from './plan.ts';

/** So few in one folder are listed each by its own key: they may lie far apart, with all of a large shop between them. */
const FEW = 4;
const ASKS_IN_FLIGHT = 8;

/**
 * Of what was deleted, and uploads that were aborted, what the vault still has, with its lock. Throws what the vault throws, and the
 * signal's reason.
 */
export async function stillThere(
  vault: Vault,
  deleted: readonly PlanObject[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<PlanObject, Lock | null>> {
  const found = new Map<PlanObject, Lock | null>();
  const listed: PlanObject[] = [];
  const uploads = deleted.filter((object) => object.kind === 'upload');
  const versions = deleted.filter((object) => object.kind !== 'upload');
  for (const { prefix, objects } of listings(versions)) {
    const byName = new Map(objects.map((object) => [nameOf(object.key, object.versionId), object]));
    for await (const { key, versionId } of vault.listVersions(prefix)) {
      signal?.throwIfAborted();
      const object = byName.get(nameOf(key, versionId));
      if (object) listed.push(object);
    }
  }
  // a listing may lag behind
  await inParallel(listed, ASKS_IN_FLIGHT, async (object) => {
    signal?.throwIfAborted();
    const there = await vault.stat(object.key, object.versionId);
    if (there !== null) found.set(object, there.lock);
  });
  for (const { prefix, objects } of listings(uploads)) {
    const byName = new Map(objects.map((object) => [nameOf(object.key, uploadId(object.versionId)), object]));
    for await (const upload of vault.listUploads(prefix)) {
      signal?.throwIfAborted();
      const object = byName.get(nameOf(upload.key, upload.uploadId));
      if (object) found.set(object, null);
    }
  }
  return found;
}

/** What to list so that everything is in it and little else: of each folder what its keys begin with. Ids begin with their time. Pure. */
export function listings(objects: readonly PlanObject[]): { readonly prefix: string; readonly objects: readonly PlanObject[] }[] {
  const folders = Map.groupBy(objects, ({ key }) => key.slice(0, key.lastIndexOf('/') + 1));
  return [...folders.values()].flatMap((within) => {
    if (within.length <= FEW) return within.map((object) => ({ prefix: object.key, objects: [object] }));
    return [{ prefix: within.map(({ key }) => key).reduce(commonBeginning), objects: within }];
  });
}

function commonBeginning(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return a.slice(0, length);
}

const nameOf = (key: string, versionId: string): string => `${key}\0${versionId}`;
