// What a drill truly read: every object on its way out of the vault is counted and hashed, whatever becomes of the restore that asked for it.
import { createHash } from 'node:crypto';
import { pipeline, type Readable, Transform } from 'node:stream';
import { asCoffreError } from '../../errors.ts';
import type { Vault } from '../../vault/vault.ts';
import type { DrilledObject, NamedObject, ObjectState } from './evidence.ts';

/** What came of the last time that an object was asked for. `sha256` null: it did not come to its end. */
interface Seen {
  missing: boolean;
  bytes: number;
  sha256: string | null;
}

/** Which versions came whole, and which ones are not there. Hashing costs a drill some 0.5 ms for each megabyte. */
export class Witness {
  readonly #seen = new Map<string, Seen>();

  /** The same vault; what is read of it is noted. */
  watch(vault: Vault): Vault {
    const get: Vault['get'] = async (key, versionId, signal) => {
      const seen: Seen = { missing: false, bytes: 0, sha256: null };
      this.#seen.set(nameOf(key, versionId), seen);
      try {
        return hashed(await vault.get(key, versionId, signal), seen);
      } catch (error) {
        // a restore that fails tells all that is under way, with its own error as the reason
        seen.missing = !signal?.aborted && asCoffreError(error).code === 'E_OBJECT_MISSING';
        throw error;
      }
    };
    return new Proxy(vault, {
      get(target, property) {
        if (property === 'get') return get;
        const value: unknown = Reflect.get(target, property, target);
        // its private fields are the vault's own
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  /** `named`: as a signed manifest names it. */
  stateOf({ key, versionId, bytes, sha256 }: NamedObject): ObjectState {
    const seen = this.#seen.get(nameOf(key, versionId));
    if (seen === undefined) return 'not-read';
    if (seen.missing) return 'missing';
    if (seen.bytes > bytes) return 'altered';
    if (seen.sha256 === null) return 'not-read';
    return seen.bytes === bytes && seen.sha256 === sha256 ? 'read' : 'altered';
  }

  told(named: readonly NamedObject[]): DrilledObject[] {
    return named.map((object) => ({ ...object, state: this.stateOf(object) }));
  }
}

const nameOf = (key: string, versionId: string): string => `${versionId} ${key}`;

/** The chunks go on as they are: whoever reads may empty them. */
function hashed(stored: Readable, seen: Seen): Readable {
  const hash = createHash('sha256');
  const through = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen.bytes += chunk.length;
      hash.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      seen.sha256 = hash.digest('hex');
      done();
    },
  });
  // what breaks either of them breaks both; whoever reads hears of it
  pipeline(stored, through, () => {});
  return through;
}
