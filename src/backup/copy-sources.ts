// Where a catch-up reads: the vaults that hold an object, nearest first, until one gives the bytes that were written.
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { Catalog } from '../catalog/open.ts';
import { type ObjectRow, objectsOf, recordDamagedObject } from '../catalog/snapshots.ts';
import type { VaultConfig } from '../config/config.ts';
import { asCoffreError, CoffreError, type ErrorCode } from '../errors.ts';
import { isCopysFault, isStreamed, type Problem } from '../restore/fetch.ts';
import { readStored } from '../segment/open.ts';
import type { Vault } from '../vault/vault.ts';
import type { OpenVault } from './admit.ts';
import type { MemoryShare } from './memory.ts';

/** Stored bytes as they are in every vault. */
export interface WantedObject {
  readonly key: string;
  readonly kind: 'segment' | 'index' | 'manifest' | 'key';
  /** Segment, snapshot or key id. */
  readonly refId: string;
  readonly storedBytes: number;
  /** Hex. */
  readonly storedSha256: string;
}

/** No vault gives what was written: nothing that the vault which is to get it could help. */
export class NoSoundCopy extends CoffreError {}

/** Each may have waited out a time limit: enough of them, and the vault is left to the next catch-up. */
const MOST_SILENCES = 8;

/** What a stream to another vault takes: the parts of its upload in flight. */
const STREAM_BYTES = 64 * 1024 * 1024;

export interface CopySourcesDeps {
  readonly catalog: Catalog;
  readonly openVault: OpenVault;
  /** Nearest first. */
  readonly vaults: readonly VaultConfig[];
  readonly memory: MemoryShare;
  readonly signal: AbortSignal;
  readonly onProblem: (problem: Problem) => void;
}

export class CopySources {
  readonly #deps: CopySourcesDeps;
  readonly #opened = new Map<string, Promise<Vault>>();
  /** Failures to answer in a row, and the last of them: such a vault is asked last, and in the end not any more. */
  readonly #silent = new Map<string, { readonly times: number; readonly failure: CoffreError }>();

  constructor(deps: CopySourcesDeps) {
    this.#deps = deps;
  }

  /**
   * Gives the object to `store` from the first vault, `target` aside, whose copy is what was written: a small one as a buffer that was
   * checked, a large one as a stream that fails at its end when it is not. A copy that is wrong is noted in the catalog and the next vault asked.
   * Throws NoSoundCopy with the first vault's code, and what `store` throws.
   */
  async give<T>(target: string, wanted: WantedObject, store: (body: Buffer | AsyncIterable<Uint8Array>) => Promise<T>): Promise<T> {
    const { catalog, onProblem, signal } = this.#deps;
    let first: CoffreError | null = null;
    for (const source of this.#order(target)) {
      const silent = this.#silent.get(source.name);
      if (silent && silent.times >= MOST_SILENCES) {
        first ??= silent.failure;
        continue;
      }
      const [row] = (await objectsOf(catalog, source.name, [wanted.refId], wanted.kind)).filter((row) => mayServe(row, wanted));
      if (!row) continue;
      try {
        const given = await this.#from(source, row, wanted, store);
        this.#silent.delete(source.name);
        return given;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof SourceFailure)) throw error;
        const { failure } = error;
        onProblem({ vault: source.name, key: row.key, code: failure.code, message: failure.message });
        first ??= failure;
        if (failure.exitStatus === DAMAGED_EXIT) await recordDamagedObject(catalog, row, failure.code);
        else this.#silent.set(source.name, { times: (silent?.times ?? 0) + 1, failure });
      }
    }
    const code: ErrorCode = first?.code ?? 'E_OBJECT_MISSING';
    throw new NoSoundCopy(
      code,
      first?.message ?? `${wanted.key}: no other vault holds it`,
      first ? { hint: first.hint, cause: first } : {},
    );
  }

  async close(): Promise<void> {
    for (const opening of this.#opened.values()) {
      const vault = await opening.catch(() => null);
      await vault?.close().catch(() => {});
    }
  }

  #order(target: string): readonly VaultConfig[] {
    const others = this.#deps.vaults.filter((vault) => vault.name !== target);
    return others.sort((a, b) => Number(this.#silent.has(a.name)) - Number(this.#silent.has(b.name)));
  }

  async #from<T>(
    source: VaultConfig,
    row: ObjectRow,
    wanted: WantedObject,
    store: (body: Buffer | AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<T> {
    const { memory, signal } = this.#deps;
    const what = `${source.name}: ${wanted.key}`;
    const streamed = isStreamed(wanted);
    const release = await memory.acquire(signal, streamed ? STREAM_BYTES : wanted.storedBytes);
    try {
      let stored: Readable;
      try {
        stored = await (await this.#open(source)).get(row.key, row.versionId as string, signal);
      } catch (error) {
        throw sourceFailure(error, what);
      }
      if (!streamed) {
        let body: Buffer;
        try {
          body = await readStored(stored, wanted, what, signal);
        } catch (error) {
          throw sourceFailure(error, what);
        }
        return await store(body);
      }
      let failed: unknown = null;
      try {
        return await store(checked(stored, wanted, what, (error) => (failed = sourceFailure(error, what))));
      } catch (error) {
        // whatever the other vault made of a stream that broke off: it broke off here
        throw failed ?? error;
      } finally {
        stored.destroy();
      }
    } finally {
      release();
    }
  }

  #open(config: VaultConfig): Promise<Vault> {
    let opening = this.#opened.get(config.name);
    if (!opening) {
      opening = this.#deps.openVault(config);
      this.#opened.set(config.name, opening);
    }
    return opening;
  }
}

/** Exit group of what was stored and is not what is there. */
const DAMAGED_EXIT = 6;

class SourceFailure extends Error {
  readonly failure: CoffreError;

  constructor(failure: CoffreError) {
    super(failure.message);
    this.failure = failure;
  }
}

/** The copy's own fault as a SourceFailure, anything else as it is. */
function sourceFailure(error: unknown, what: string): unknown {
  const failure = asCoffreError(error, 'E_VAULT_IO', what);
  return isCopysFault(failure) ? new SourceFailure(failure) : error;
}

function mayServe(row: ObjectRow, wanted: WantedObject): boolean {
  if (row.versionId === null || row.damage !== null || row.sizeBytes !== wanted.storedBytes) return false;
  return row.sha256 === null || row.sha256 === wanted.storedSha256;
}

/** Passes the stream on and fails at its end, before whoever takes it can have finished, when it was not what was written. */
async function* checked(
  stored: AsyncIterable<Uint8Array>,
  wanted: WantedObject,
  what: string,
  onFailure: (error: unknown) => void,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of stored) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      if (bytes > wanted.storedBytes) throw altered(what, `goes on after ${wanted.storedBytes} bytes`);
      yield chunk;
    }
    if (bytes !== wanted.storedBytes) throw altered(what, `ends after ${bytes} of ${wanted.storedBytes} bytes`);
    const actual = hash.digest('hex');
    if (actual !== wanted.storedSha256) throw altered(what, `SHA-256 is ${actual}, expected ${wanted.storedSha256}`);
  } catch (error) {
    onFailure(error);
    throw error;
  }
}

function altered(what: string, how: string): CoffreError {
  return new CoffreError('E_OBJECT_ALTERED', `${what}: ${how}`);
}
