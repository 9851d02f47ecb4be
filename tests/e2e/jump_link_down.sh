#!/bin/bash
# The active link goes down, then the next one: the session and its TCP connection live on over the third.
# Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 150 "$@"

lab_with_session
note_session
since=$(now_ms)
transfer_start 24 12

for cut in first second; do
  step "$NOTED_LINK, the $cut link, goes down"
  fault_cut "$NOTED_LINK" down
  expect_jump 5
done
jump_end "$since"
