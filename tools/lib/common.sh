# Helpers of the shell scripts: messages, bounds, packages, the way to Python. Source it, don't run it.
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
  local seconds=$(($1 > 1 ? $1 : 1)) status=0
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
    die "packages are installed by apt only (Debian 12 or 13); elsewhere install the equivalents of
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

# --- python -----------------------------------------------------------------------------------

# run_module MODULE ARGUMENT…: becomes lab/jvpn_lab/MODULE.py. A fresh machine may have no python3 yet.
run_module() {
  local module=$1
  shift
  if ! command -v python3 >/dev/null; then
    [[ " $* " != *' --no-install '* ]] || die "python3 is missing: run this without --no-install" $EXIT_NO_FEATURE
    step "Packages"
    install_packages
  fi
  PYTHONPATH=$ROOT/lab exec python3 -m "jvpn_lab.$module" "$@"
}
