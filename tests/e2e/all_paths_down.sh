#!/bin/bash
# Every link drops everything: for less than the transport-loss TTL the session and its TCP connection
# survive; for longer both ends end it with TTL_TRANSPORT_LOSS_EXPIRED, and the client comes back with a
# new session. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 180 "$@"

# The TTL runs from the transport's death, 2 s after the cut, and is under the recovery window.
TTL_SECONDS=8
LAB_POLICY="version: 1, session: {transport_loss_ttl_ms: ${TTL_SECONDS}000},
  switching: {max_recovery_window_ms: 20000, max_recovery_attempts: 20}"

every_link() {
  local link
  for link in "${LAB_LINKS[@]}"; do "$@" "$link"; done
}
cut_silently() { fault_cut "$1" silent; }
silent_for() { holds "$GATEWAY_SOCKET" "show['sessions'][0]['last_rx_ms_ago'] >= $1"; }
not_attached() { ! attached "$GATEWAY_SOCKET" && ! client_attached; }
new_session() { both_attached && ! session_is "$GATEWAY_SOCKET" "$NOTED_ID"; }

lab_with_session
note_session
since=$(now_ms)
transfer_start 32 16

step "All links down for 5 s"
every_link cut_silently
expect "both ends notice" wait_for 5 not_attached
expect "the gateway has heard nothing for 5 s" wait_for 8 silent_for 5000
every_link fault_heal
expect "attached again" wait_for 15 both_attached
expect "still the same session at both ends" same_session
expect "state_version rose at both ends" versions_rose
expect "TCP goes on" transfer_goes_on 20
expect "the transfer ends with the right checksum" transfer_finishes 60

step "All links down for longer than the TTL"
every_link cut_silently
expect "both ends end the session: TTL_TRANSPORT_LOSS_EXPIRED" wait_for $((TTL_SECONDS + 5)) ended_for TTL_TRANSPORT_LOSS_EXPIRED
every_link fault_heal
expect "a new session stands" wait_for 20 new_session
expect "traffic flows again" pings client $LAB_SERVER4
expect "jvpn audit finds nothing wrong" audit_clean
show_timeline "$since"
e2e_end
