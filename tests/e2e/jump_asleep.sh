#!/bin/bash
# A closed laptop: the client is idle by policy, then stopped for ten transport-loss TTLs while none of its links
# carries anything; it wakes without its first link and goes on over another. The session and an idle TCP
# connection are still there. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 150 "$@"

TTL_MS=1500
# Awake, silence is death after 0.6 s; asleep, after 10 s ÷ 0.1 s = 100 times that.
LAB_POLICY="version: 1, session: {transport_loss_ttl_ms: $TTL_MS, idle_max_ms: 10000},
  volatility: {heartbeat_interval_ms: 100, heartbeat_volatile_ms: 300, transport_dead_ms: 600}"

# An echo server, and a client that says one word, waits for the file $LAB_DIR/morning, and says another.
ECHO_SERVER='import socket
s = socket.create_server(("'$LAB_SERVER4'", 7007))
print("listens", flush=True)
c = s.accept()[0]
while word := c.recv(64): c.sendall(word)'
ECHO_CLIENT='import os, socket, sys, time
s = socket.create_connection(("'$LAB_SERVER4'", 7007), 10)
s.settimeout(30)
def say(word):
    s.sendall(word)
    assert s.recv(64) == word
    print("echoed", word.decode(), flush=True)
say(b"evening")
while not os.path.exists(sys.argv[1]): time.sleep(0.05)
say(b"morning")'

idle() { holds "$1" 'show["sessions"][0]["idle"]'; }
both_idle() { idle "$GATEWAY_SOCKET" && idle "$CLIENT_SOCKET"; }
logged() { grep -q "$2" "$LAB_DIR/log/$1.log"; }
# slept_for MS: so long has the gateway heard nothing.
slept_for() { (($(session_field "$GATEWAY_SOCKET" last_rx_ms_ago) > $1)); }
back() { both_attached && [[ $(active_link) == wan1 ]]; }

lab_with_session --emulated wan0 --emulated wan1 --emulated wan2
note_session
since=$(now_ms)
lab_spawn echo-server lan python3 -u -c "$ECHO_SERVER"
wait_for 5 logged echo-server listens || die "the echo server did not start"
lab_spawn echo-client client python3 -u -c "$ECHO_CLIENT" "$LAB_DIR/morning"
expect "a TCP connection stands" wait_for 5 logged echo-client 'echoed evening'
expect "without traffic, both ends agree to be idle" wait_for 20 both_idle

step "Asleep for ten TTLs"
client=$(lab_pid jvpn-client)
for link in "${LAB_LINKS[@]}"; do fault_cut "$link" silent; done
kill -STOP "$client"
expect "nothing was heard for $((10 * TTL_MS)) ms" wait_for $((10 * TTL_MS / 1000 + 15)) slept_for $((10 * TTL_MS))
expect "the gateway still has the session" session_is "$GATEWAY_SOCKET" "$NOTED_ID"

step "Awake elsewhere: wan0 is gone, wan1 is there"
fault_heal wan1
ip -n jvpn-client link set wan0 down
kill -CONT "$client"
expect "attached over wan1" wait_for 10 back
expect "still the same session at both ends" same_session
touch "$LAB_DIR/morning"
expect "the TCP connection goes on" wait_for 15 logged echo-client 'echoed morning'
expect "jvpn audit finds nothing wrong" audit_clean
show_timeline "$since"
e2e_end
