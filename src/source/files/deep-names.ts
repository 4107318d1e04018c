// Has GNU tar pack paths that are too long for an argument: it changes directory on the way, and its members get their own names back.
import { part, stepsTo } from '../../host/deep-path.ts';
import type { BytePath, Complaint } from '../../host/gnu-tar.ts';
import type { TarMember } from '../../host/tar-headers.ts';
import type { MemberDecision } from '../../host/tar-members.ts';

/**
 * Behind which of the directories a name stands is written before it, a digit at a time: `./` is 0, `.//` is 1. tar keeps both as they are, in
 * members and in what it says.
 */
const DIGITS = 20;
const NAME = new RegExp(`^((?:\\.//?){${DIGITS}})(.*)$`, 's');

/** To be used for one run of tar, in a list that it does not read verbatim. */
export class DeepNames {
  readonly #root: string;
  readonly #numbers = new Map<BytePath, number>();
  readonly #directories: BytePath[] = [];

  constructor(root: string) {
    this.#root = Buffer.from(root).toString('latin1');
  }

  /** The list for `paths`, a NUL after each item, in their order. */
  *list(paths: Iterable<BytePath>): Generator<Buffer> {
    let current: BytePath | null = null;
    for (const path of paths) {
      const { directory, rest } = part(path);
      let text = '';
      if (directory !== current) for (const step of [this.#root, ...stepsTo(directory)]) text += changeTo(step);
      current = directory;
      yield Buffer.from(`${text}${this.#prefix(directory)}${rest}\0`, 'latin1');
    }
  }

  member(member: TarMember): TarMember {
    const { path, linkPath } = member;
    return { ...member, path: this.#path(path), linkPath: member.type === 'hardlink' ? this.#path(linkPath) : linkPath };
  }

  /** What becomes of a member, in its own name; `member` is what `member` gave. */
  decision(decision: MemberDecision, { type, path, linkPath }: TarMember): MemberDecision {
    if (decision === 'drop') return 'drop';
    return { ...(decision === 'pass' ? {} : decision), path, ...(type === 'hardlink' ? { linkPath } : {}) };
  }

  complaint({ path, message }: Complaint): Complaint {
    return { path: path === null ? null : this.#path(path), message };
  }

  #prefix(directory: BytePath): string {
    let number = this.#numbers.get(directory);
    if (number === undefined) {
      number = this.#directories.push(directory) - 1;
      this.#numbers.set(directory, number);
    }
    return [...number.toString(2).padStart(DIGITS, '0')].map((digit) => (digit === '0' ? './' : './/')).join('');
  }

  /** The path as it is when it is no name of ours. */
  #path(name: string): BytePath {
    const [, digits = '', rest = ''] = NAME.exec(name) ?? [];
    if (digits === '') return name;
    const number = Number.parseInt(
      digits.replace(/\.(\/\/?)/g, (_, slashes: string) => String(slashes.length - 1)),
      2,
    );
    const directory = this.#directories[number];
    return directory === undefined || directory === '.' ? rest : `${directory}/${rest}`;
  }
}

/** tar takes such an item apart as a shell would. */
function changeTo(directory: BytePath): string {
  const escaped = directory.replace(/[^A-Za-z0-9/._-]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
  return `-C"${escaped}"\0`;
}
