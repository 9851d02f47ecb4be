#!/bin/bash
# Every link drops all for 300 ms and passes all for 300 ms, alternately, for a minute, under a steady stream of
# pings both ways (TCP alone would fall silent): the session stays the same, its switches stay within the policy, it
# degrades rather than oscillate, and when all is well again it comes to rest. JVPN_FLAP_SECONDS for another length.
# Topology: tools/lib/lab.sh; the links are emulated.
source "$(dirname "$0")/lib.sh"

FLAPPING=${JVPN_FLAP_SECONDS:-60}
e2e_begin $((2 * FLAPPING + 120)) "$@"

MOST_SWITCHES=8  # in a minute, by the default policy

switches() { told jvpnd '"TRANSPORT_SWITCH"'; }
# entries STATE: how often either end has entered it.
entries() { echo $(($(told jvpnd "\"to\":\"$1\"") + $(told jvpn-client "\"to\":\"$1\""))); }

# most_switches NAME: that the program has told of within any one minute.
most_switches() {
  { grep '"TRANSPORT_SWITCH"' "$LAB_DIR/log/$1.log" || true; } | python3 -c 'import json, sys
times = [json.loads(line)["ts_ms"] for line in sys.stdin]
print(max((sum(start <= t < start + 60_000 for t in times) for start in times), default=0))'
}

every_link() {
  local link
  for link in "${LAB_LINKS[@]}"; do fault_delay "$link" "flap_ms=$1"; done
}
flapped() { (($(now_ms) >= flapping_since + FLAPPING * 1000)); }

lab_with_session --emulated wan0 --emulated wan1 --emulated wan2
since=$(now_ms)
note_session
transfer_start $FLAPPING $((FLAPPING * 2))

lab_spawn stream-out client ping -n -q -i 0.02 -s 100 -W 1 $LAB_SERVER4
lab_spawn stream-back lan ping -n -q -i 0.02 -s 100 -W 1 $LAB_CLIENT4

step "Every link flaps for $FLAPPING s"
every_link 300
flapping_since=$(now_ms)
expect "DEGRADED is entered" rises "$FLAPPING" 0 entries DEGRADED
wait_for $((FLAPPING + 5)) flapped || true
expect "still the same session" same_session
for name in jvpnd jvpn-client; do
  most=$(most_switches $name)
  expect "$name: no more than $MOST_SWITCHES switches in a minute (most: $most)" test "$most" -le $MOST_SWITCHES
done

step "The links are well again"
every_link 0
expect "attached at both ends" wait_for 30 both_attached
expect "pings pass" pings client $LAB_SERVER4
expect "pings pass towards the client" pings lan $LAB_CLIENT4
expect "EXIT_DEGRADED_MODE" test "$(told jvpn-client '"EXIT_DEGRADED_MODE"')" -gt 0
# The tunnel carries everything again. TCP finds out by its own clock: it doubles the time between its attempts, and
# may now be silent for as long again as it has been.
expect "TCP goes on" transfer_goes_on $((FLAPPING + 30))
before=$(switches)
expect "no further switch for 20 s" not rises 20 "$before" switches
expect "still the same session" same_session
jump_end "$since"
