#!/usr/bin/env bash
# Runs the packages' autopkgtest stages under a systemd of their own: in a container of a bootstrapped Debian, without a
# network, so that nothing of this machine changes. See usage below.
set -euo pipefail
# shellcheck source=tools/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib/common.sh"
# shellcheck source=tools/lib/debian_root.sh
source "$ROOT/tools/lib/debian_root.sh"

usage() {
  cat <<'END'
usage: tests/packages/run.sh [--suite NAME] [--debs FOLDER] [--keep]

Installs jvpn, jvpn-client and jvpnd, starts them in a lab, upgrades them under traffic and purges them: the tests of
tools/debian/tests, in that order, run by autopkgtest under systemd in a container. Needs root, mmdebstrap,
systemd-container, dpkg-dev, debhelper, and Debian's archive.

  --suite NAME   of Debian: bookworm (the default), trixie
  --debs FOLDER  packages that tools/package has built; without it they are built in the container's root
  --keep         leave the root and the logs where they are
  --help         this text

Exits non-zero when a stage failed, or none passed.
END
}

SUITE=bookworm
DEBS=''
KEEP=''
WORK=''

while (($#)); do
  case $1 in
    --suite) SUITE=$2; shift 2 ;;
    --debs) DEBS=$(realpath "$2"); shift 2 ;;
    --keep) KEEP=1; shift ;;
    --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

clean_up() {
  if [[ -n $WORK && -z $KEEP ]]; then rm -rf "$WORK"; fi
}

in_root() { bounded 1800 chroot "$WORK/root" env DEBIAN_FRONTEND=noninteractive "$@"; }

# What the packages and the stages need, but for the packages themselves: the container has no network.
needs() {
  { for each in "$WORK"/shared/*.deb; do dpkg-deb --field "$each" Depends; done
    sed -n 's/^Depends: *//p' "$ROOT/tools/debian/tests/control"; } | tr ',' '\n' | sed 's/^ *//; s/ *$//' |
    grep -vE '^(jvpn|jvpn-client|jvpnd)( |$)' | sort -u | paste -sd ,
}

bootstrap() {
  step "Debian $SUITE"
  bootstrap_debian "$SUITE" "$WORK/root" systemd,systemd-sysv,dbus,autopkgtest,apt-utils,dpkg-dev "$WORK/bootstrap.log"
}

packages() {
  step "Packages"
  copy_sources "$WORK/shared/source"
  cp -a "$WORK/shared/source/tools/debian" "$WORK/shared/source/debian"
  if [[ -n $DEBS ]]; then
    cp "$DEBS"/*.deb "$WORK/shared/"
  else
    mkdir -p "$WORK/root/build"
    cp -a "$WORK/shared/source" "$WORK/root/build/source"
    in_root bash -euc 'apt-get update -q; cd /build/source; apt-get install -qy --no-install-recommends dpkg-dev debhelper
      apt-get build-dep -qy ./; dpkg-buildpackage --build=binary --no-sign' >"$WORK/build.log" 2>&1 ||
      { show_tail "$WORK/build.log" 40; die "the packages can't be built"; }
    cp "$WORK/root/build"/*.deb "$WORK/shared/"
  fi
  in_root bash -euc "apt-get update -q; apt-get satisfy -qy --no-install-recommends '$(needs)'" >"$WORK/needs.log" 2>&1 ||
    { show_tail "$WORK/needs.log" 20; die "what the packages need can't be installed"; }
  info "$(cd "$WORK/shared" && echo *.deb)"
}

stages() {
  step "Stages under systemd"
  cat >"$WORK/root/etc/systemd/system/stages.service" <<'END'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cd /shared && autopkgtest --ignore-restrictions=isolation-machine,breaks-testbed --no-built-binaries *.deb ./source -- null > stages.log 2>&1; echo $? > status'
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=multi-user.target
END
  in_root systemctl enable --quiet stages.service
  bounded 1200 systemd-nspawn --quiet --directory="$WORK/root" --boot --register=no --keep-unit --private-network \
    --capability=all --system-call-filter="bpf landlock_create_ruleset landlock_add_rule landlock_restrict_self" --bind=/dev/net/tun --bind-ro=/sys/module --bind="$WORK/shared:/shared" --console=read-only \
    </dev/null >"$WORK/console.log" 2>&1 || true
  grep -E '^(ok|FAIL): |: \[|(PASS|FAIL|SKIP)' "$WORK/shared/stages.log" | sed 's/^/       /' || true
  [[ $(cat "$WORK/shared/status" 2>/dev/null) == 0 ]] ||
    { show_tail "$WORK/shared/stages.log" 40; show_tail "$WORK/console.log" 10; die "a stage failed"; }
}

for tool in mmdebstrap systemd-nspawn dpkg-deb; do
  command -v "$tool" >/dev/null || die "$tool is missing: apt install mmdebstrap systemd-container dpkg-dev"
done
WORK=$(mktemp -d /var/tmp/jvpn-packages.XXXXXX)
trap clean_up EXIT
mkdir -p "$WORK/shared"
bootstrap
packages
stages
good "all stages passed on Debian $SUITE"
