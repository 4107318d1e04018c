// Extracts one tar through GNU tar, letting through only admitted and wanted members, under their wanted names and times.
import { CoffreError } from '../../errors.ts';
import { isDeep } from '../../host/deep-path.ts';
import { feed, startTar } from '../../host/gnu-tar.ts';
import { CAPABILITY_RECORD, type MemberType, type TarMember } from '../../host/tar-headers.ts';
import { type Aside, type MemberDecision, type Rewrite, TarMembers } from '../../host/tar-members.ts';
import { END_OF_ARCHIVE } from '../../host/ustar.ts';
import type { BytePath } from '../../source/source.ts';
import { modeWithoutPrivileges } from '../privileges.ts';
import type { Admission, WantedMember } from '../target.ts';
import { ChosenMembers } from './chosen-members.ts';
import { DeepLanding } from './deep-landing.ts';
import { complaintsOf, extractArguments, type Place } from './place.ts';
import { RemoteDeepLanding } from './remote-deep-landing.ts';

export interface Extracted {
  readonly path: BytePath;
  readonly type: MemberType;
}

export interface Extraction {
  readonly place: Place;
  /** null: every member. */
  readonly wanted: readonly WantedMember[] | null;
  /** Called before a batch of members is written. Throws E_FORMAT for what may not be. */
  readonly admit: (members: readonly Admission[]) => Promise<void> | void;
  /** What goes to tar before a member that comes out under these paths: whole members, for directories that it needs. */
  readonly ahead?: (paths: readonly BytePath[]) => Buffer | null;
  readonly signal: AbortSignal;
}

/**
 * Extracts; returns what came out, in order. Throws E_FORMAT for an archive that is not coffre's or lacks a wanted member,
 * E_TARGET_SPACE, E_TARGET_WRITE, E_TOOL_MISSING, what `plaintext` and `admit` throw, or the signal's reason.
 */
export async function extractTar(
  plaintext: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { place, wanted, admit, ahead, signal }: Extraction,
): Promise<readonly Extracted[]> {
  signal.throwIfAborted();
  const { host } = place;
  const extracted = new Map<BytePath, MemberType>();
  const walk = new MemberWalk(wanted, ahead, place);
  let deep: DeepLanding | RemoteDeepLanding | null = null;
  const checked = async function* (): AsyncGenerator<Uint8Array> {
    // Also what follows the end marker is read: the plaintext's own check comes with its end.
    for await (const chunk of plaintext) {
      signal.throwIfAborted();
      const admissible = walk.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      const batch = walk.takeAdmissions();
      for (const { path, type } of batch) extracted.set(path, type);
      if (batch.length > 0) await admit(batch);
      const aside = walk.takeAside();
      if (aside.length > 0) {
        deep ??= host.type === 'local' ? new DeepLanding(place, signal) : new RemoteDeepLanding(place, signal);
        await deep.add(aside);
      }
      yield* admissible;
    }
    walk.demandWhole();
    // before tar sets the times of directories
    await deep?.settle();
    yield END_OF_ARCHIVE;
  };
  const bytes = checked();
  try {
    // Started with the first bytes that it gets: an archive that is refused at once needs none.
    const first = await bytes.next();
    if (first.done) throw new CoffreError('E_INTERNAL', 'an archive without an end was taken for whole');
    await throughTar(place, resumed(first.value, bytes), signal);
    await (deep as DeepLanding | RemoteDeepLanding | null)?.finish();
  } finally {
    await (deep as DeepLanding | RemoteDeepLanding | null)?.close();
  }
  return [...extracted].map(([path, type]) => ({ path, type }));
}

async function throughTar(place: Place, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  const tar = startTar(place.host, extractArguments(place, true), signal);
  // Nobody reads it otherwise, and a full pipe would stop tar.
  tar.stdout.resume();
  try {
    await feed(tar.stdin, bytes);
    const exit = await tar.ended;
    signal.throwIfAborted();
    if (exit.status !== 0) throw complaintsOf(place.directory, exit.status, exit.complaints);
  } catch (error) {
    // Without its end marker tar would take a cut-off archive for a whole one: it must not see the end of its input.
    tar.kill();
    await tar.ended.catch(() => {});
    throw signal.aborted ? signal.reason : error;
  }
}

