#!/bin/bash
# The active link's delay wanders between 0 and 400 ms in each direction: by a policy that bounds jitter the
# session leaves it, and TCP lives on. JVPN_SEED replays the link's behaviour. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 150 "$@"

SEED=${JVPN_SEED:-$RANDOM}
LAB_POLICY='version: 1, volatility: {jitter_volatile_ms: 50}'
lab_with_session --emulated wan0 --emulated wan1 --emulated wan2
note_session
since=$(now_ms)
transfer_start 24 12

step "200 ms of jitter on $NOTED_LINK (JVPN_SEED=$SEED)"
fault_delay "$NOTED_LINK" "delay_ms=200 jitter_ms=200" "$SEED"
expect_jump 20
jump_end "$since"
