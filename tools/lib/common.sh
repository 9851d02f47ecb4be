# Helpers of every script: messages, packages, hugepages, waiting, kernel features. Source it, don't run it.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export LC_ALL=C  # numbers and error texts that the scripts read

# Exit codes of all scripts besides 0 and 1.
readonly EXIT_USAGE=2
readonly EXIT_NO_FEATURE=3  # the kernel or the machine lacks something

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  BOLD=$'\e[1m' GREEN=$'\e[32m' RED=$'\e[31m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
  BOLD='' GREEN='' RED='' YELLOW='' PLAIN=''
fi

# --- messages ---------------------------------------------------------------------------------

STARTED_AT=$SECONDS

elapsed() { printf '%d:%02d' $(((SECONDS - STARTED_AT) / 60)) $(((SECONDS - STARTED_AT) % 60)); }
step() { printf '%s[%s] %s%s\n' "$BOLD" "$(elapsed)" "$*" "$PLAIN"; }
info() { printf '       %s\n' "$*"; }
good() { printf '       %sok%s  %s\n' "$GREEN" "$PLAIN" "$*"; }
bad() { printf '       %sFAIL%s  %s\n' "$RED" "$PLAIN" "$*"; }
warn() { printf '%swarning:%s %s\n' "$YELLOW" "$PLAIN" "$*" >&2; }

# die MESSAGE [EXIT_CODE]
die() {
  printf '%serror:%s %s\n' "$RED" "$PLAIN" "$1" >&2
  exit "${2:-1}"
}

# show_tail FILE [LINES]: the end of a log, indented, with its name.
show_tail() {
  [[ -s $1 ]] || return 0
  printf -- '--- last lines of %s\n' "${1##*/}" >&2
  tail -n "${2:-20}" "$1" | sed 's/^/    /' >&2
}

# --- bounds -----------------------------------------------------------------------------------

# bound_script SECONDS "$@": runs the calling script again under a time limit. The limit ends it by
# SIGTERM, so that its traps clean up; 60 s later by SIGKILL.
bound_script() {
  local seconds=$1
  shift
  if [[ ${JVPN_BOUNDED:-} != "$0" ]]; then
    JVPN_BOUNDED=$0 exec timeout --foreground --kill-after=60 "$seconds" "$0" "$@"
  fi
}

# bounded SECONDS COMMAND…: runs an external command, in a process group of its own, within a time limit;
# unlike a plain call, it lets a signal to the script be answered at once. The traps end what runs by
# end_bounded.
BOUNDED_PID=''
bounded() {
  local seconds=$1 status=0
  shift
  timeout --kill-after=5 "$seconds" "$@" </dev/null &
  BOUNDED_PID=$!
  wait "$BOUNDED_PID" || status=$?
  BOUNDED_PID=''
  return "$status"
}

end_bounded() {
  [[ -n $BOUNDED_PID ]] || return 0
  kill -TERM "$BOUNDED_PID" 2>/dev/null || true
  wait "$BOUNDED_PID" 2>/dev/null || true
  BOUNDED_PID=''
}

# wait_for SECONDS COMMAND…: polls until COMMAND succeeds; fails when the time is over.
wait_for() {
  local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
  shift
  until "$@" >/dev/null 2>&1; do
    ((${EPOCHREALTIME/./} < deadline)) || return 1
    sleep 0.05
  done
}

# --- build ------------------------------------------------------------------------------------

# One line for each tenth of what ninja builds.
# shellcheck disable=SC2016
TENTHS='/^\[[0-9]+\/[0-9]+\]/ {
  split(substr($1, 2), n, /[\/\]]/)
  if (int(10 * n[1] / n[2]) > tenth) {
    tenth = int(10 * n[1] / n[2]); printf "       built %s of %s\n", n[1], n[2]; fflush()
  }
}'

# ninja_build SECONDS DIRECTORY LOG [TARGET…]
ninja_build() {
  local seconds=$1 directory=$2 log=$3
  shift 3
  # shellcheck disable=SC2016
  bounded "$seconds" bash -o pipefail -c 'ninja -C "$1" "${@:4}" 2>&1 | tee "$2" | awk "$3"' \
    - "$directory" "$log" "$TENTHS" "$@"
}

# --- machine ----------------------------------------------------------------------------------

require_root() {
  [[ $EUID -eq 0 ]] || die "this needs root (namespaces, hugepages): run it with sudo" "$EXIT_USAGE"
}

missing_packages() {
  local wanted have
  wanted=$(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$ROOT/tools/packages.txt" | sort -u)
  # shellcheck disable=SC2016,SC2086  # dpkg's own variables; one argument per package
  have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
    sed -n 's/^installed //p' | sort -u) || true
  comm -23 <(echo "$wanted") <(echo "$have")
}

