#!/bin/bash
# The lab for jvpn-perf (lab_driver.h): takes one command a line on stdin and answers each by one line on
# stdout, `ok …`, once it is done; what is for people goes to stderr. A command that fails ends it. When
# stdin ends, or by SIGTERM, it takes the lab down and goes.
set -euo pipefail
# shellcheck source=tools/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib/common.sh"
# shellcheck source=tools/lib/lab.sh
source "$ROOT/tools/lib/lab.sh"
# shellcheck source=tools/lib/faults.sh
source "$ROOT/tools/lib/faults.sh"
# shellcheck source=perf/jvpn_perf/peers.sh
source "$ROOT/perf/jvpn_perf/peers.sh"

LAB_TOUCHED=''

clean_up() {
  local status=$?
  trap '' INT TERM HUP
  trap - EXIT
  end_bounded
  if [[ -n $LAB_TOUCHED ]]; then
    ((status == 0)) || lab_logs
    lab_down
  fi
  exit $status
}

lock_command() { lab_lock "$1"; }

policy_command() { LAB_POLICY=$*; }  # of both ends, before up

# up_command RTT_MS: 0: plain links. Answers with what a program has to know of the lab.
up_command() {
  local link options=()
  [[ $1 == 0 ]] || for link in "${LAB_LINKS[@]}"; do options+=(--emulated "$link"); done
  LAB_TOUCHED=1
  lab_up "${options[@]}"
  lab_keys
  lab_profiles
  [[ $1 == 0 ]] || usual_delay "$(awk -v "r=$1" 'BEGIN { print r / 2 }')"
  start_gateway
  start_client
  ANSWER=$(facts)
}

facts() {
  printf '{"logs": "%s", "gateway_socket": "%s", "client_socket": "%s", "server4": "%s", "client4": "%s", ' \
    "$LAB_DIR/log" "$GATEWAY_SOCKET" "$CLIENT_SOCKET" "$LAB_SERVER4" "$LAB_CLIENT4"
  printf '"driver": "%s", "workers": %d, "links": ["%s"]}\n' "$LAB_DRIVER" "$LAB_QUEUES" \
    "$(sed 's/ /", "/g' <<<"${LAB_LINKS[*]}")"
}

cut_command() { fault_cut "$1" "$2"; }
heal_command() { fault_heal "$1"; }
rebind_command() { fault_rebind "$1" "$2"; }

# ping_command LINK COUNT: the gateway by that link, outside the tunnel. Answers with the least round trip in ms.
ping_command() {
  local gateway=${LAB_OUTSIDE4[$1]%.*}.1
  ANSWER=$(in_ns client ping -n -q -c "$2" -i 0.02 -W 2 -I "$1" "$gateway" |
    sed -n 's|^rtt [a-z/]* = \([0-9.]*\)/.*|\1|p')
  [[ -n $ANSWER ]] || die "$1: the gateway does not answer pings"
}

main() {
  local words
  require_root
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  while read -r -a words; do
    ANSWER=''
    # What outlives a command must not hold the answers' descriptor open.
    "${words[0]}_command" "${words[@]:1}" </dev/null 3>&-
    printf 'ok %s\n' "$ANSWER" >&3
  done
}

main 3>&1 >&2
