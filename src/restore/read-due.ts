// Reads what is due to be read in a shop's vaults and compares it with what was written: the daemon's part of verification.
import { createHash } from 'node:crypto';
import { audit } from '../catalog/audit.ts';
import { recordDamageFound } from '../catalog/damage.ts';
import type { Catalog } from '../catalog/open.ts';
import { type ReadableObject, readableObjects, readingSummary } from '../catalog/reading.ts';
import { finishRun, startRun } from '../catalog/runs.ts';
import { recordDamagedObject, recordSoundObject } from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError, type ErrorCode } from '../errors.ts';
import { newId } from '../segment/id.ts';
import type { Vault } from '../vault/vault.ts';
import { dueToRead, isAnyDue, pieceOf } from './read-share.ts';

export interface ReadDueDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** By its configured name. */
  readonly openVault: (name: string) => Promise<Vault>;
}

export interface ReadDueRequest {
  readonly shop: string;
  readonly vaults: readonly string[];
  /** Everything is to be read once within this time. */
  readonly withinMs: number;
  /** For the audit log. */
  readonly who: string;
  /** Of the run that is queued for this; a new one when left out. */
  readonly runId?: string | undefined;
  readonly signal: AbortSignal;
}

export interface ReadDueResult {
  readonly shop: string;
  readonly objects: number;
  readonly bytes: number;
  /** What is not what was written, or gone. */
  readonly damaged: readonly { readonly vault: string; readonly key: string; readonly code: string; readonly message: string }[];
  /** Vaults that could not be read. */
  readonly errors: readonly { readonly vault: string; readonly code: string; readonly message: string; readonly hint: string }[];
}

const DAMAGE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['E_OBJECT_ALTERED', 'E_OBJECT_MISSING']);

/** Whether anything is due. */
export async function isReadingDue(catalog: Catalog, nowMs: number, request: Pick<ReadDueRequest, 'shop' | 'vaults' | 'withinMs'>) {
  for (const vault of request.vaults) {
    const summary = await readingSummary(catalog, vault, request.shop, { sinceMs: nowMs - pieceOf(request.withinMs), nowMs });
    if (isAnyDue(summary, nowMs, request.withinMs)) return true;
  }
  return false;
}

/**
 * Reads what is due, oldest first. Each object read is written down at once, so a run that is cut off is taken up where it was. Damage is
 * noted on the object and on every copy that needs it, and stands in the audit: a catch-up mends it. Throws the signal's reason.
 */
export async function readDue(deps: ReadDueDeps, request: ReadDueRequest): Promise<ReadDueResult> {
  const { catalog, clock, openVault } = deps;
  const { shop, signal, withinMs, who } = request;
  const runId = request.runId ?? newId(clock);
  await startRun(catalog, clock, { id: runId, kind: 'verify', shop, source: null, who });
  const damaged: { vault: string; key: string; code: string; message: string }[] = [];
  const errors: { vault: string; code: string; message: string; hint: string }[] = [];
  let [objects, bytes] = [0, 0];
  try {
    for (const name of request.vaults) {
      signal.throwIfAborted();
      const due = dueToRead(await readableObjects(catalog, name, shop), clock.nowMs(), withinMs);
      if (due.length === 0) continue;
      let vault: Vault | null = null;
      try {
        vault = await openVault(name);
        for (const object of due) {
          signal.throwIfAborted();
          try {
            await readObject(vault, object, signal);
            await recordSoundObject(catalog, object.id, clock.nowMs());
            objects++;
            bytes += object.sizeBytes;
          } catch (error) {
            signal.throwIfAborted();
            const { code, message } = asCoffreError(error, 'E_VAULT_IO', name);
            if (!DAMAGE.has(code)) throw error;
            // pruned, or stored anew, while it was being read
            if (!(await isStored(catalog, object.id))) continue;
            await recordDamagedObject(catalog, object, code);
            const { key, sizeBytes, versionId } = object;
            const found = [{ key, versionId, sizeBytes, code, detail: message }];
            await recordDamageFound(catalog, clock, { vault: name, shop, objects: found, who });
            await audit(catalog, clock, { who, what: 'verify', shop, detail: { vault: name, key: object.key, code, message } });
            damaged.push({ vault: name, key: object.key, code, message });
          }
        }
      } catch (error) {
        signal.throwIfAborted();
        const { code, message, hint } = asCoffreError(error, 'E_VAULT_IO', name);
        errors.push({ vault: name, code, message, hint });
      } finally {
        await vault?.close().catch(() => {});
      }
    }
    const result = { shop, objects, bytes, damaged, errors };
    const failure = readShortfall(result);
    await finishRun(catalog, clock, runId, failure ? 'failed' : 'done', failure, result);
    return result;
  } catch (error) {
    const failure = asCoffreError(error);
    await finishRun(catalog, clock, runId, 'failed', failure);
    throw failure;
  }
}

/** The first damage, else why a vault could not be read, else null. */
export function readShortfall({ shop, damaged, errors }: ReadDueResult): CoffreError | null {
  const [first] = damaged;
  if (first) {
    const more = damaged.length > 1 ? `, and ${damaged.length - 1} more` : '';
    return new CoffreError(first.code as 'E_OBJECT_ALTERED', `${shop}: ${first.message}${more}`);
  }
  const [error] = errors;
  return error ? new CoffreError(error.code as 'E_VAULT_IO', `${shop}: ${error.message}`, { hint: error.hint }) : null;
}

async function readObject(vault: Vault, object: ReadableObject, signal: AbortSignal): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of await vault.get(object.key, object.versionId, signal)) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  const actual = hash.digest('hex');
  if (bytes === object.sizeBytes && actual === object.sha256) return;
  throw new CoffreError(
    'E_OBJECT_ALTERED',
    `${vault.name}: ${object.key}: SHA-256 of ${bytes} stored bytes is ${actual}, expected ${object.sha256}`,
  );
}

async function isStored(catalog: Catalog, id: number): Promise<boolean> {
  const row = await catalog.db.selectFrom('objects').select('state').where('id', '=', id).executeTakeFirst();
  return row?.state === 'stored';
}
