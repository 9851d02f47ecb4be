#!/bin/bash
# SIGTERM: both programs end within 2 s with exit code 0, tell the peer, and take their routes, TUN and
# sockets with them. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 120 "$@"

# ends_in_time NAME: after SIGTERM, within 2 s, with exit code 0.
ends_in_time() {
  local pid begin status=0 milliseconds
  pid=$(lab_pid "$1")
  begin=${EPOCHREALTIME/./}
  kill -TERM "$pid"
  wait_for 5 lab_ended "$1" || return 1
  milliseconds=$(((${EPOCHREALTIME/./} - begin) / 1000))
  wait "$pid" || status=$?
  info "$1 ended after $milliseconds ms with exit code $status"
  ((status == 0 && milliseconds < 2000))
}

no_routes() { ! in_ns client ip route show "$@" | grep -q .; }
no_interface() { ! in_ns client ip link show jvpn0; }
ended_by_peer() {
  holds "$1" 'not any(s["state"] == "ATTACHED" for s in show["sessions"])
    and show["terminated"] and show["terminated"][-1]["reason"] == "POLICY_TERMINATION"'
}

lab_with_session
expect "traffic flows" pings client $LAB_SERVER4

step "SIGTERM to jvpn-client"
expect "it ends within 2 s" ends_in_time jvpn-client
expect "the gateway's session is gone: POLICY_TERMINATION" wait_for 2 ended_by_peer "$GATEWAY_SOCKET"
expect "jvpn0 is gone" wait_for 1 no_interface
expect "its IPv4 route is gone" no_routes 10.99.0.0/24
expect "its IPv6 route is gone" no_routes fd99::/64
expect "its admin socket is gone" test ! -e "$CLIENT_SOCKET"
expect "the gateway lives on" wait_for 2 show_json "$GATEWAY_SOCKET"

step "SIGTERM to jvpnd under a new session"
start_client
expect "traffic flows again" pings client $LAB_SERVER4
expect "jvpnd ends within 2 s" ends_in_time jvpnd
expect "the client was told: POLICY_TERMINATION" wait_for 2 ended_by_peer "$CLIENT_SOCKET"
expect "its admin socket is gone" test ! -e "$GATEWAY_SOCKET"
expect "the client still ends within 2 s" ends_in_time jvpn-client
e2e_end
