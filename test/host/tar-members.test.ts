// Archives of GNU tar seen member by member, whatever the sizes of the chunks they come in.
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TarMember } from '../../src/host/tar-headers.ts';
import { type MemberDecision, TarMembers } from '../../src/host/tar-members.ts';
import { END_OF_ARCHIVE, paxRecordOf } from '../../src/host/ustar.ts';
import { bash } from '../source/files/tree.ts';
import { tempDir } from '../temp-dir.ts';

async function archive(): Promise<Buffer> {
  const dir = await tempDir();
  bash(
    `cd "$TREE"; printf 12345 > small; head -c 1536 /dev/zero | tr '\\0' x > blocks; : > empty; mkdir -p d; ln -s small link; ln small hard
     long=$(printf '%0.sx' {1..200}); printf long > "d/$long"; truncate -s 1M sparse; printf end >> sparse
     touch -d '1965-01-02 03:04:05.5 UTC' small; touch -d '2300-01-01 UTC' empty`,
    { TREE: dir },
  );
  return execFileSync('tar', [
    '-C',
    dir,
    '--format=pax',
    '--sparse',
    '-cf',
    '-',
    'small',
    'blocks',
    'empty',
    'd',
    'link',
    'hard',
    'sparse',
  ]);
}

function walk(content: Buffer, sizes: readonly number[], decide: (member: TarMember) => MemberDecision = () => 'pass') {
  const seen: { member: TarMember; data: string; ended: boolean }[] = [];
  const members = new TarMembers({
    member: (member) => {
      seen.push({ member, data: '', ended: false });
      return decide(member);
    },
    data: (bytes) => {
      const last = seen.at(-1);
      if (last) last.data += bytes.toString('latin1');
    },
    memberEnd: () => {
      const last = seen.at(-1);
      if (last) last.ended = true;
    },
  });
  const out: Buffer[] = [];
  for (let at = 0, turn = 0; at < content.length; turn++) {
    const size = sizes[turn % sizes.length] as number;
    // The chunk's memory is reused, as a reader may do.
    const chunk = Buffer.from(content.subarray(at, at + size));
    out.push(...members.push(chunk).map((piece) => Buffer.from(piece)));
    chunk.fill(0xff);
    at += size;
  }
  return { seen, out: Buffer.concat(out), ended: members.ended };
}

test('every member passed on - the bytes are the archive up to its end marker, for any chunk sizes', async () => {
  const content = await archive();
  const whole = walk(content, [content.length]);
  expect(whole.ended).toBe(true);
  expect(content.subarray(0, whole.out.length).equals(whole.out)).toBe(true);
  expect(content.subarray(whole.out.length).every((byte) => byte === 0)).toBe(true);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 8 }), (sizes) => {
      const parts = walk(content, sizes);
      expect(parts.out.equals(whole.out)).toBe(true);
      expect(parts.seen).toEqual(whole.seen);
    }),
    { numRuns: 50 },
  );
});

test('members of each kind - are described as they are', async () => {
  const { seen } = walk(await archive(), [512]);
  const [small, , empty, d, long, link, hard, sparse] = seen;
  expect(small).toMatchObject({
    data: '12345',
    ended: true,
    member: { type: 'file', path: 'small', sizeBytes: 5, mtimeNs: -157668954_500_000_000n },
  });
  expect(empty?.member).toMatchObject({ sizeBytes: 0, mtimeNs: 10_413_792_000_000_000_000n });
  expect(d?.member).toMatchObject({ type: 'directory', path: 'd' });
  expect(long?.member.path).toHaveLength(202);
  expect(link?.member).toMatchObject({ type: 'symlink', linkPath: 'small' });
  expect(hard?.member).toMatchObject({ type: 'hardlink', linkPath: 'small' });
  expect(sparse?.member).toMatchObject({ type: 'file', path: 'sparse', sparse: true, sizeBytes: 1024 * 1024 + 3 });
  expect(seen.every(({ ended }) => ended)).toBe(true);
});

