// What gives rights does not come back unless it is asked for: setuid and setgid bits, file capabilities, devices.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { localHost } from '../../../src/host/local.ts';
import type { FileEntry } from '../../../src/source/source.ts';
import { DirectoryTarget } from '../../../src/target/files/directory-target.ts';
import { RemoteDirectoryTarget } from '../../../src/target/files/remote-target.ts';
import { withoutPrivileges } from '../../../src/target/privileges.ts';
import type { FilesTarget, WantedMember } from '../../../src/target/target.ts';
import { bash, take } from '../../source/files/tree.ts';
import { tempDir } from '../../temp-dir.ts';
import { bytes, each } from './restore.ts';

const NEVER = new AbortController().signal;

test.skipIf(process.geteuid?.() !== 0).for(['whole segments', 'chosen members', 'through a host’s programs'] as const)(
  'a tree with setuid, setgid, capabilities and devices, %s - all else comes back; directories keep their setgid bit',
  async (how) => {
    const dir = await tempDir();
    const root = join(dir, 'tree');
    bash(
      `mkdir -p "$TREE/shared" && cd "$TREE"; for name in setuid setgid both plain able; do printf $name > $name; chmod 755 $name; done
       chmod u+s setuid; chmod g+s setgid; chmod 6755 both; chmod 2775 shared; chmod 1777 . ; ln both both-too; setcap cap_net_raw+ep able
       setfattr -n user.kept -v yes able; mknod null c 1 3; ln null null-too; mknod disk b 7 0; mkfifo pipe`,
      { TREE: root },
    );
    const snapshot = await take(root, new Map());
    const directory = join(dir, 'restored');
    const target: FilesTarget =
      how === 'through a host’s programs'
        ? new RemoteDirectoryTarget(directory, localHost, { dropsPrivileges: true })
        : new DirectoryTarget(directory, localHost, undefined, { dropsPrivileges: true });
    const withheld = { bits: 0, devices: 0 };
    try {
      await target.prepare('snapshot');
      const entries = await Array.fromAsync(withoutPrivileges(each<FileEntry>(snapshot.entries), withheld));
      for (const segment of [...snapshot.segments].sort((a, b) => Number(a.phase === 'tail') - Number(b.phase === 'tail'))) {
        const chosen: WantedMember[] = entries.filter((entry) => entry.segment === segment.id).map(({ path }) => path);
        const incoming = { id: segment.id, phase: segment.phase, plaintext: bytes(segment.bytes), unverified: false };
        await target.extract(incoming, how === 'chosen members' ? chosen : null, NEVER);
      }
      expect(await target.compare(each(entries))).toEqual([]);
      await target.publish?.();
    } finally {
      await target.close();
    }
    expect(withheld).toEqual({ bits: 4, devices: 3 });
    expect(
      bash(
        'cd "$DIR"; find . -mindepth 1 -printf "%p %y %m\\n" | sort; stat -c %a .; getcap -r .; getfattr --only-values -n user.kept able',
        {
          DIR: directory,
        },
      ),
    ).toBe(
      './able f 755\n./both f 755\n./both-too f 755\n./pipe p 644\n./plain f 755\n./setgid f 755\n./setuid f 755\n./shared d 2775\n1777\nyes',
    );
  },
);
