// The text that stands beside a machine's facts: how to make the machine again from them and the tree.

export const PROCEDURE = `How to rebuild this machine from its backup

This folder was made by coffre: it says what no file of the tree says. The tree around it is the machine's root file system, without
/proc /sys /dev /run /tmp, caches, swap, and the raw files of MariaDB or MySQL (their dumps are snapshots of the source "database").

 1. Boot a rescue system, or install the same distribution (os-release.txt) on the new machine.
 2. Partition: sfdisk /dev/sda < partitions-sda.sfdisk, or by hand from disks.json; RAID and LVM from raid.txt and volumes-*.txt.
    Make the file systems with the labels and UUIDs of block-devices.txt (mkfs.ext4 -U UUID), or correct /etc/fstab afterwards.
    Other file systems than the root's are in file-systems.txt: they are not in this backup.
 3. Mount the new root at /mnt and restore into a new directory on it:
      coffre restore SHOP --source server --to-dir /mnt/restored
    then move everything up: cd /mnt/restored && mv -- * .[!.]* .. && cd / && rmdir /mnt/restored
 4. mount --rbind /dev /mnt/dev, the same for /proc and /sys; chroot /mnt.
 5. Check /etc/fstab against blkid, the network against addresses.txt and routes.txt.
 6. Boot loader and initramfs, inside the chroot. Debian: grub-install /dev/sda && update-grub && update-initramfs -u -k all
 7. Reboot. systemctl --failed, services.txt and crontabs.txt tell what ought to run.
 8. Databases: start the server with an empty data directory (Debian: mariadb-install-db), then coffre restore SHOP --source database.

Another way, onto a fresh installation of the same distribution: install packages-manual.txt (Debian:
xargs apt-get install -y < packages-manual.txt), then take /etc, /home, /root, /srv, /var/www, /usr/local and /opt from the tree.
The exact versions that ran are in packages.txt.

coffre's own keys and state were left out: the recovery kit on paper brings them back.
`;
