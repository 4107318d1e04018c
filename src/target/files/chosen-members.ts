// Which members of a segment come out, and under which paths: a moved file keeps its place in its segment.
import { CoffreError } from '../../errors.ts';
import { printable } from '../../host/gnu-tar.ts';
import type { TarMember } from '../../host/tar-headers.ts';
import type { Rewrite } from '../../host/tar-members.ts';
import type { BytePath } from '../../source/source.ts';
import type { MovedMember, WantedMember } from '../target.ts';

export class ChosenMembers {
  /** By the name that the segment has; null: it is wanted as it is. */
  readonly #wanted = new Map<BytePath, (MovedMember | null)[]>();
  readonly #unseen: Set<BytePath>;

  constructor(wanted: readonly WantedMember[]) {
    for (const one of wanted) {
      const member = typeof one === 'string' ? one : one.member;
      const list = this.#wanted.get(member) ?? [];
      // a carrier may be asked for by itself and by each of its links
      if (typeof one !== 'string') list.push(one);
      else if (!list.includes(null)) list.unshift(null);
      this.#wanted.set(member, list);
    }
    this.#unseen = new Set(this.#wanted.keys());
  }

  /** `note` hears every path under which it comes out. A member that occurs twice is wanted twice: its last version stays. */
  decide(
    member: TarMember,
    note: (member: TarMember, path: BytePath, linkPath: BytePath) => void,
    onWanted: () => void,
  ): Rewrite | 'pass' | 'drop' {
    const ways = this.#wanted.get(member.path);
    if (!ways) return 'drop';
    this.#unseen.delete(member.path);
    onWanted();
    const linkPath = member.type === 'hardlink' ? this.#carrierOf(member.linkPath) : member.linkPath;
    const rewrites = ways.map((moved): Rewrite => {
      note(member, moved?.path ?? member.path, linkPath);
      return {
        ...(moved ? { path: moved.path, mtimeNs: moved.mtimeNs } : {}),
        ...(linkPath === member.linkPath ? {} : { linkPath }),
      };
    });
    const [first, ...again] = rewrites;
    if (again.length === 0 && ways[0] === null && linkPath === member.linkPath) return 'pass';
    return { ...first, again };
  }

  /** Throws E_FORMAT when a wanted member did not come. */
  demandAll(): void {
    for (const path of this.#unseen) throw new CoffreError('E_FORMAT', `tar: member ${printable(path)} is missing from its segment`);
  }

  /** Where the content of a link's carrier lies by now; as it was when nobody said otherwise. */
  #carrierOf(linkPath: BytePath): BytePath {
    const ways = this.#wanted.get(linkPath);
    return ways?.[0]?.path ?? linkPath;
  }
}
