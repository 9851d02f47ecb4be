#!/usr/bin/env bash
# Installs, upgrades, removes and purges the Debian packages in a root of its own, an overlay of this machine's, so that
# nothing here changes; stages as autopkgtest's, each of which says what it has seen. As root on Debian 12.
# usage: packages_test.sh FOLDER-WITH-DEBS
set -euo pipefail
debs=$(realpath "$1")
if [[ ${2:-} != inside ]]; then
  work=$(mktemp -d /tmp/jvpn-packages.XXXXXX)
  trap 'umount "$work" 2> /dev/null || true; rm -rf "$work"' EXIT
  mount -t tmpfs jvpn-packages "$work"  # an overlay can't lie on another overlay
  mkdir "$work/upper" "$work/work" "$work/root"
  unshare --mount --net bash -euc '
    mount -t overlay jvpn-packages -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
    for each in proc sys dev run; do mount --rbind "/$each" "$1/root/$each"; done
    mkdir -p "$1/root/debs"
    mount --bind "$2" "$1/root/debs"
    mount -t tmpfs jvpn-run "$1/root/run"
    exec chroot "$1/root" bash "$3" /debs inside' - "$work" "$debs" "$(realpath "$0")"
  exit
fi

stage() { echo "== $*"; }
fail() { echo "FAIL: $*" >&2; exit 1; }
has() { [[ -e $1 ]] || fail "$1 is missing"; }
export DEBIAN_FRONTEND=noninteractive

stage "install"
rm -rf /etc/jvpn /var/lib/jvpn
dpkg --install "$debs"/jvpn_*.deb "$debs"/jvpn-client_*.deb "$debs"/jvpnd_*.deb > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; fail "dpkg --install"; }
for each in /usr/bin/{jvpn,jvpnd,jvpn-client} /usr/share/man/man8/jvpn.8.gz /usr/share/bash-completion/completions/jvpn \
    /usr/lib/NetworkManager/conf.d/jvpn.conf /usr/lib/systemd/network/80-jvpn.network \
    /etc/jvpn/jvpnd.yaml /etc/jvpn/keys/gw1.key /usr/share/doc/jvpn-client/examples/client.yaml; do has "$each"; done
find / -xdev -path '*systemd/system/jvpn-client@.service' | grep -q . || fail "no unit of the client"
[[ $(stat -c %a /etc/jvpn) == 700 ]] || fail "/etc/jvpn is open to others"
[[ $(stat -c %a /etc/jvpn/keys/gw1.key) == 600 ]] || fail "the gateway's key is open to others"
jvpnd --check /etc/jvpn/jvpnd.yaml || fail "the profile that is installed isn't sound"

stage "start jvpnd with a profile for a lab"
ip link set lo up
ip link add wan0 type veth peer name far0
ip link add lan type veth peer name far1
for each in wan0 far0 lan far1; do ip link set "$each" up; done
profile() {
  sed -e 's|@DEVICE0@|net_af_packet0,iface=wan0|; s|@DEVICE1@|net_af_packet1,iface=lan|' << 'YAML'
role: gateway
node: gw1
cores: {control: 0, workers: [0], idle: adaptive}
memory: {hugepages: false, megabytes: 256}
eal_args: ["--no-pci", "--iova-mode=va", "--file-prefix=jvpn-packages"]
ports:
  - {name: wan0, vdev: "@DEVICE0@", role: outside, addresses: [192.0.2.1/24]}
  - {name: lan, vdev: "@DEVICE1@", role: inside, addresses: [10.99.0.1/24]}
crypto: {private_key_file: keys/gw1.key, suites: [aes-128-gcm]}
limits: {sessions: 16, mbufs: 8192}
enrolment: {pool: [10.77.0.0/24]}
policy: {version: 1}
YAML
}
profile > /etc/jvpn/jvpnd.yaml
start() {
  jvpnd /etc/jvpn/jvpnd.yaml > /tmp/jvpnd.log 2>&1 &
  gateway=$!
  for ((i = 0; i < 600; i++)); do
    jvpn show > /dev/null 2>&1 && return
    kill -0 "$gateway" 2> /dev/null || { cat /tmp/jvpnd.log >&2; fail "jvpnd ended"; }
    sleep 0.05
  done
  fail "jvpnd does not answer"
}
stop() { kill "$gateway"; wait "$gateway" || fail "jvpnd ends with $?"; }
mkdir -p /run/jvpn
start
jvpn peer add laptop --out /tmp
jvpn peer list | grep -q laptop || fail "no peer was added"
stop
has /var/lib/jvpn

stage "upgrade keeps keys, peers, the profile and the sessions' store"
before=$(cd / && find etc/jvpn var/lib/jvpn -type f -name '*.[kpy]*' -exec sha256sum {} + | sort)
store=$(find /var/lib/jvpn -type f | sort)
dpkg --install "$debs"/*.deb > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; fail "dpkg --install, again"; }
[[ $(cd / && find etc/jvpn var/lib/jvpn -type f -name '*.[kpy]*' -exec sha256sum {} + | sort) == "$before" ]] || fail "files have changed"
[[ $(find /var/lib/jvpn -type f | sort) == "$store" ]] || fail "the store has changed"
start
jvpn peer list | grep -q laptop || fail "the peer is gone"
stop

stage "a client is imported"
jvpn-client --import /tmp/laptop.jvpn --device wan0
has /etc/jvpn/laptop.yaml
jvpn check /etc/jvpn/laptop.yaml

stage "remove keeps what is the user's"
dpkg --remove jvpnd jvpn-client jvpn > /tmp/dpkg.log 2>&1
[[ ! -e /usr/bin/jvpnd ]] || fail "jvpnd is still there"
for each in /etc/jvpn/keys/gw1.key /etc/jvpn/laptop.key /etc/jvpn/jvpnd.yaml; do has "$each"; done

stage "purge leaves nothing"
dpkg --purge jvpnd jvpn-client jvpn > /tmp/dpkg.log 2>&1
for each in /etc/jvpn /var/lib/jvpn /var/log/jvpn; do [[ ! -e $each ]] || fail "$each is left"; done
echo "all stages passed"
