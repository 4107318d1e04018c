// Walks the members of a pax archive as its bytes pass by, and decides for each whether it passes, is left out or gets records added.

import { checkSum, damaged, describe, type HeaderChanges, isZero, octal, parseRecords, rewritten, type TarMember } from './tar-headers.ts';
import { BLOCK_BYTES } from './ustar.ts';

/** Changes to a member's headers, and what comes out beside it. */
export interface Rewrite extends HeaderChanges {
  /** Whole members that come out before it. With nothing else, it comes out as it is. */
  readonly ahead?: Buffer;
  /** It comes out once more for each of these, whose own `again` does not count. Its content is held in memory for that. */
  readonly again?: readonly Rewrite[];
}

/** The member is kept apart, for `takeAside`. */
export interface Aside {
  /** It comes out there once for each of these, at least one; with more than one its content is held in memory for that. */
  readonly aside: readonly [Rewrite, ...Rewrite[]];
  /** What becomes of it otherwise. */
  readonly besides: Rewrite | 'drop';
}

/** `pass` lets the member through as it is, `drop` leaves it out. */
export type MemberDecision = 'pass' | 'drop' | Rewrite | Aside;

export interface TarVisitor {
  member(member: TarMember): MemberDecision;
  /** The stored bytes of the member announced last, in order. Called for dropped members too. */
  data?(bytes: Buffer): void;
  /** After the last stored byte of the member announced last. */
  memberEnd?(): void;
}

/** What an extended header may hold: the largest are lists of a directory's names. Beyond this it is no archive of ours. */
const LONGEST_RECORDS_BYTES = 64 * 1024 * 1024;

/** Feed it an archive's bytes; `push` returns what is to be passed on, without the end marker and the padding behind it. */
export class TarMembers {
  readonly #visitor: TarVisitor;
  #state: 'header' | 'records' | 'data' | 'end' = 'header';
  /** Header or records being gathered, when they span chunks or need to be looked at as one. */
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  #recordsBytes = 0;
  #records: Map<string, Buffer> | null = null;
  /** Raw bytes of the member's headers that came in earlier chunks: not yet passed on, as its decision is still open. */
  #held: Buffer[] = [];
  #open = false;
  #dropping = false;
  /** Headers under which the open member comes again, and its content so far; null: it does not. */
  #again: { readonly headers: readonly Buffer[][]; readonly content: Buffer[] } | null = null;
  /** Members kept apart, and whether the open one is among them. */
  #aside: Buffer[] = [];
  #isAside = false;
  #asideAgain: { readonly headers: readonly Buffer[][]; readonly content: Buffer[] } | null = null;
  #dataLeft = 0;
  #paddingLeft = 0;

  constructor(visitor: TarVisitor) {
    this.#visitor = visitor;
  }

  /** True once the end marker was seen. */
  get ended(): boolean {
    return this.#state === 'end';
  }

  /** What was kept apart of the bytes pushed since the last call: like what `push` returns, only valid as long as they are. */
  takeAside(): Buffer[] {
    const aside = this.#aside;
    this.#aside = [];
    return aside;
  }

  /** What still has to follow what was passed on, for the archive to be whole up to there. */
  get owedBytes(): number {
    return this.#state === 'data' && !this.#dropping ? this.#dataLeft + this.#paddingLeft : 0;
  }

