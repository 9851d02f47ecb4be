#!/bin/bash
# The active link drops everything without a word, then so does the next one: the session and its TCP
# connection live on over the third. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 150 "$@"

lab_with_session
note_session
since=$(now_ms)
transfer_start 32 16

for cut in first second; do
  step "$NOTED_LINK, the $cut link, becomes a black hole"
  fault_cut "$NOTED_LINK" silent
  expect_jump 10
done
jump_end "$since"
