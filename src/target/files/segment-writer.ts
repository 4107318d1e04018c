// What another thread than the target's uses to extract segments into it: the module that ThreadedTarget names.
import type { Host } from '../../host/host.ts';
import type { Admission, OpenWriter, SegmentWriter, WantedMember } from '../target.ts';
import { DeepLanding } from './deep-landing.ts';
import { extractTar, MemberWalk } from './extract.ts';
import { LongTar } from './long-tar.ts';
import { oneOfEachDirectory } from './member-guard.ts';
import type { Place } from './place.ts';

export interface WriterData {
  readonly directory: string;
  /** Exports `localHost`. */
  readonly hostModule: string;
  /** As Place has it. */
  readonly dropsPrivileges: boolean;
}

type Admit = (members: readonly Admission[]) => Promise<void>;

export const openWriter: OpenWriter = async (data) => {
  const { directory, hostModule, dropsPrivileges } = data as WriterData;
  const { localHost } = (await import(hostModule)) as { localHost: Host };
  return new TarWriter({ host: localHost, directory, dropsPrivileges });
};

class TarWriter implements SegmentWriter {
  readonly #place: Place;
  /** Of members without extended attributes and ACLs, and of those with some: most trees need no more than the first. */
  readonly #tars: { plain: LongTar | null; extended: LongTar | null };

  /** Starts the first tar at once, while the process is small. */
  constructor(place: Place) {
    this.#place = place;
    this.#tars = { plain: new LongTar(place, false), extended: null };
  }

  async extractWhole(plaintext: Buffer, wanted: readonly WantedMember[] | null, admit: Admit, signal: AbortSignal): Promise<void> {
    const walk = new MemberWalk(wanted, undefined, this.#place);
    const members = walk.push(plaintext);
    const aside = walk.takeAside();
    // A tar that goes on with the next archive must not get half of this one.
    walk.demandWhole();
    const admissions = oneOfEachDirectory(walk.takeAdmissions());
    if (admissions.length > 0) await admit(admissions);
    const kind = walk.extended ? 'extended' : 'plain';
    const tar = this.#tars[kind] ?? new LongTar(this.#place, walk.extended);
    this.#tars[kind] = tar;
    await tar.add(members, signal);
    // Soon, not at the very end: a full disk is news. Its status tells a complaint from a warning.
    if (tar.complained) await this.#end(kind, signal);
    if (aside.length > 0) await this.#landAside(aside, signal);
  }

  async extract(
    plaintext: AsyncIterable<Uint8Array>,
    wanted: readonly WantedMember[] | null,
    admit: Admit,
    signal: AbortSignal,
  ): Promise<void> {
    await extractTar(plaintext, { place: this.#place, wanted, admit, signal });
  }

  async finish(signal: AbortSignal): Promise<void> {
    await this.#end('plain', signal);
    await this.#end('extended', signal);
  }

  async close(): Promise<void> {
    await Promise.all([this.#tars.plain?.kill(), this.#tars.extended?.kill()]);
  }

  /** Members too deep for tar; their hard links may lead to what it is writing. */
  async #landAside(aside: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
    const deep = new DeepLanding(this.#place, signal);
    try {
      await deep.add(aside);
      await this.finish(signal);
      await deep.finish();
    } finally {
      await deep.close();
    }
  }

  async #end(kind: 'plain' | 'extended', signal: AbortSignal): Promise<void> {
    await this.#tars[kind]?.end(signal);
    this.#tars[kind] = null;
  }
}
