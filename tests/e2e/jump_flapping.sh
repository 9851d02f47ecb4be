#!/bin/bash
# Flapping. First the active link alone goes down and up every 300 ms: the session leaves it, and stays away for
# long enough that its switches stay bounded. Then every link drops all for 300 ms and passes all for 300 ms,
# alternately: the session stays the same, degrades, does not switch more often than policy says, and, once it is
# over, comes to rest. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"

FLAPPING=${JVPN_FLAP_SECONDS:-60}
PERIOD_MS=300
RESTS=20  # seconds without a switch after the end
e2e_begin $((FLAPPING + 140)) "$@"

MOST_SWITCHES=8  # of the default policy, in a minute

# most_switches NAME: how many switches that program has told of within any one minute.
most_switches() {
  grep '"TRANSPORT_SWITCH"' "$LAB_DIR/log/$1.log" | python3 -c 'import json, sys
times = [json.loads(line)["ts_ms"] for line in sys.stdin]
print(max((sum(start <= t < start + 60_000 for t in times) for start in times), default=0))'
}
bounded_switches() {
  local name most
  for name in jvpnd jvpn-client; do
    most=$(most_switches "$name")
    info "$name: at most $most switches in a minute"
    ((most <= MOST_SWITCHES)) || return 1
  done
}

switches() { told jvpnd '"TRANSPORT_SWITCH"'; }
entered() { (($(told jvpnd "\"to\":\"$1\"") + $(told jvpn-client "\"to\":\"$1\"") > $2)); }
entries() { echo $(($(told jvpnd "\"to\":\"$1\"") + $(told jvpn-client "\"to\":\"$1\""))); }
rests() { local before; before=$(switches); ! rises "$RESTS" "$before" switches; }

# toggled LINK: its cable is pulled and plugged every 300 ms, until killed.
toggled() {
  while true; do
    link_state "$1" down
    sleep 0.$PERIOD_MS
    link_state "$1" up
    sleep 0.$PERIOD_MS
  done
}

lab_with_session --emulated wan0 --emulated wan1 --emulated wan2
since=$(now_ms)
note_session
transfer_start $((FLAPPING / 3 + 60)) $((FLAPPING + 120))

step "$NOTED_LINK goes down and up every $PERIOD_MS ms"
toggled "$NOTED_LINK" 9>&- &
toggler=$!
expect_jump 10