test('members dropped and records added - GNU tar reads what is left, for any chunk sizes', async () => {
  const content = await archive();
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.constantFrom('pass', 'drop', 'add'), { minLength: 8, maxLength: 8 }),
      (sizes, decisions) => {
        let turn = 0;
        const { out, seen } = walk(content, sizes, () => {
          const decision = decisions[turn++];
          return decision === 'add' ? { addRecords: paxRecordOf('comment', Buffer.from('added')) } : (decision as 'pass' | 'drop');
        });
        const names = execFileSync('tar', ['-tf', '-'], {
          input: Buffer.concat([out, END_OF_ARCHIVE]),
          encoding: 'latin1',
          stdio: ['pipe', 'pipe', 'ignore'],
        });
        const kept = seen.filter((_, index) => decisions[index] !== 'drop').map(({ member }) => member.path);
        expect(
          names
            .split('\n')
            .filter(Boolean)
            .map((name) => name.replace(/\/$/, '')),
        ).toEqual(kept);
        expect(out.includes('comment=added')).toBe(decisions.includes('add'));
      },
    ),
    { numRuns: 30 },
  );
});

test('members kept apart - each side is an archive that GNU tar reads, with its contents, for any chunk sizes', async () => {
  const content = await archive();
  const list = (bytes: readonly Buffer[], ...args: string[]): string =>
    execFileSync('tar', [...args, '-f', '-'], { input: Buffer.concat([...bytes, END_OF_ARCHIVE]), encoding: 'latin1' });
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.constantFrom('pass', 'aside', 'both', 'twice'), { minLength: 8, maxLength: 8 }),
      (sizes, decisions) => {
        const expected: { out: string[]; aside: string[] } = { out: [], aside: [] };
        const [out, aside]: [Buffer[], Buffer[]] = [[], []];
        const members = new TarMembers({
          member: ({ path }): MemberDecision => {
            const decision = decisions[expected.out.length + expected.aside.length] ?? 'pass';
            const besides = decision === 'both' ? { path: 'besides' } : 'drop';
            if (decision === 'pass' || decision === 'both') expected.out.push(decision === 'pass' ? path : 'besides');
            if (decision === 'pass') return 'pass';
            expected.aside.push('one');
            if (decision === 'twice') expected.aside.push('two');
            return { aside: decision === 'twice' ? [{ path: 'one' }, { path: 'two' }] : [{ path: 'one' }], besides };
          },
        });
        for (let at = 0, turn = 0; at < content.length; turn++) {
          const chunk = Buffer.from(content.subarray(at, at + (sizes[turn % sizes.length] as number)));
          at += chunk.length;
          out.push(...members.push(chunk).map((piece) => Buffer.from(piece)));
          aside.push(...members.takeAside().map((piece) => Buffer.from(piece)));
          chunk.fill(0xff);
        }
        const names = (listed: string): string[] =>
          listed
            .split('\n')
            .filter(Boolean)
            .map((name) => name.replace(/\/$/, ''));
        expect(names(list(out, '-t'))).toEqual(expected.out);
        expect(names(list(aside, '-t'))).toEqual(expected.aside);
        if (decisions[0] === 'twice') expect(list(aside, '-xO', '--occurrence=1', 'two')).toBe('12345');
      },
    ),
    { numRuns: 20 },
  );
});

test('any damaged header - is refused or changes nothing that matters, and never hangs', async () => {
  const content = await archive();
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 511 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = Buffer.from(content);
      damaged[at] = (damaged[at] as number) ^ flip;
      expect(() => walk(damaged, [4096])).toThrow(expect.objectContaining({ code: 'E_FORMAT' }));
    }),
  );
});

test('a pax record - counts the digits of its own length', () => {
  for (let length = 0; length < 1100; length++) {
    const record = paxRecordOf('key', Buffer.alloc(length, 'v')).toString();
    expect(Number.parseInt(record, 10)).toBe(record.length);
  }
});
