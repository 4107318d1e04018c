#!/bin/bash
# Boots a systemd of its own in namespaces of its own, with the units of this project and one shop, and lets them work: for booted.test.ts.
#   unshare --mount --pid --fork --uts --ipc --cgroup --kill-child bash boot.sh boot FOLDER TOP
# What is seen is written into FOLDER. The machine's files are below overlays that go with the namespaces; its cgroups are out of reach.
set -u
coffre='/mnt/coffre/bin/coffre --config /etc/coffre/coffre.yaml'

# --- before systemd: a machine that has nothing but coffre and a shop -------------------------------------------------------------
boot() {
  set -e
  folder=$1 top=$2 layers=/mnt/layers units=/etc/systemd/system
  mount --make-rprivate /
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/coffre /mnt/out
  mount --bind "$top" /mnt/coffre # PrivateTmp= would hide a checkout in /tmp
  mount --bind "$folder" /mnt/out
  for name in etc var srv; do
    mkdir -p $layers/$name.upper $layers/$name.work
    mount -t overlay overlay -o "lowerdir=/$name,upperdir=$layers/$name.upper,workdir=$layers/$name.work" /$name
  done
  mount -t proc proc /proc
  mount --bind /proc/sys /proc/sys
  mount -o remount,ro,bind /proc/sys
  mount -t tmpfs -o mode=755 tmpfs /run
  umount -R /sys/fs/cgroup
  mount -t cgroup2 none /sys/fs/cgroup
  # nothing of what this machine starts by itself
  for wants in /usr/lib/systemd/system/*.wants $units/*.wants; do
    if [ -d "$wants" ]; then mount -t tmpfs -o ro tmpfs "$wants"; fi
  done

  for unit in coffre.service coffre-restore.socket coffre-restore@.service; do
    sed 's|/usr/bin/coffre|/mnt/coffre/bin/coffre|' "/mnt/coffre/systemd/$unit" >"$units/$unit"
  done
  mkdir -p $units/coffre.service.d $units/coffre-restore@.service.d
  printf '[Service]\nStandardOutput=append:/mnt/out/log\nStandardError=append:/mnt/out/log\nWatchdogSec=30s\n' >$units/coffre.service.d/test.conf
  printf '[Service]\nStandardError=append:/mnt/out/log\n' >$units/coffre-restore@.service.d/test.conf
  systemd-sysusers /mnt/coffre/systemd/sysusers.d/coffre.conf
  systemd-tmpfiles --create /mnt/coffre/systemd/tmpfiles.d/coffre.conf

  mkdir -p /var/www/dupont/shared /srv/coffre
  echo '<?php' >/var/www/dupont/index.php
  echo program >/var/www/dupont/program
  chown -R www-data:www-data /var/www/dupont
  chmod 6755 /var/www/dupont/program
  chmod 2770 /var/www/dupont/shared
  chmod 700 /var/www/dupont
  # doctor is red at its end: one vault, and on the shop's own disk
  $coffre init --vault-path /srv/coffre --shop dupont --files-root /var/www/dupont --files-profile generic >/mnt/out/init 2>&1 || true
  mv /etc/coffre/recovery-kit.txt /mnt/
  chown -R coffre:coffre /var/lib/coffre /srv/coffre
  umask 077
  echo 'of a secret' >/etc/coffre/secrets/test

  # whoever controls the daemon: its unit, with another program
  sed -E '/^(Type|NotifyAccess|ExecStart|ExecReload|WatchdogSec|Restart|RestartSec|RestartPreventExitStatus|RuntimeDirectory)=/d
    s|^\[Service\]|&\nType=oneshot\nExecStart=/bin/bash /mnt/coffre/test/systemd/boot.sh attack\nStandardOutput=append:/mnt/out/attack\nStandardError=append:/mnt/out/attack|' \
    $units/coffre.service >$units/attack.service
  cat >$units/watch.service <<'UNIT'
[Unit]
After=coffre.service coffre-restore.socket
[Service]
Type=oneshot
ExecStart=/bin/bash /mnt/coffre/test/systemd/boot.sh watch
StandardOutput=append:/mnt/out/watch
StandardError=append:/mnt/out/watch
# SIGRTMIN+14: systemd leaves at once, and the namespaces with it
ExecStopPost=/bin/kill -s RTMIN+14 1
UNIT
  printf '[Unit]\nWants=coffre.service coffre-restore.socket watch.service\n' >$units/coffre-test.target
  # as systemd expects it of a container: it hands credentials over through it
  mount --make-rshared /
  exec env -i PATH="$PATH" container=coffre-test /lib/systemd/systemd --system --unit=coffre-test.target --log-target=console --show-status=0
}

# --- inside, as root --------------------------------------------------------------------------------------------------------------
watch() {
  cd /mnt/out || exit
  wait_for_ready
  systemctl show coffre.service -p ActiveState -p StatusText -p NRestarts -p NotifyAccess >ready
  fed=$(systemctl show -P WatchdogTimestampMonotonic coffre.service)
  pid=$(systemctl show -P MainPID coffre.service)
  cat "/proc/$pid/status" >process
  nsenter --target "$pid" --mount ls /etc/coffre/keys/identities /run/credentials/coffre.service >sees 2>&1
  $coffre --json backup dupont --source files >backup 2>&1
  echo 'none: [' >>/etc/coffre/coffre.yaml
  systemctl reload coffre.service && echo taken >broken-reload
  sed -i '$d' /etc/coffre/coffre.yaml
  systemctl reload coffre.service && echo taken >reload
  rm /var/www/dupont/index.php /var/www/dupont/program
  $coffre --json restore dupont --in-place --source files --skip-safety >restore 2>&1
  (cd /var/www/dupont && find . -printf '%p %m %u %g\n' | sort) >tree
  systemctl start attack.service
  (cd /var/www/dupont && find . -printf '%p %m %u %g\n' | sort) >tree-after-attack
  for _ in $(seq 600); do
    [ "$(systemctl show -P WatchdogTimestampMonotonic coffre.service)" = "$fed" ] || { echo fed >watchdog; break; }
    sleep 0.1
  done
  systemctl show coffre.service -p ActiveState -p NRestarts >later
  systemctl stop coffre.service
  systemctl show coffre.service -p ActiveState -p Result >stopped
  systemctl list-units --all --plain --no-legend 'coffre-restore@*' >restore-units
}

wait_for_ready() {
  for _ in $(seq 600); do
    [ "$(systemctl show -P ActiveState coffre.service)" = activating ] || return
    sleep 0.1
  done
}

# --- inside, as the daemon's unit ---------------------------------------------------------------------------------------------------
attack() {
  tries() { if "${@:2}" >/dev/null 2>&1; then echo "$1: done"; else echo "$1: refused"; fi; }
  key=/etc/coffre/keys/identities/dupont.key
  tries 'read a shop' cat /var/www/dupont/index.php
  tries 'read the signing key' grep -q PRIVATE "$CREDENTIALS_DIRECTORY/etc-coffre-keys-signing.key"
  tries 'write into a shop' touch /var/www/dupont/new
  tries 'remove from a shop' rm -f /var/www/dupont/index.php
  tries 'chown' chown coffre /var/www/dupont/index.php
  tries 'change the configuration' sh -c 'echo >>/etc/coffre/coffre.yaml'
  tries 'become root' setpriv --reuid=0 --clear-groups true
  tries 'read an identity' cat $key
  tries 'read it through another process' sh -c "for root in /proc/[0-9]*/root; do cat \$root$key && exit; done; exit 1"
  tries 'take the mount away' umount /etc/coffre/keys/identities
  tries 'enter a namespace' unshare --mount true
  tries 'enter a user namespace' unshare --user true
  tries 'see a disk' sh -c 'test -n "$(find /dev -type b)"'
  tries 'make a disk' mknod /var/lib/coffre/disk b 8 0
  # name_to_handle_at may be asked; what sees through mounts is open_by_handle_at. ESTALE would be its own answer, EPERM is the filter's
  case $(uname -m) in x86_64) number=304 ;; *) number=265 ;; esac
  perl -e '$! = 0; syscall('$number', -100, pack("IiC8", 8, 1, (0) x 8), 0); print "open_by_handle_at: errno ", $! + 0, "\n"'
  $coffre --json restore dupont --in-place --source files >/var/lib/coffre/answer
  grep -o 'E_[A-Z_]*' /var/lib/coffre/answer | sed 's/^/ask for a restore: /'
}

"$@"
