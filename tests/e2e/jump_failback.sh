#!/bin/bash
# Failback by policy: the session leaves its preferred link when that becomes a black hole and, once it has
# healed and stayed stable, returns to it by itself; without the policy it stays. Topology: tools/lib/lab.sh.
source "$(dirname "$0")/lib.sh"
e2e_begin 240 "$@"

# away_and_healed: cuts the preferred link, waits for the jump, heals it.
away_and_healed() {
  note_session
  PREFERRED=$NOTED_LINK
  step "$PREFERRED becomes a black hole"
  fault_cut "$PREFERRED" silent
  expect_jump 10
  step "$PREFERRED heals"
  fault_heal "$PREFERRED"
}

back() { [[ $(active_link) == "$PREFERRED" ]]; }
stays_away() { ! wait_for 12 back; }

LAB_POLICY='version: 1, switching: {failback: {when_stable_ms: 3000}}'
lab_with_session
since=$(now_ms)
transfer_start 40 20
away_and_healed
expect "the session returns to $PREFERRED" wait_for 15 back
expect_jump 5
expect "the transfer ends with the right checksum" transfer_finishes 60
show_timeline "$since"

step "The same without failback"
LAB_POLICY='version: 1, switching: {failback: never}'
lab_with_session
since=$(now_ms)
transfer_start 40 20
away_and_healed
expect "the session stays where it is" stays_away
jump_end "$since"
