// What another thread than the target's uses to extract segments into it: the module that ThreadedTarget names.
import type { Host } from '../../host/host.ts';
import type { OpenWriter } from '../target.ts';
import { extractTar } from './extract.ts';

export interface WriterData {
  readonly directory: string;
  /** Exports `localHost`. */
  readonly hostModule: string;
}

export const openWriter: OpenWriter = async (data) => {
  const { directory, hostModule } = data as WriterData;
  const { localHost } = (await import(hostModule)) as { localHost: Host };
  return {
    extract: async (plaintext, wanted, admit, signal) => {
      const whole = Symbol.iterator in plaintext;
      await extractTar(plaintext, { place: { host: localHost, directory }, wanted, admit, whole, signal });
    },
  };
};
