#!/bin/bash
# A rekey every second under iperf3 and a numbered ping flood: no packet is lost or delivered twice.
# JVPN_REKEY_SECONDS=60 for the full show. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"

DURATION=${JVPN_REKEY_SECONDS:-10}
# Below what a small machine can carry, so that no queue overflows: a loss here is the rekey's fault.
BITRATE=${JVPN_REKEY_BITRATE:-50M}
PINGS=$((DURATION * 450))
e2e_begin $((DURATION * 2 + 90)) "$@"

# flood NAME NAMESPACE ADDRESS: numbered echoes, one every 2 ms, in the background.
flood() { lab_spawn "flood-$1" "$2" ping -n -q -c $PINGS -i 0.002 -s 100 -W 2 "$3"; }

# flood_is_whole NAME: each was answered once.
flood_is_whole() {
  wait_for $((DURATION + 20)) lab_ended "flood-$1" || return 1
  info "$(grep 'packets transmitted' "$LAB_DIR/log/flood-$1.log")"
  grep -q "^$PINGS packets transmitted, $PINGS received, 0% packet loss" "$LAB_DIR/log/flood-$1.log"
}

LAB_REKEY_MS=1000
lab_with_session
in_ns client ip link set jvpn0 txqueuelen 5000

step "$DURATION s of iperf3 at $BITRATE both ways, $PINGS pings each way, a rekey each second"
before=$(gateway_value 'max(s["rekeys"] for s in show["sessions"])')
flood out client $LAB_SERVER4
flood back lan $LAB_CLIENT4
expect "iperf3 both ways" iperf_runs $LAB_SERVER4 "$DURATION" --bidir -b "$BITRATE"
expect "no ping of the client lost or doubled" flood_is_whole out
expect "no ping of the server lost or doubled" flood_is_whole back

after=$(gateway_value 'max(s["rekeys"] for s in show["sessions"])')
least=$((DURATION * 7 / 10))
info "rekeys: $((${after:-0} - ${before:-0})) in about $DURATION s"
expect "at least $least rekeys" test $((${after:-0} - ${before:-0})) -ge $least
expect "still the same one session" holds "$GATEWAY_SOCKET" \
  'len(show["sessions"]) == 1 and show["sessions"][0]["state"] == "ATTACHED" and not show["terminated"]'
# Drops that a rekey could be to blame for; queues that overflow are not.
KEY_DROPS='["unknown_index", "no_binding", "key_exhausted", "bad_tag", "lane_unknown", "replay_duplicate", "replay_too_old"]'
no_key_drops() { holds "$1" "not any(show['drops'].get(name, 0) for name in $KEY_DROPS)"; }
expect "no drop at the gateway that a key explains" no_key_drops "$GATEWAY_SOCKET"
expect "nor at the client" no_key_drops "$CLIENT_SOCKET"
((UNMET == 0)) || info "gateway's drops: $(gateway_value 'show["drops"]')"
((UNMET == 0)) || info "client's drops: $(client_value 'show["drops"]')"
e2e_end
