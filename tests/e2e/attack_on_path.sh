#!/bin/bash
# Somebody on the links, between the two ends: replays what passed, from there and from elsewhere, cuts messages
# short, turns their order round, holds reattach requests back for longer than they are good for, and gives
# requests, responses and data another host's source. None of that moves the session, and the service goes on.
# Topology: tools/lib/lab.sh; the attacker is lab/link on the emulated links:
#
#   jvpn-client wanN ──── client [jvpn-netN: attacker] gw ──── wanN jvpn-gw
source "$(dirname "$0")/lib.sh"
e2e_begin 240 "$@"

declare -A ELSEWHERE=([wan0]=192.0.2.66 [wan1]=198.51.100.66 [wan2]=203.0.113.66)  # other hosts there

refused() { told jvpnd "\"REATTACH\".*\"$1\".*\"reject\""; }
switches() { told jvpnd '"TRANSPORT_SWITCH"'; }
tampered() { attack "$1" status | sed -n 's/.*tampered=\([0-9]*\).*/\1/p'; }
never_bound() { (($(told jvpnd "\"(TRANSPORT_SWITCH|REATTACH)\".*\"(to_path|accept)\".*>$1:") == 0)); }

# replay LINK TO MODIFICATION…: control messages and data that passed there, again.
replay() {
  local link=$1 to=$2
  shift 2
  info "towards $to: control $(attack "$link" replay "to=$to" kind=control "$@"), data $(attack "$link" replay "to=$to" kind=data count=200 "$@")"
}

LAB_POLICY='version: 1, transport: {candidate_validation_ttl_ms: 2000}'
lab_with_session --emulated wan0 --emulated wan1 --emulated wan2
since=$(now_ms)
for link in "${LAB_LINKS[@]}"; do attack "$link" record >/dev/null; done
note_session
first=$NOTED_LINK
expect "control messages pass" rises 20 $(($(control_messages) + 20)) control_messages
transfer_start 60 60

step "Replays on $first"
before=$(told_gw SEC_REPLAY_ATTEMPT) duplicates=$(drops replay_duplicate)
replay "$first" gw
expect "the gateway tells SEC_REPLAY_ATTEMPT" rises 5 "$before" told_gw SEC_REPLAY_ATTEMPT
expect "replayed data is dropped as such" rises 5 "$duplicates" drops replay_duplicate
harmless "replays"

step "The same from ${ELSEWHERE[$first]}"
before=$(control_messages) duplicates=$(drops replay_duplicate)
replay "$first" gw "source=${ELSEWHERE[$first]}"
expect "they reach the gateway" rises 5 "$before" control_messages
expect "replayed data is dropped as such" rises 5 "$duplicates" drops replay_duplicate
harmless "replays from elsewhere"

step "Replays towards the client"
before=$(told_client SEC_REPLAY_ATTEMPT)
replay "$first" client
expect "the client tells SEC_REPLAY_ATTEMPT" rises 5 "$before" told_client SEC_REPLAY_ATTEMPT
harmless "replays towards the client"

step "Messages cut short"
before=$(drops bad_tag)
for bytes in 1 16 40; do replay "$first" gw "truncate=$bytes"; done
expect "their tags are wrong" rises 5 "$before" drops bad_tag
harmless "messages cut short"

step "Eight messages at a time in reverse order, both ways"
attack "$first" reverse to=gw of=8 >/dev/null
attack "$first" reverse to=client of=8 >/dev/null
expect "TCP goes on" transfer_goes_on 15
info "$(attack "$first" none)"
harmless "reverse order"

step "Data appears to come from ${ELSEWHERE[$first]}"
attack "$first" redirect to=gw kind=data count=50 "source=${ELSEWHERE[$first]}" >/dev/null
expect "TCP goes on" transfer_goes_on 15
harmless "data from elsewhere"

step "Probes and responses over wan1 appear to come from ${ELSEWHERE[wan1]}"
attack wan1 redirect to=gw kind=probe "source=${ELSEWHERE[wan1]}" >/dev/null
attack wan1 redirect to=gw kind=response "source=${ELSEWHERE[wan1]}" >/dev/null
expect "probes appear to come from there, the path is no warm one any more" rises 10 2 tampered wan1
before=$(told_gw SEC_SESSION_FIXATION_ATTEMPT)
lab_jump wan1
expect "a jump there is refused: AUTH_FAIL" rises 5 0 refused AUTH_FAIL
expect "the gateway tells SEC_SESSION_FIXATION_ATTEMPT" rises 5 "$before" told_gw SEC_SESSION_FIXATION_ATTEMPT
harmless "responses from elsewhere"
attack wan1 none >/dev/null

step "Requests over wan1 are held back for 6 s"
attack wan1 delay to=gw kind=request ms=6000 >/dev/null
lab_jump wan1
expect "they are refused when they come: FRESHNESS_INVALID" rises 10 0 refused FRESHNESS_INVALID
harmless "old requests"
attack wan1 none >/dev/null

step "Requests over wan1 appear to come from ${ELSEWHERE[wan1]}, and $first becomes a black hole"
attack wan1 redirect to=gw kind=request "source=${ELSEWHERE[wan1]}" >/dev/null
fault_cut "$first" silent
expect_jump 15
expect "by wan2" test "$(active_link)" = wan2
expect "one TRANSPORT_SWITCH" test "$(switches)" = 1
expect "wan1's requests led nowhere" never_bound "${ELSEWHERE[wan1]}"
attack wan1 none >/dev/null

step "The requests once more, over both links and from ${ELSEWHERE[wan2]}"
before=$(told_gw SEC_REPLAY_ATTEMPT)
for link in wan1 wan2; do attack "$link" replay to=gw kind=request >/dev/null; done
attack wan2 replay to=gw kind=request "source=${ELSEWHERE[wan2]}" >/dev/null
expect "the gateway tells SEC_REPLAY_ATTEMPT" rises 5 "$before" told_gw SEC_REPLAY_ATTEMPT
harmless "requests once more"
expect "still one TRANSPORT_SWITCH" test "$(switches)" = 1
jump_end "$since"
