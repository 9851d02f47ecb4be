# What every scenario shares. tools/lib/lab.sh draws the topology. A scenario is a short script:
#
#   source "$(dirname "$0")/lib.sh"
#   e2e_begin 120 "$@"     # a time limit; the lab is taken down whatever happens
#   lab_with_session       # namespaces, jvpnd, jvpn-client, one ATTACHED session
#   expect "what should hold" COMMAND…
#   e2e_end
#
# shellcheck shell=bash
set -euo pipefail
# shellcheck source=tools/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib/common.sh"
# shellcheck source=tools/lib/lab.sh
source "$ROOT/tools/lib/lab.sh"
# shellcheck source=tools/lib/faults.sh
source "$ROOT/tools/lib/faults.sh"
# shellcheck source=tools/lib/jump.sh
source "$ROOT/tools/lib/jump.sh"

WORK=''
LAB_TOUCHED=''
EXPECTED=0
UNMET=0

e2e_clean_up() {
  local status=$?
  trap '' INT TERM HUP
  trap - EXIT
  end_bounded
  if [[ -n $LAB_TOUCHED ]]; then
    ((status == 0)) || lab_logs
    lab_down
  fi
  [[ -z $WORK ]] || rm -rf "$WORK"
  exit $status
}

# e2e_begin SECONDS "$@": bounds the script, arms the cleaning up.
e2e_begin() {
  require_root
  bound_script "$@"
  trap e2e_clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  WORK=$(mktemp -d "${TMPDIR:-/tmp}/jvpn-e2e.XXXXXX")
}

not() { ! "$@"; }

# expect WHAT COMMAND…: the command has to succeed; the scenario goes on in either case.
expect() {
  local what=$1
  shift
  EXPECTED=$((EXPECTED + 1))
  if "$@"; then
    good "$what"
  else
    bad "$what"
    UNMET=$((UNMET + 1))
  fi
}

# Ends the scenario: exit 1 when something expected did not hold.
e2e_end() {
  ((EXPECTED > 0)) || die "the scenario expected nothing"
  ((UNMET == 0)) || die "$UNMET of $EXPECTED expectations failed"
  step "all $EXPECTED expectations hold"
}

# lab_prepared [--emulated LINK]…: namespaces, keys and profiles; nothing runs yet.
lab_prepared() {
  lab_lock 600
  LAB_TOUCHED=1
  lab_up "$@"
  lab_keys
  lab_profiles
}

# lab_with_session [--emulated LINK]…
lab_with_session() {
  step "Lab, gateway, client"
  lab_prepared "$@"
  start_gateway
  start_client
  good "session ATTACHED"
}

# pings NAMESPACE ADDRESS [COUNT]: all of them answered, none twice.
pings() {
  bounded 30 ip netns exec "jvpn-$1" ping -n -q -c "${3:-10}" -i 0.05 -W 2 "$2" >"$WORK/ping.txt" 2>&1 || true
  grep -q ' 0% packet loss' "$WORK/ping.txt" && ! grep -q duplicates "$WORK/ping.txt"
}

# iperf_runs ADDRESS SECONDS [OPTION…]: a TCP run from the client moves data; prints its rate.
iperf_runs() {
  local address=$1 seconds=$2 status=0
  shift 2
  lab_spawn iperf3-server lan iperf3 -s -1
  wait_for 5 iperf_server_listens || return 1
  bounded $((seconds + 15)) ip netns exec jvpn-client iperf3 -J -c "$address" -t "$seconds" \
    --connect-timeout 5000 "$@" >"$WORK/iperf.json" 2>&1 || status=1
  lab_stop iperf3-server
  python3 - "$WORK/iperf.json" <<'END' || status=1
import json, sys
received = json.load(open(sys.argv[1]))["end"]["sum_received"]
print("       %.0f Mbit/s" % (received["bits_per_second"] / 1e6))
sys.exit(received["bytes"] == 0)
END
  return $status
}

iperf_server_listens() { in_ns lan ss -tlnH "sport = :5201" | grep -q .; }

# told NAME REGEX: how many events of that program's log match; keys stand as in control/events.h.
told() { grep '^{' "$LAB_DIR/log/$1.log" | grep -cE "$2" || true; }

# --- attacks ----------------------------------------------------------------------------------

told_gw() { told jvpnd "\"SECURITY_EVENT\".*\"$1\""; }
told_client() { told jvpn-client "\"SECURITY_EVENT\".*\"$1\""; }
drops() { gateway_value "show['drops'].get('$1', 0)"; }
control_messages() { gateway_value 'show["control"]["control_received"]'; }

# rises SECONDS FROM COMMAND…: the number that it prints gets above FROM within that time.
rises() { wait_for "$1" above "${@:2}"; }
above() { (($("${@:2}") > $1)); }

# harmless WHAT: since note_session nothing has moved, and pings pass both ways.
harmless() {
  expect "$1: no version, no binding, no path has changed" unmoved
  expect "$1: pings pass" pings client $LAB_SERVER4 5
  expect "$1: pings pass towards the client" pings lan $LAB_CLIENT4 5
}

# --- jumps ------------------------------------------------------------------------------------

# expect_jump SECONDS: within that time the session noted before is attached at both ends, with the gateway
# sending elsewhere, and a transfer that runs goes on. The next jump is judged against this one.
expect_jump() {
  expect "attached again, by another path, within $1 s" wait_for "$1" jumped
  expect "still session ${NOTED_ID:0:12}… at both ends" same_session
  expect "state_version rose at both ends" versions_rose
  expect "TCP goes on" transfer_goes_on 15
  info "the gateway sends to $(session_field "$GATEWAY_SOCKET" remote), before to $NOTED_REMOTE"
  if ((UNMET == 0)); then note_session; fi
}

# jump_end SINCE_MS: the transfer ends well and the audit is clean; the timeline; the scenario's end.
jump_end() {
  expect "the transfer ends with the right checksum" transfer_finishes 60
  expect "jvpn audit finds nothing wrong" audit_clean
  show_timeline "$1"
  e2e_end
}
