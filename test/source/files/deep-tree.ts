// Trees whose paths are longer than a system call takes, and their description by find, which goes from directory to directory.
import { bash } from './tree.ts';

/**
 * At the bottom of 23 and of 46 directories with names of 200 bytes: everything that a file system has, hard links to the top and into
 * another deep directory among it; and a directory one name below the limit. Needs bash, attr, acl and to be root.
 */
export function makeDeepTree(root: string): void {
  bash(
    `
    mkdir -p "$TREE"; cd "$TREE"; printf top > top; printf top2 > zz
    down() { for i in $(seq $1); do mkdir -p "$(printf "%0.s$2" {1..200})"; cd -P "$(printf "%0.s$2" {1..200})"; done; }
    contents() {
      printf 'bottom %s' "$1" > bottom; ln bottom bottom-too; printf x > $'new\\nline'; printf latin > $'caf\\351'; : > empty; mkdir nothing
      mkdir $'dir\\nwith\\351'; printf in > $'dir\\nwith\\351/-rf'; ln -s ../bottom $'dir\\nwith\\351/link'; ln -s "$(printf '%0.sy' {1..3000})" long-link; mkfifo pipe; mknod null c 1 3
      printf setuid > setuid; chown 1234:5678 setuid; chmod 6755 setuid; chmod 640 empty; head -c 3000000 /dev/zero | tr '\\0' "$1" > large
      truncate -s 20M sparse; printf end >> sparse
      printf attr > attr; setfattr -n user.coffre -v "deep $1" attr; printf acl > acl; setfacl -m u:65534:r acl; setfattr -n user.dir -v "$1" nothing
      touch -h -d '2019-03-31 02:30:00.123456789 UTC' bottom long-link pipe null large attr acl
      chmod 750 nothing; touch -d '2001-02-03 04:05:06.000000007 UTC' $'dir\\nwith\\351' nothing .
    }
    (down 23 d; exec 3<.; contents 1; cd -P /proc/self/fd/3; odd=$'-C "\\\\$(x)\\'\\n\\351 *\\n'; mkdir "./$odd"; cd -P "./$odd"; down 23 e; contents 2; ln /proc/self/fd/3/large large-too; ln /proc/self/fd/3/long-link long-link-too)
    (exec 3<.; down 21 f; printf side > side; ln side /proc/self/fd/3/side-at-the-top; ln /proc/self/fd/3/top top-too; printf x > "$(printf '%0.sx' {1..250})")
    (exec 3<.; cd -P d*; ln /proc/self/fd/3/zz zz-too; touch -d '2001-01-01 UTC' .)
    (down 20 g; mkdir just-below; printf y > "just-below/$(printf '%0.sy' {1..35})")
    touch -d '2011-01-01 UTC' .
    `,
    { TREE: root },
  );
}

/** Type, mode, owner, size, time, links and which paths share an inode; contents, extended attributes and ACLs. One line a path. */
export function describeDeepTree(root: string): string {
  const listed = bash(`cd "$TREE"; find . -printf '%i\\t%y %m %U %G %T@ %n %l\\t%s\\t%p\\0'`, { TREE: root });
  // of each directory that holds anything: its inode, and a hash of what its files contain and of the attributes and ACLs in it
  const looked = bash(
    `cd "$TREE"; find . -type d ! -empty -execdir sh -c 'cd -P "$1"; inode=$(stat -c %i .); set --
       for f in ./*; do if [ ! -L "$f" ]; then set -- "$@" "$f"; fi; done; if [ $# = 0 ]; then exit; fi
       echo "$inode $({ getfattr -hdm "user." -- "$@"; getfacl -np -- "$@"; for f; do if [ -f "$f" ]; then cat "$f"; fi; done; } | sha256sum)"' sh {} \\;`,
    { TREE: root },
  );
  const contents = new Map(looked.split('\n').map((line): [string, string] => [line.split(' ')[0] as string, line]));
  const first = new Map<string, string>();
  const lines = listed
    .split('\0')
    .filter((record) => record !== '')
    .map((record) => {
      const [inode, says, size, ...path] = record.split('\t') as [string, string, string, ...string[]];
      return { inode, says, size, path: path.join('\t') };
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const { inode, path } of lines) if (!first.has(inode)) first.set(inode, path);
  return lines
    .map(({ inode, says, size, path }) => {
      const content = contents.get(inode)?.split(' ')[1] ?? '';
      // what a directory's size is, its file system knows
      return JSON.stringify([path, says, says.startsWith('d') ? '' : size, content, first.get(inode) === path ? '' : first.get(inode)]);
    })
    .join('\n');
}

/** What was made in a test, however deep. */
export function removeDeep(directory: string): void {
  bash('rm -rf "$DIR"', { DIR: directory });
}