async function* resumed(first: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

/** The members of one archive as its bytes pass by: which come out, and what has to be asked before they may. */
export class MemberWalk {
  readonly #chosen: ChosenMembers | null;
  readonly #members: TarMembers;
  readonly #rootBytes: number;
  readonly #dropsPrivileges: boolean;
  /** Devices that were left out, and hard links to them. */
  readonly #devices = new Set<BytePath>();
  #admissions: Admission[] = [];
  #extended = false;
  #sawDeep = false;

  /** As `Extraction` has them. Members whose path is too long below the place's directory are kept apart. */
  constructor(
    wanted: readonly WantedMember[] | null,
    ahead: Extraction['ahead'],
    { directory, dropsPrivileges = false }: Pick<Place, 'directory' | 'dropsPrivileges'>,
  ) {
    this.#chosen = wanted && new ChosenMembers(wanted);
    this.#rootBytes = Buffer.byteLength(directory);
    this.#dropsPrivileges = dropsPrivileges;
    this.#members = new TarMembers({
      member: (member): MemberDecision => {
        const before = this.#admissions.length;
        const decision = this.#decide(member);
        if (this.#sawDeep) return this.#parted(decision, member);
        if (ahead === undefined || decision === 'drop') return decision;
        const needed = ahead(this.#admissions.slice(before).map(({ path }) => path));
        if (needed === null) return decision;
        return decision === 'pass' ? { ahead: needed } : { ...decision, ahead: needed };
      },
    });
  }

  /** Whether a member that comes out has extended attributes or an ACL. */
  get extended(): boolean {
    return this.#extended;
  }

  /** What tar gets of these bytes, once `takeAdmissions` was admitted; no end marker. Throws E_FORMAT. */
  push(chunk: Buffer): Buffer[] {
    return this.#members.push(chunk);
  }

  /** Of the bytes pushed last the members whose paths are too long for tar, as whole as they came. */
  takeAside(): Buffer[] {
    return this.#members.takeAside();
  }

  takeAdmissions(): readonly Admission[] {
    const admissions = this.#admissions;
    this.#admissions = [];
    return admissions;
  }

  /** Throws E_FORMAT when the archive did not end, or a wanted member did not come. */
  demandWhole(): void {
    if (!this.#members.ended) throw new CoffreError('E_FORMAT', 'tar: the archive has no end');
    this.#chosen?.demandAll();
  }

  #decide(member: TarMember): MemberDecision {
    if (!this.#dropsPrivileges) return this.#choose(member);
    if (member.type === 'device' || (member.type === 'hardlink' && this.#devices.has(member.linkPath))) {
      this.#devices.add(member.path);
      return 'drop';
    }
    const decision = this.#choose(member);
    const mode = modeWithoutPrivileges(member.type, member.mode);
    const dropsCapability = member.hasCapability;
    if (decision === 'drop' || (typeof decision === 'object' && 'aside' in decision)) return decision;
    if (mode === member.mode && !dropsCapability) return decision;
    const tame = { mode, dropRecords: [CAPABILITY_RECORD] };
    if (decision === 'pass') return tame;
    const again = decision.again?.map((other) => ({ ...other, ...tame }));
    return { ...decision, ...tame, ...(again ? { again } : {}) };
  }

  #choose(member: TarMember): Rewrite | 'pass' | 'drop' {
    if (this.#chosen) return this.#chosen.decide(member, this.#note, () => (this.#extended ||= member.extended));
    this.#extended ||= member.extended;
    this.#note(member, member.path, member.linkPath);
    return 'pass';
  }

  readonly #note = ({ type }: TarMember, path: BytePath, linkPath: BytePath): void => {
    this.#admissions.push({ type, path, linkPath });
    if (this.#isDeep(path) || (type === 'hardlink' && this.#isDeep(linkPath))) this.#sawDeep = true;
  };

  #isDeep(path: BytePath): boolean {
    return isDeep(this.#rootBytes, path);
  }

  /** Under each of its paths on the side where that belongs. */
  #parted(decision: MemberDecision, member: TarMember): Rewrite | Aside | 'drop' {
    this.#sawDeep = false;
    if (decision === 'drop' || (typeof decision === 'object' && 'aside' in decision)) return decision;
    const ways: readonly Rewrite[] = decision === 'pass' ? [{}] : [decision, ...(decision.again ?? [])];
    const belongsAside = ({ path = member.path, linkPath = member.linkPath }: Rewrite): boolean =>
      this.#isDeep(path) || (member.type === 'hardlink' && this.#isDeep(linkPath));
    const [one, ...more] = ways.filter(belongsAside);
    const [other, ...others] = ways.filter((way) => !belongsAside(way));
    const besides = other === undefined ? 'drop' : { ...other, again: others };
    return one === undefined ? besides : { aside: [one, ...more], besides };
  }
}
