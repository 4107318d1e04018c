#!/bin/sh
# Makes a fresh Debian machine ready, then runs what was asked for with the project's own Node:
#   sh test/bootstrap.sh test|demo|bench|crash|check|package|prepare [ARGUMENT]...
# It needs npm and any Node. Missing Debian packages are installed when it is root; else it says the one command to run.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd -P)
what=${1:?usage: bootstrap.sh test|demo|bench|crash|check|package|prepare [ARGUMENT]...}
shift

say() { echo "coffre: $*" >&2; }

# --- npm packages -----------------------------------------------------------------------------------------------------------

cd "$top"
PATH=$top/node_modules/.bin:$PATH:/usr/sbin:/sbin
export PATH

if ! [ -x node_modules/.bin/node ] || ! node test/installed.mjs; then
  say "installing the npm packages of package-lock.json"
  # standard output belongs to what is run afterwards (--json)
  npm ci --include=dev --include=optional --no-audit --no-fund >&2
fi

# --- Debian packages --------------------------------------------------------------------------------------------------------

# program:package; what a program is for stands in test/servers/README.md
store='ceph-mon:ceph-mon ceph-osd:ceph-osd radosgw:radosgw radosgw-admin:ceph-common ceph-authtool:ceph-common'
database='mariadbd:mariadb-server mariadb:mariadb-client mariadb-dump:mariadb-client'
tools='age:age zstd:zstd tar:tar git:git ps:procps setfattr:attr setfacl:acl jq:jq openssl:openssl'
# a store that is given or runs in a container needs no Ceph here
if [ -n "${COFFRE_TEST_S3_ENDPOINT:-}" ] || [ "${COFFRE_TEST_S3:-ceph}" != ceph ]; then store=''; fi
case $what in
  test | prepare)
    wanted="$store $database $tools sshd:openssh-server ssh:openssh-client rclone:rclone faketime:faketime strace:strace systemd-analyze:systemd setcap:libcap2-bin"
    wanted="$wanted zsh:zsh fish:fish lexgrog:man-db groff:groff-base dpkg-deb:dpkg promtool:prometheus php:php-cli memcached:memcached"
    ;;
  demo | bench) wanted="$store $database $tools" ;;
  crash) wanted="$store $database $tools" ;;
  check) wanted='git:git' ;;
  package) wanted='git:git dpkg-deb:dpkg' ;;
  *) say "unknown: $what"; exit 2 ;;
esac

# what coffre is measured against: not needed for anything else
case "$what ${1:-}" in
  'bench database') wanted="$wanted mydumper:mydumper rclone:rclone" ;;
  'bench files') wanted="$wanted restic:restic rclone:rclone" ;;
  'bench in-place') wanted="$wanted php:php-cli" ;;
  'bench restore') wanted="$wanted rclone:rclone" ;;
  'bench ssh') wanted="$wanted sshd:openssh-server ssh:openssh-client rclone:rclone" ;;
esac

missing=''
for pair in $wanted; do
  command -v "${pair%%:*}" >/dev/null 2>&1 && continue
  case " $missing " in *" ${pair#*:} "*) ;; *) missing="$missing ${pair#*:}" ;; esac
done
# PHP's way to a database is a package without a program
case " $wanted " in
  *' php:php-cli '*) php -m 2>/dev/null | grep -qx mysqli || missing="$missing php-mysql" ;;
esac
missing=${missing# }

# Debian starts a server's service when it installs it. A policy that forbids it stands for the time of the installation.
policy=/usr/sbin/policy-rc.d
install_packages() (
  if ! [ -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
  fi
  export DEBIAN_FRONTEND=noninteractive
  # another apt may be at work: wait for it
  apt-get -q -o DPkg::Lock::Timeout=600 update &&
    # shellcheck disable=SC2086 # a list of words
    apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends $missing
)

if [ -n "$missing" ]; then
  command="apt-get update && apt-get install -y --no-install-recommends $missing"
  done=no
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    say "installing Debian packages: $missing"
    install_packages </dev/null >&2 && done=yes
  fi
  if [ "$done" = no ]; then
    if [ "$what" = demo ]; then
      # the demo shows what it can without them, and says what it could not
      say "these packages are missing: $missing"
      say "HINT: as root: $command"
    else
      say "these packages are missing and could not be installed from here: $missing"
      say "HINT: run as root, then try again: $command"
      exit 2
    fi
  fi
fi

# --- run --------------------------------------------------------------------------------------------------------------------

case $what in
  prepare) ;;
  test) exec node node_modules/vitest/vitest.mjs run "$@" ;;
  demo) exec node test/demo/main.ts "$@" ;;
  crash) exec node --disable-warning=ExperimentalWarning test/crash/main.ts "$@" ;;
  package) exec node --disable-warning=ExperimentalWarning bin/package/main.ts "$@" ;;
  bench)
    name=${1:-}
    if [ -z "$name" ] || ! [ -f "test/bench/$name.ts" ]; then
      say "usage: npm run bench -- NAME [--json]; there are: $(cd test/bench && ls | sed -n 's/\.ts$//p' | tr '\n' ' ')"
      exit 2
    fi
    shift
    exec node "test/bench/$name.ts" "$@"
    ;;
  check)
    status=0
    tsc -p . || status=1
    biome check . "$@" || status=1
    exit $status
    ;;
esac
