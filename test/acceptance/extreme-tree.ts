// A tree at the limits of what a file system takes: more than the awkward one, for tests that can afford it.
import { renameSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { bash, makeAwkwardTree } from '../source/files/tree.ts';

export const HUGE_BYTES = 1024 ** 4;

/** Needs root, and a file system that keeps ACLs, large sparse files and times from 1902 to 2400 (ext4, xfs, btrfs). */
export async function makeExtremeTree(root: string): Promise<void> {
  makeAwkwardTree(root);
  bash(
    `
    cd "$TREE"
    mkdir huge; truncate -s ${HUGE_BYTES} huge/file
    for at in 0 123456789 500000000000 1099511627000; do printf 'data at %s' $at | dd of=huge/file bs=1M seek=$at oflag=seek_bytes conv=notrunc status=none; done
    # as deep as a restore beside it can still be told about by its absolute path
    deep=bottomless; for i in {1..37}; do deep="$deep/$(printf '%0.sd' {1..100})"; done; mkdir -p "$deep"; printf bottom > "$deep/bottom"
    ln "$deep/bottom" linked-from-the-bottom; setfattr -n user.deep -v 1 "$deep"
    mkdir times; cd times
    for t in 1902-01-01 1969-12-31T23:59:59.999999999 1970-01-01 2038-01-19T03:14:08.000000001 2400-02-29T12:00:00.123456789; do
      printf x > $t; touch -d "$t UTC" $t; ln -s target link-$t; touch -h -d "$t UTC" link-$t; mkdir dir-$t; touch -d "$t UTC" dir-$t; mkfifo fifo-$t; touch -d "$t UTC" fifo-$t
    done
    mkdir ../owners; cd ../owners
    printf x > largest; chown 4294967294:4294967294 largest; mkdir directory; chown 3000000000:2147483648 directory; mkfifo fifo; chown 70000:70001 fifo; chmod 4755 fifo
    printf x > suid; chown 33:33 suid; chmod 7777 suid; mkdir sgid; chown 33:33 sgid; chmod 2775 sgid; printf x > sgid/inside
    mkdir ../devices; cd ../devices; mknod block b 7 200; chown 1:2 block; chmod 640 block; mknod char c 240 1048575; mknod zero c 1 5
    mkdir ../attributes; cd ../attributes
    printf x > many; for i in {1..40}; do setfattr -n user.name$i -v "value $i" many; done
    printf x > odd; setfattr -n user.empty odd; setfattr -n 'user.with=sign' -v 1 odd; setfattr -n 'user.per%3Dcent' -v 2 odd
    setfattr -n user.binary -v 0x000a0d3dff00 odd; setfattr -n "user.$(printf 'caf\\351')" -v latin odd; setfattr -n user.large -v "$(printf '%0.sv' {1..2500})" odd
    printf x > "$(printf 'caf\\351')"; setfattr -n user.latin-name -v 1 "$(printf 'caf\\351')"
    mkdir caps; printf x > caps/program; setcap cap_net_bind_service,cap_dac_override+eip caps/program; chmod 755 caps/program
    mkdir ../acl; cd ../acl; setfacl -d -m u:65534:rwx,g:1234:rx . ; printf x > inherits; printf x > plain; setfacl -b plain; mkdir inherits-too; mkdir plain-directory; setfacl -bk plain-directory
    printf x > plain-directory/file; setfacl -m m::r inherits; mkdir only-mask; setfacl -b -k only-mask; setfacl -m u:1:rwx,m::--- only-mask
    touch -d '2021-05-06 07:08:09.987654321 UTC' . inherits-too plain-directory
    mkdir ../sockets
    `,
    { TREE: root },
  );
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(root, 'sockets/bound'), resolve));
  // a server removes what it is bound to
  renameSync(join(root, 'sockets/bound'), join(root, 'sockets/socket'));
  await new Promise((resolve) => server.close(resolve));
  bash('touch -d "2001-01-01 UTC" "$TREE/sockets" "$TREE"', { TREE: root });
}

/** Where the data of the huge file lies, by itself, and how much disk it takes, in blocks of 512. */
export function describeHuge(root: string): string {
  return bash(
    `
    cd "$TREE/huge"; stat -c '%s' file
    for at in 0 123456789 500000000000 1099511627000; do dd if=file bs=64K count=1 iflag=skip_bytes skip=$at status=none | sha256sum; done
    if [ "$(stat -c %b file)" -gt 1024 ]; then echo "takes $(stat -c %b file) blocks"; fi
    `,
    { TREE: root },
  );
}
