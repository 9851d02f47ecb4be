#!/bin/bash
# Event sinks that are dead, rotated or stopped while the session jumps: the jump doesn't notice, `jvpn show`
# does, nothing is lost that fits into memory, and `jvpn audit` finds the whole story in the files.
# Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 150 "$@"

EVENTS=$LAB_DIR/log/gateway-events
COLLECTOR=$LAB_DIR/collector.sock

# sink KIND EXPRESSION: of the gateway's sink of that kind.
sink() { holds "$GATEWAY_SOCKET" "any(sink['kind'] == '$1' and ($2) for sink in show['events']['sinks'])"; }
has_events() { grep -q '^{"ts_ms"' "$1" 2>/dev/null; }
tells_of() { grep -q "\"reason\":\"$2\"" "$1" 2>/dev/null; }
collected() { [[ $(wc -l <"$WORK/collected") == $(gateway_value "show['events']['written']") ]]; }
ends_by_interrupt() {
  local status=0
  kill -INT "$1"
  wait "$1" || status=$?
  ((status == 0))
}
follower_sees() { tells_of "$WORK/followed" "$1"; }

# A collector that appends what it gets to $WORK/collected.
collect() {
  python3 - "$COLLECTOR" "$WORK/collected" <<'END' &
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
connection, _ = listener.accept()
with open(sys.argv[2], "wb", buffering=0) as file:
    while data := connection.recv(65536):
        file.write(data)
END
  collector=$!
}

step "Lab, gateway with three sinks: stdout, a file, a socket on which nobody listens"
lab_prepared
echo "events: {sinks: [{kind: stdout}, {kind: file, path: $EVENTS}, {kind: unix, path: $COLLECTOR}]}" >>"$LAB_DIR/gateway.yaml"
start_gateway
start_client
expect "events are in the file" wait_for 5 has_events "$EVENTS"
expect "the file is for owner and group alone" test "$(stat -c %a "$EVENTS")" = 640
expect "events are on stdout" wait_for 5 has_events "$LAB_DIR/log/jvpnd.log"
expect "the socket is shown as ill" wait_for 5 sink unix 'not sink["healthy"] and "No such file" in sink["why"]'
expect "the others are well" sink file 'sink["healthy"] and sink["lost"] == 0'
expect "a line on stderr says so" grep -q "event sink unix $COLLECTOR: No such file" "$LAB_DIR/log/jvpnd.log"
expect "the table shows it" bash -c "'$LAB_BUILD/tools/jvpn' --socket '$GATEWAY_SOCKET' | grep -q 'unhealthy'"

step "The file is rotated, a follower stopped, and the session jumps"
"$LAB_BUILD/tools/jvpn" --socket "$GATEWAY_SOCKET" events --follow --json >"$WORK/followed" &
follower=$!
expect "a follower gets what was before" wait_for 5 follower_sees HANDSHAKE_OK
kill -STOP $follower
mv "$EVENTS" "$EVENTS.1"
note_session
bounded 5 "$LAB_BUILD/tools/jvpn" --socket "$CLIENT_SOCKET" jump --underlay wan1
expect "jumped" wait_for 5 jumped
expect "the same session" same_session
expect "the file was made anew" wait_for 5 tells_of "$EVENTS" TRANSPORT_SWITCH_OK
kill -CONT $follower
expect "the follower gets the jump" wait_for 5 follower_sees TRANSPORT_SWITCH_OK

step "Somebody listens on the socket"
collect
expect "it gets every event from the first on" wait_for 15 collected
expect "all sinks are well" wait_for 5 holds "$GATEWAY_SOCKET" 'show["events"]["healthy"] and show["events"]["lost"] == 0'

step "The end"
lab_stop jvpn-client INT
expect "Ctrl-C ends the follower with exit code 0" ends_by_interrupt $follower
lab_stop jvpnd INT
wait $collector
for files in "$EVENTS $EVENTS.1" "$WORK/collected" "$LAB_DIR/log/jvpnd.log"; do
  # shellcheck disable=SC2086
  expect "jvpn audit: ${files//"$LAB_DIR"/…} and the client's log are sound" \
    bounded 10 "$LAB_BUILD/tools/jvpn" audit --quiet $files "$LAB_DIR/log/jvpn-client.log"
done
sed -i '3d' "$WORK/collected"
status=0
bounded 10 "$LAB_BUILD/tools/jvpn" audit --quiet "$WORK/collected" || status=$?
expect "without one line it is incomplete: exit 3 (got $status)" test $status = 3
e2e_end
