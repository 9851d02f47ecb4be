#!/bin/bash
# A laptop goes to sleep with an idle TCP connection and wakes ten transport-loss TTLs later on another link, its
# first one gone: by a policy that lets it idle so rarely heard the session and the connection are the same. The
# client's process is stopped, all its links are down meanwhile. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 120 "$@"

TTL_MS=1000
# Idle, everything takes 5000 / 200 times as long: dead after 20 s, lost after 25 s.
LAB_POLICY="version: 1, session: {transport_loss_ttl_ms: $TTL_MS, idle_max_ms: 5000},
  volatility: {heartbeat_interval_ms: 200, heartbeat_volatile_ms: 400, transport_dead_ms: 800}"

idle() { holds "$1" 'show["sessions"][0]["idle"]'; }
both_idle() { idle "$GATEWAY_SOCKET" && idle "$CLIENT_SOCKET"; }
silent_for() { holds "$GATEWAY_SOCKET" "show['sessions'][0]['last_rx_ms_ago'] >= $1"; }
signal() { kill "-$2" "$(lab_pid "$1")"; }

lab_with_session
note_session
first=$NOTED_LINK
since=$(now_ms)
transfer_start 20 20

step "The connection falls silent, the client announces that it is idle"
signal transfer-sender STOP
expect "both ends agree that the session is idle" wait_for 15 both_idle
expect "nothing has moved" unmoved

step "The laptop is closed"
signal jvpn-client STOP
for link in "${LAB_LINKS[@]}"; do fault_cut "$link" down; done
expect "the gateway hears nothing for ten TTLs" wait_for $((TTL_MS / 100 + 10)) silent_for $((10 * TTL_MS))
expect "and keeps the session" session_is "$GATEWAY_SOCKET" "$NOTED_ID"

step "It is opened elsewhere: only wan1 is there"
fault_heal wan1
signal jvpn-client CONT
signal transfer-sender CONT
expect_jump 10
expect "by wan1, not $first" test "$(active_link)" = wan1
jump_end "$since"
