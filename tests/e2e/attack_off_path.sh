#!/bin/bash
# A host on the gateway's outside link that is on no path of the session, but has a recording of wan0 from the
# handshake on: it replays, forges, cuts short, makes noise, and floods. Nothing of that moves the session; no ping
# and no byte is lost meanwhile; the gateway tells of it, and not more often than policy says. JVPN_SEED replays
# the forgeries. The attacker is lab/attack; beside tools/lib/lab.sh's topology:
#
#   jvpn-client wan0 ──── [jvpn-net0: bridge] ──── wan0 jvpn-gw
#                               │
#                         wan0 192.0.2.66 jvpn-attacker
source "$(dirname "$0")/lib.sh"
e2e_begin 200 "$@"

SEED=${JVPN_SEED:-$RANDOM}
MOST_EVENTS_PER_S=10  # the policy's default

# recorded FILTER: a datagram towards the gateway.
recorded() { tcpdump -n -r "$WORK/wan0.pcap" "udp dst port $LAB_PORT and $1" 2>/dev/null | grep -q .; }
REQUEST=$((8 + 16 + 72 + 16))  # UDP length of REATTACH_REQUEST (common/wire.h)
refused_handshakes() { gateway_value 'show["control"]["handshakes_refused"] + show["control"]["handshakes_throttled"]'; }
drops_of() { gateway_value "sum(show['drops'].get(name, 0) for name in '$*'.split())"; }
malformed() { drops_of message_type message_length reserved unknown_index; }
data_refused() { drops_of bad_tag replay_too_old replay_duplicate; }  # before the cipher, when the lane is far ahead

# From the start until the client has asked for a jump to wan0, there and back.
start_recording() {
  lab_spawn recorder client tcpdump -i wan0 -n -U -Z root -w "$WORK/wan0.pcap" udp
  wait_for 10 grep -q 'listening on' "$LAB_DIR/log/recorder.log" || die "tcpdump did not start"
}
jump_to() {
  note_session
  lab_jump "$1"
  wait_for 10 jumped || die "no planned jump to $1"
}

# attacked COUNT RATE OPTION…: from the attacker's host; meanwhile pings pass, and none is lost.
attacked() {
  local count=$1 rate=$2 seconds=$(($1 / $2 + 1))
  shift 2
  lab_spawn attack attacker "$LAB_BUILD/lab/lab-attack" "$WORK/wan0.pcap" "192.0.2.1:$LAB_PORT" --seed "$SEED" \
    --count "$count" --rate "$rate" "$@"
  expect "pings pass meanwhile" pings client $LAB_SERVER4 $((seconds * 20))
  expect "all was sent" attack_sent $((seconds + 20)) "$count"
  expect "no version, no binding, no path has changed" unmoved
}
attack_sent() {
  wait_for "$1" lab_ended attack || return 1
  info "$(<"$LAB_DIR/log/attack.log")"
  grep -q ", $2 sent" "$LAB_DIR/log/attack.log"
}

step "Lab, recorder, gateway, client"
lab_prepared --emulated wan0
lab_add_attacker wan0 192.0.2.66
start_recording
start_gateway
start_client
jump_to wan1
jump_to wan0
expect "data passes" pings client $LAB_SERVER4
expect "a reattach request was recorded" wait_for 5 recorded "udp[4:2] = $REQUEST"
expect "data was recorded" wait_for 5 recorded "udp[8] = 4"
lab_stop recorder INT
note_session
since=$(now_ms)
transfer_start 60 60

step "All of the recording, again"
before=$(told_gw SEC_REPLAY_ATTEMPT)
attacked 400 400 --how replay --kind control
expect "the gateway tells SEC_REPLAY_ATTEMPT" rises 5 "$before" told_gw SEC_REPLAY_ATTEMPT
before=$(refused_handshakes)
attacked 100 100 --how replay --kind handshake
expect "handshakes are refused" rises 5 "$before" refused_handshakes

step "Right receiver indices, wrong tags (JVPN_SEED=$SEED)"
before=$(drops bad_tag)
attacked 1000 1000 --how forge --kind control
expect "the tags of control messages are wrong" rises 5 $((before + 100)) drops bad_tag
before=$(data_refused)
attacked 1000 1000 --how forge --kind data
expect "data is refused" rises 5 $((before + 100)) data_refused

step "Cut short, and noise"
before=$(malformed)
attacked 1000 1000 --how truncate
attacked 1000 1000 --how noise
expect "they are no messages" rises 5 $((before + 100)) malformed

step "Floods: control messages, handshakes"
first=$(now_ms) before=$(told jvpnd '"SECURITY_EVENT"')
attacked 6000 3000 --how replay --kind control
attacked 6000 3000 --how replay --kind handshake
seconds=$((($(now_ms) - first) / 1000 + 2)) after=$(told jvpnd '"SECURITY_EVENT"')
info "$((after - before)) SECURITY_EVENTs in at most $seconds s"
expect "no more than $MOST_EVENTS_PER_S SECURITY_EVENTs a second" test $((after - before)) -le $((seconds * MOST_EVENTS_PER_S))

harmless "after all that"
expect "the two planned jumps were the only ones" test "$(told jvpnd '"TRANSPORT_SWITCH"')" = 2
jump_end "$since"