  /** Throws E_FORMAT at anything that is not a pax archive as coffre writes it. */
  push(chunk: Buffer): Buffer[] {
    const out: Buffer[] = [];
    /** From here on nothing of this chunk was passed on or dropped. */
    let keepFrom = 0;
    /** Where the open member's headers began in this chunk. */
    let memberFrom = 0;
    let at = 0;
    const emit = (end: number): void => {
      if (end > keepFrom) out.push(chunk.subarray(keepFrom, end));
      keepFrom = end;
    };
    const endMember = (): void => {
      this.#state = 'header';
      this.#visitor.memberEnd?.();
      if (this.#dropping) {
        this.#dropping = false;
        keepFrom = at;
      }
      if (this.#isAside) {
        for (const headers of this.#asideAgain?.headers ?? []) this.#aside.push(...headers, ...(this.#asideAgain?.content ?? []));
        this.#asideAgain = null;
        this.#isAside = false;
      }
      if (this.#again === null) return;
      emit(at);
      for (const headers of this.#again.headers) out.push(...headers, ...this.#again.content);
      this.#again = null;
    };
    while (at < chunk.length) {
      if (this.#state === 'end') {
        return out;
      }
      if (this.#state === 'data') {
        const from = at;
        if (this.#dataLeft > 0) {
          const take = Math.min(this.#dataLeft, chunk.length - at);
          this.#visitor.data?.(chunk.subarray(at, at + take));
          this.#dataLeft -= take;
          at += take;
        } else {
          const take = Math.min(this.#paddingLeft, chunk.length - at);
          this.#paddingLeft -= take;
          at += take;
        }
        // a copy: the caller may reuse the chunk before the member's end
        this.#again?.content.push(Buffer.from(chunk.subarray(from, at)));
        if (this.#isAside) this.#aside.push(chunk.subarray(from, at));
        this.#asideAgain?.content.push(Buffer.from(chunk.subarray(from, at)));
        if (this.#dataLeft === 0 && this.#paddingLeft === 0) endMember();
        continue;
      }
      if (!this.#open) {
        this.#open = true;
        memberFrom = at;
      }
      const wanted = this.#state === 'header' ? BLOCK_BYTES : Math.ceil(this.#recordsBytes / BLOCK_BYTES) * BLOCK_BYTES;
      const take = Math.min(wanted - this.#gatheredBytes, chunk.length - at);
      this.#gathered.push(chunk.subarray(at, at + take));
      this.#gatheredBytes += take;
      at += take;
      if (this.#gatheredBytes < wanted) continue;
      const block = this.#gathered.length === 1 ? (this.#gathered[0] as Buffer) : Buffer.concat(this.#gathered);
      this.#gathered = [];
      this.#gatheredBytes = 0;
      if (this.#state === 'records') {
        this.#records = parseRecords(block.subarray(0, this.#recordsBytes));
        this.#state = 'header';
        continue;
      }
      if (isZero(block)) {
        if (this.#records) throw damaged('ends after an extended header');
        this.#state = 'end';
        this.#open = false;
        emit(memberFrom);
        return out;
      }
      checkSum(block);
      const typeFlag = String.fromCharCode(block[156] as number);
      if (typeFlag === 'x') {
        if (this.#records) throw damaged('two extended headers for one member');
        this.#recordsBytes = octal(block, 124, 12);
        if (this.#recordsBytes > LONGEST_RECORDS_BYTES) throw damaged('an extended header is too long');
        this.#state = 'records';
        continue;
      }
      const member = describe(block, typeFlag, this.#records);
      const decided = this.#visitor.member(member);
      const decision = typeof decided === 'object' && 'aside' in decided ? decided.besides : decided;
      if (typeof decided === 'object' && 'aside' in decided) {
        const [first, ...again] = decided.aside;
        this.#aside.push(...rewritten(block, member, this.#records, first));
        this.#isAside = true;
        if (again.length > 0) {
          this.#asideAgain = { headers: again.map((other) => rewritten(block, member, this.#records, other)), content: [] };
        }
      }
      if (decision === 'pass') {
        out.push(...this.#held);
      } else {
        emit(memberFrom);
        if (decision === 'drop') {
          this.#dropping = true;
        } else {
          if (decision.ahead) out.push(decision.ahead);
          if (isUnchanged(decision)) {
            out.push(...this.#held);
          } else {
            out.push(...rewritten(block, member, this.#records, decision));
            keepFrom = at;
          }
          const headers = decision.again?.map((other) => rewritten(block, member, this.#records, other)) ?? [];
          if (headers.length > 0) this.#again = { headers, content: [] };
        }
      }
      this.#held = [];
      this.#records = null;
      this.#open = false;
      memberFrom = 0;
      this.#dataLeft = member.storedBytes;
      this.#paddingLeft = (BLOCK_BYTES - (member.storedBytes % BLOCK_BYTES)) % BLOCK_BYTES;
      this.#state = 'data';
      if (this.#dataLeft === 0) endMember();
    }
    if (this.#open) {
      emit(memberFrom);
      // A copy, because the caller may reuse the chunk and because a few bytes should not keep it alive.
      this.#held.push(Buffer.from(chunk.subarray(memberFrom)));
      this.#gathered = this.#gathered.map((part) => Buffer.from(part));
    } else if (!this.#dropping) {
      emit(chunk.length);
    }
    return out;
  }
}

function isUnchanged({ ahead, ...changes }: Rewrite): boolean {
  return ahead !== undefined && Object.values(changes).every((change) => change === undefined);
}