# Installs what tools/packages.txt lists and this machine lacks.
install_packages() {
  local missing
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    die "packages are installed by apt only (Debian 12); elsewhere install the equivalents of
       tools/packages.txt yourself and use --no-install" "$EXIT_NO_FEATURE"
  fi
  missing=$(missing_packages)
  if [[ -z $missing ]]; then
    good "all packages are there"
    return
  fi
  require_root
  info "installing: $(echo "$missing" | paste -sd' ')"
  bounded 300 env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 update \
    >/dev/null || die "apt-get update failed"
  # shellcheck disable=SC2086  # one argument per package
  bounded 1200 env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
    install --no-install-recommends $missing >/dev/null || die "apt-get install failed"
  missing=$(missing_packages)
  [[ -z $missing ]] || die "still missing after apt-get install: $missing"
  good "packages installed"
}

# --- hugepages --------------------------------------------------------------------------------
# All in 2 MiB pages. What was changed is remembered in a file, so that another run can put it back.

HUGEPAGES_DIR=/sys/kernel/mm/hugepages/hugepages-2048kB
HUGETLBFS=/dev/hugepages

# reserve_hugepages COUNT STATE_FILE: at least COUNT free pages and a hugetlbfs; fails, with nothing
# changed, when the kernel can't give them.
reserve_hugepages() {
  local wanted=$1 state=$2 total free
  [[ -d $HUGEPAGES_DIR ]] || return 1
  total=$(<"$HUGEPAGES_DIR/nr_hugepages")
  free=$(<"$HUGEPAGES_DIR/free_hugepages")
  printf 'previous=%s\n' "$total" >"$state"
  if ((free < wanted)); then
    echo $((total + wanted - free)) >"$HUGEPAGES_DIR/nr_hugepages"
    free=$(<"$HUGEPAGES_DIR/free_hugepages")
    if ((free < wanted)); then
      restore_hugepages "$state"
      return 1
    fi
  fi
  if ! grep -qs " $HUGETLBFS hugetlbfs " /proc/mounts; then
    [[ -d $HUGETLBFS ]] || { mkdir "$HUGETLBFS" && echo 'made_directory=1' >>"$state"; }
    mount -t hugetlbfs -o pagesize=2M none "$HUGETLBFS" && echo 'mounted=1' >>"$state"
  fi
}

# restore_hugepages STATE_FILE: puts back what reserve_hugepages changed; does nothing a second time.
restore_hugepages() {
  local previous='' mounted='' made_directory='' key value
  [[ -f $1 ]] || return 0
  while IFS='=' read -r key value; do
    case $key in
      previous) previous=$value ;;
      mounted) mounted=$value ;;
      made_directory) made_directory=$value ;;
    esac
  done <"$1"
  rm -f "$1"
  if [[ -n $mounted ]]; then umount "$HUGETLBFS" || warn "$HUGETLBFS stays mounted"; fi
  if [[ -n $made_directory ]]; then rmdir "$HUGETLBFS" 2>/dev/null || true; fi
  if [[ -n $previous ]]; then echo "$previous" >"$HUGEPAGES_DIR/nr_hugepages"; fi
}

# --- kernel features --------------------------------------------------------------------------

# In a namespace of its own, gone with the process: try COMMAND.
in_scratch_namespace() { unshare --net -- "$@" >/dev/null 2>&1; }

has_netns() { in_scratch_namespace true; }
has_veth() { in_scratch_namespace ip link add jvpn-probe0 type veth peer name jvpn-probe1; }
has_bridge() { in_scratch_namespace ip link add jvpn-probe0 type bridge; }
has_nftables() { in_scratch_namespace nft add table inet jvpn_probe; }
has_tun() {
  [[ -c /dev/net/tun ]] || modprobe tun 2>/dev/null || true
  in_scratch_namespace ip tuntap add dev jvpn-probe0 mode tun
}

# require_kernel FEATURE…: a clear message and exit 3 when one is missing.
require_kernel() {
  local feature
  for feature in "$@"; do
    "has_$feature" && continue
    case $feature in
      netns) die "the kernel has no network namespaces (CONFIG_NET_NS), or this container may not make them" $EXIT_NO_FEATURE ;;
      veth) die "the kernel has no veth pairs (CONFIG_VETH; try: modprobe veth)" $EXIT_NO_FEATURE ;;
      bridge) die "the kernel has no bridges (CONFIG_BRIDGE; try: modprobe bridge)" $EXIT_NO_FEATURE ;;
      tun) die "the kernel has no TUN devices (CONFIG_TUN, /dev/net/tun; try: modprobe tun)" $EXIT_NO_FEATURE ;;
      nftables) die "the kernel has no nftables (CONFIG_NF_TABLES; try: modprobe nf_tables)" $EXIT_NO_FEATURE ;;
    esac
  done
}

# Which DPDK driver can open a kernel interface here: prints af_xdp, or af_packet where XDP is missing.
port_driver() {
  if python3 -c 'import socket; socket.socket(44, socket.SOCK_RAW, 0)' 2>/dev/null; then
    echo af_xdp  # 44 is AF_XDP, which Python has no name for
  else
    echo af_packet
  fi
}

# --- python -----------------------------------------------------------------------------------

# run_module MODULE ARGUMENT…: becomes lab/jvpn_lab/MODULE.py. A fresh machine may have no python3 yet.
run_module() {
  local module=$1
  shift
  command -v python3 >/dev/null || { step "Packages"; install_packages; }
  PYTHONPATH=$ROOT/lab exec python3 -m "jvpn_lab.$module" "$@"
}
