// Puts one object into one vault with the ledger kept exact: intent, PUT, read-back, acknowledgement; retries with jitter.

import type { Temporal } from 'temporal-polyfill';
import type { Intent } from '../billing/entries.ts';
import type { Ledger } from '../billing/ledger.ts';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError } from '../errors.ts';
import { backoffMs, WRITE_RETRY } from '../vault/retry.ts';
import type { HeldBack } from '../vault/throttle.ts';
import type { PutStreamRequest, StoredObject, Vault } from '../vault/vault.ts';

export interface StoreRequest {
  readonly shop: string;
  readonly key: string;
  readonly kind: 'segment' | 'index' | 'manifest' | 'key' | 'state';
  readonly refId: string;
  /** null: of no run. */
  readonly runId: string | null;
  /** Hex SHA-256 of the stored bytes. */
  readonly sha256: string;
  readonly retainUntil: Temporal.Instant;
  readonly signal: AbortSignal;
  /** Told how long limits.bandwidth held it back. */
  readonly held?: HeldBack;
  /** As of Vault.put. */
  readonly replace?: boolean;
}

/** A version in a vault together with its row in the catalog. */
export interface Stored {
  readonly objectId: number;
  readonly object: StoredObject;
}

/**
 * Stores a whole object. Each attempt has an intent row of its own: when its outcome stays unknown (time-out, cut
 * connection) the row is left for `resolveIntents`, marked a stray, so that a version that landed after all is metered
 * and later pruned, never taken for this one.
 * Throws the last attempt's CoffreError.
 */
export async function storeObject(ledger: Ledger, clock: Clock, vault: Vault, request: StoreRequest, body: Buffer): Promise<Stored> {
  for (let attempt = 1; ; attempt++) {
    request.signal.throwIfAborted();
    const objectId = await ledger.intent(intentOf(vault, request, body.length));
    try {
      const { key, sha256, retainUntil, signal, held, replace = false } = request;
      const object = await vault.put({ key, body, retainUntil, signal, replace, digests: { sha256 }, ...(held ? { held } : {}) });
      requireSize(vault, object, body.length);
      await ledger.stored(objectId, object, request.sha256);
      return { objectId, object };
    } catch (error) {
      const failure = asCoffreError(error, 'E_VAULT_IO', `${vault.name}: put ${request.key}`);
      await ledger.abandon(objectId);
      if (attempt >= WRITE_RETRY.attempts || failure.retry !== 'backoff' || request.signal.aborted) throw failure;
      await clock.sleep(backoffMs(WRITE_RETRY, attempt + 1), request.signal);
    }
  }
}

/**
 * Stores a stream whose length is not known: parts are metered as they are acknowledged. Not retried as a whole, since
 * a stream can be read once only (the vault retries single parts); a failed upload is aborted and its parts released.
 */
export async function storeStream(
  ledger: Ledger,
  vault: Vault,
  request: Omit<StoreRequest, 'sha256'>,
  body: PutStreamRequest['body'],
  estimatedBytes: number,
  facts: () => { readonly storedBytes: number; readonly storedSha256: string },
): Promise<Stored> {
  const objectId = await ledger.intent(intentOf(vault, request, estimatedBytes));
  let upload: string | null = null;
  try {
    const object = await vault.putStream({
      key: request.key,
      body,
      estimatedBytes,
      retainUntil: request.retainUntil,
      signal: request.signal,
      ...(request.held ? { held: request.held } : {}),
      ...(request.replace ? { replace: true } : {}),
      onUpload: async (uploadId) => {
        upload = uploadId;
      },
      onParts: async (storedPartBytes) => {
        if (upload !== null) await ledger.partsStored(objectId, upload, storedPartBytes);
      },
    });
    const { storedBytes, storedSha256 } = facts();
    requireSize(vault, object, storedBytes);
    if (upload === null) await ledger.stored(objectId, object, storedSha256);
    else await ledger.uploadCompleted(objectId, upload, object, storedSha256);
    return { objectId, object };
  } catch (error) {
    await ledger.abandon(objectId);
    throw asCoffreError(error, 'E_VAULT_IO', `${vault.name}: put ${request.key}`);
  }
}

function intentOf(vault: Vault, { shop, key, kind, refId, runId }: Omit<StoreRequest, 'sha256'>, expectedBytes: number): Intent {
  return { vault: vault.name, shop, key, kind, refId, runId, expectedBytes };
}

function requireSize(vault: Vault, object: StoredObject, expectedBytes: number): void {
  if (object.sizeBytes !== expectedBytes) {
    throw new CoffreError(
      'E_OBJECT_ALTERED',
      `${vault.name}: ${object.key} version ${object.versionId} holds ${object.sizeBytes} bytes, ${expectedBytes} were sent`,
    );
  }
}
